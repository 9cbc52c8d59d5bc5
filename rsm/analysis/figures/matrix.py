"""Small panels: a row per world and topology, a column per method, a line per group of agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis import facets, selection, worlds
from rsm.analysis.figures import level_lines, style
from rsm.analysis.figures.looks import Look
from rsm.analysis.groups import GOOD, HONEST, KINDS, WORST
from rsm.analysis.labels import topology_label, without

MOST = 11  # columns; more stand in blocks below each other
HEIGHT = 0.85  # of a row, inches

# Told apart by colour-blind readers, and by line and marker in greyscale.
_GROUPS: dict[str, Look] = {
    HONEST: Look("#0B56A4", "-", "o", "full"),
    GOOD: Look("#0B56A4", "-", "o", "full"),
    KINDS["slow"]: Look("#C8500A", (0, (5, 1.5, 1, 1.5)), "D", "full"),
    KINDS["newcomer"]: Look("#4E8A52", (0, (3, 1)), "^", "none"),
    KINDS["attacker"]: Look("#000000", (0, (1.5, 0.8)), "X", "full"),
    WORST: Look("#6B6B6B", (0, (1, 1.2)), "v", "none"),
}
_FURTHER = (  # kinds of loops
    Look("#5C0A48", "-", "s", "full"),
    Look("#CF9420", (0, (4, 1.5)), "P", "none"),
    Look("#2F7F8F", (0, (2, 1)), "h", "full"),
    Look("#B58FC2", (0, (6, 1, 1, 1)), "<", "none"),
)


class Place(NamedTuple):
    """What a row of panels shows."""

    title: str
    part: pd.DataFrame  # of the data of the figure; methods without a topology are in every row


def estimates(values: pd.DataFrame, column: str) -> pd.DataFrame:
    """IQM over seeds with its interval, by training episode and group.

    `values` are of one configuration and have the columns episode, group, seed and `column`. Where seeds are
    too few for an interval, rows with a `seed` follow: the values of each.
    """
    rows = []
    for (episode, group), part in values.groupby(["episode", "group"], sort=False):
        about = {"episode": episode, "group": group}
        found = zip(("", "_low", "_high"), selection.estimate(part[column]), strict=True)
        rows.append(about | {f"{column}{end}": value for end, value in found})
        if selection.points(part[column]):
            rows += [
                about | {"seed": seed, column: value}
                for seed, value in zip(part["seed"], part[column], strict=True)
            ]
    return pd.DataFrame(rows)


def places(data: pd.DataFrame, by_segments: bool) -> list[Place]:
    """The rows of panels: each world with each topology and, if so told, each P that ran there."""
    found = []
    for world in worlds.listed(data):
        here = facets.of_world(data, world)
        for topology in facets.topologies(here):
            part = facets.on_topology(here, topology)
            numbers = sorted(part["segments"].dropna().unique()) if by_segments else []
            for segments in numbers or [np.nan]:
                words = [topology_label(topology)] if isinstance(topology, str) else []
                words += [f"P = {segments:g}"] if np.isfinite(segments) else []
                own = part[part["segments"] == segments] if numbers else part
                found.append(Place("\n".join([_wrapped(world, 18), ", ".join(words)]), own))
    return found


def draw(
    data: pd.DataFrame,
    column: str,
    unit: str,
    by_segments: bool = False,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """The figure of `data`: columns of `selection.counts` and of `estimates` for `column`."""
    rows = places(data, by_segments)
    own = zip(data["label"], data["world"], strict=True)
    labels = list(dict.fromkeys(without(label, str(world)) for label, world in own))
    blocks = -(-len(labels) // MOST)
    columns = -(-len(labels) // blocks)
    count, lines = blocks * len(rows), 1 + max(_wrapped(label).count("\n") for label in labels)
    height = min(count * HEIGHT + 0.75 + 0.1 * blocks * lines, style.TALLEST)
    figure = Figure(figsize=(style.PAGE, height))
    grid = figure.subplots(count, columns, squeeze=False, sharex=True, sharey=True)
    shown, numbered = _looks(data["group"].dropna()), set[tuple[int, int]]()
    lowest: dict[tuple[int, int], Axes] = {}  # panel of each column of a block
    levelled: list[Axes] = []
    for axis in grid.flat:  # each curve would scale all panels anew, since they share their axes
        axis.set_autoscale_on(False)
    for number, axis in enumerate(grid.flat):
        row, place = divmod(number, columns)
        block, row = divmod(row, len(rows))
        position = block * columns + place
        axis.tick_params(labelsize=5, length=1.5)
        if position >= len(labels):
            axis.set_axis_off()
            continue
        if row == 0:
            axis.set_title(_wrapped(labels[position]), fontsize=5.5 if columns < 9 else 4.8)
        part = rows[row].part
        part = part[part["label"] == labels[position]]
        if part.empty:  # not run there
            axis.set_axis_off()
        else:
            _draw_panel(axis, part, column, shown)
            if not worlds.on_other_roads(part):
                levelled.append(axis)
            axis.tick_params(labelleft=(block, row) not in numbered)
            numbered.add((block, row))
            lowest[block, place] = axis
        if place == 0:
            axis.annotate(
                rows[row].title, (0, 0.5), (-24, 0), xycoords="axes fraction", va="center", ha="right",
                textcoords="offset points", fontsize=5.5, annotation_clip=False,
            )  # fmt: skip
    for axis in grid.flat:
        axis.set_autoscale_on(True)
    if levels and levelled:
        level_lines.draw_levels(levelled, levels)
    for axis in grid.flat:
        below = axis in lowest.values()
        axis.tick_params(labelbottom=below)
        if below:
            axis.set_xlabel("training episode" if columns < 9 else "episode", fontsize=5.5)
    figure.supylabel(unit, fontsize=7)
    _legend(figure, shown, levels or {})
    return figure


def _wrapped(text: str, width: int = 14) -> str:
    return fill(text, width, break_on_hyphens=False, break_long_words=False)


def _looks(groups: Iterable[str]) -> dict[str, Look]:
    """Group → look, in the order of the kinds."""
    names = list(dict.fromkeys(groups))
    other = [name for name in names if name not in _GROUPS]
    found = {name: look for name, look in _GROUPS.items() if name in names}
    return found | {name: _FURTHER[i % len(_FURTHER)] for i, name in enumerate(other)}


def _draw_panel(axis: Axes, part: pd.DataFrame, column: str, shown: Mapping[str, Look]) -> None:
    known = part.dropna(subset=[column])
    for name, look in shown.items():
        own = known[known["group"] == name].sort_values("episode")
        rows, seeds = own[own["seed"].isna()], own[own["seed"].notna()]
        if len(rows):
            episodes = rows["episode"]
            low, high = rows[f"{column}_low"], rows[f"{column}_high"]
            if len(rows) > 1:
                axis.fill_between(episodes, low, high, color=look.color, alpha=0.15, linewidth=0)
            thin = {"linewidth": 0.8 if name == WORST else 1.0, "markersize": 2}
            axis.plot(episodes, rows[column], **look.line() | thin, markevery=0.3)
        axis.plot(
            seeds["episode"], seeds[column], linestyle="", marker=look.marker, markersize=1.2,
            alpha=0.4, color=look.color, markeredgewidth=0,
        )  # fmt: skip
    gap = selection.gap(part.iloc[0])
    if known.empty:
        style.note(axis, _wrapped(gap or "nothing judged"))
    elif gap:
        axis.text(
            0.98, 0.02, _wrapped(gap), transform=axis.transAxes, ha="right", va="bottom",
            size=4.5, style="italic", color=style.GREY,
        )  # fmt: skip


def _legend(figure: Figure, shown: Mapping[str, Look], levels: Mapping[str, float]) -> None:
    handles = [Line2D([], [], label=name, **look.line()) for name, look in shown.items()]
    handles += [Line2D([], [], label=name, **level_lines.level_line(name)) for name in levels]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8))
