"""Figure: how far every method ends above the independent baseline, in pairs of a seed."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rsm.analysis import differences, facets, selection, worlds
from rsm.analysis.figures import style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.labels import topology_label, without
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Difference to the independent baseline", "Performance"

QUANTITIES = {"final": "final return", "training": "mean return over training"}
ROW = 0.19  # inches
SMALL = 6.5  # points, of the names of rows


def data(runs: Runs) -> pd.DataFrame:
    """`differences.summaries`: paired differences at the end and on average, by seed."""
    return differences.summaries(runs)


def draw(data: pd.DataFrame) -> Figure:
    """A row per configuration, worlds one below the other; all seeds as points beside their interval."""
    if data["difference"].notna().sum() == 0:
        return style.empty(
            "nothing to compare: finished runs of independent and of another method are needed"
        )
    rows = _rows(data)
    shown = looks(
        without(label, str(world))
        for label, world in zip(data["label"], data["world"], strict=True)
    )
    height = min(max(len(rows), 3) * ROW + 0.75, style.TALLEST)
    figure = Figure(figsize=(style.PAGE, height))
    [axes] = figure.subplots(1, len(QUANTITIES), squeeze=False, sharex=True, sharey=True)
    for (quantity, title), axis in zip(QUANTITIES.items(), axes, strict=True):
        part = data[data["quantity"] == quantity]
        for place, (_, configuration) in enumerate(rows):
            own = part[part["configuration"] == configuration]
            if len(own):
                first = own.iloc[0]
                look = shown[without(first["label"], str(first["world"]))]
                _draw_row(axis, place, own, look)
        axis.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
        axis.set_title(title)
        axis.set_xlabel(f"return above {data['reference'].iloc[0]},\nsame seed")
        # Labels with a sign and three decimals are wide.
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(visible=False, axis="y")
    size = min(SMALL, 0.8 * 72 * (height - 0.75) / len(rows))
    axes[0].set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=size)
    for label, (_, configuration) in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_fontstyle("normal" if configuration else "italic")
    axes[0].tick_params(axis="y", length=0)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def _rows(data: pd.DataFrame) -> list[tuple[str, str]]:
    """Name and configuration of every row; a heading, where the study has several worlds, has none."""
    found, rows = worlds.listed(data), []
    for world in found if len(found) > 1 else [""]:
        own = worlds.in_world(data, world) if world else data
        rows += [(world, "")] if world else []
        topologies = facets.topologies(data)
        for row in selection.records(own.drop_duplicates("configuration")):
            where = []
            if isinstance(row["topology"], str) and len(topologies) > 1:
                where.append(topology_label(row["topology"]))
            name = ", ".join([without(row["label"], str(row["world"])), *where])
            gap = selection.gap(row)
            name += f" [{gap}]" if gap not in ("", selection.NONE) else ""
            rows.append((fill(name, 60, break_on_hyphens=False), row["configuration"]))
    return rows


def _draw_row(axis: Axes, place: int, own: pd.DataFrame, look: Look) -> None:
    seeds, first = own["difference"].dropna(), own.iloc[0]
    if seeds.empty:
        axis.annotate(
            selection.gap(first) or "no pair of a seed", (0, place), (4, 0), va="center", size=5.5,
            textcoords="offset points", color=style.GREY, style="italic",
        )  # fmt: skip
        return
    axis.plot(
        seeds, np.full(len(seeds), place + 0.24), linestyle="", marker=look.marker, markersize=2.2,
        alpha=0.55, color=look.color, markeredgewidth=0,
    )  # fmt: skip
    axis.hlines(
        place, first["difference_low"], first["difference_high"], color=look.color, linewidth=1
    )
    axis.plot(first["difference_iqm"], place, linestyle="", **look.point())
    axis.annotate(
        f"{(seeds > 0).sum()} of {len(seeds)}", (1, place), (2, 0), va="center", size=5,
        xycoords=("axes fraction", "data"), textcoords="offset points", color=style.GREY,
        annotation_clip=False,
    )  # fmt: skip
