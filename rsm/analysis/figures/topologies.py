"""Figure 4: final return per topology, methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, level_lines, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.labels import topology_label
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Return by topology", "Performance"

NEIGHBOURS = 24  # points between two methods on one topology
MOST_BANDS = 3  # of methods without a topology; more would hide each other


def data(runs: Runs) -> pd.DataFrame:
    """`facets.final_scores` (return) of every learning run at one P in one world, then a row per control.

    `only_world` is that world, where the study has several.
    """
    every = selection.representative(selection.learners(runs))
    scores = facets.final_scores(facets.one_world(every), {"final_return": "return"})
    scores["only_world"] = facets.only_world(every)
    levels = facets.levels(runs).drop(columns="mean_speed")
    return pd.concat([scores, levels], ignore_index=True)


class Group(NamedTuple):
    """The runs on one topology, or of the methods that have none."""

    name: str
    runs: pd.DataFrame


def draw(data: pd.DataFrame) -> Figure:
    """A panel per share and in it a group per topology; methods without one stand in a group of their
    own and as lines across, with bands where they are few."""
    learned, levels = facets.learned_and_levels(data)
    if learned.empty:
        return style.empty("no method of this study learns")
    shares = facets.shares(learned)
    varied = len(shares) > 1
    parts = [facets.sharing(learned, share) for share in shares] if varied else [learned]
    drawn = pd.concat(parts)
    shown, values = looks(drawn["label"]), dict(zip(levels["label"], levels["return"], strict=True))
    groups = [_groups(part) for part in parts]
    figure = Figure(figsize=(style.PAGE, 3.0))
    widths = [len(names) for names in groups]
    row = list(figure.subplots(1, len(parts), squeeze=False, width_ratios=widths).flat)
    for place, axis in enumerate(row):
        _draw_panel(axis, groups[place], shown, layout.points(axis, len(parts)) / sum(widths))
        share = shares[place] if varied else None
        title = layout.panel_title(None, parts[place]["segments"].max(), share)
        axis.set_title(layout.below_world(data, title))
    level_lines.draw_levels(row, values)
    layout.share_y(row)
    legends.legend(figure, drawn, shown)
    level_lines.name_levels(figure, {row[-1]: values})
    return figure


def _groups(part: pd.DataFrame) -> list[Group]:
    groups = [
        Group(topology_label(str(name)), runs)
        for name, runs in part.groupby("topology", sort=False)
    ]
    plain = part[part["topology"].isna()]
    return groups if plain.empty else [*groups, Group("no topology", plain)]


def _draw_panel(axis: Axes, groups: list[Group], shown: Mapping[str, Look], room: float) -> None:
    for place, (name, group) in enumerate(groups):
        labels = list(dict.fromkeys(group["label"]))
        offsets, aside = marks.side_by_side(len(labels), room, NEIGHBOURS)
        for label, offset in zip(labels, offsets, strict=True):
            runs, look = group[group["label"] == label], shown[label]
            x = pd.Series(place + offset, index=runs.index)
            first = runs.iloc[0]
            if name == "no topology" and np.isfinite(first["return_iqm"]):
                low, high = first["return_low"], first["return_high"]
                if len(labels) <= MOST_BANDS:
                    axis.axhspan(low, high, color=look.color, alpha=0.13, linewidth=0)
                axis.axhline(
                    first["return_iqm"], color=look.color, linestyle=look.dash, linewidth=0.9
                )
            marks.seeds(axis, x, runs["return"], look, aside)
            marks.intervals(axis, x.iloc[:1], runs.iloc[:1], "return", look)
            if runs["return"].isna().all():
                axis.text(
                    place + offset, 0.02, selection.NONE, transform=axis.get_xaxis_transform(),
                    rotation=90, ha="center", va="bottom", color=style.GREY, style="italic", size=6,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
                )  # fmt: skip
        if place:
            axis.axvline(place - 0.5, color="0.8", linewidth=0.6)
    axis.set_xlim(-0.5, len(groups) - 0.5)
    axis.set_xticks(range(len(groups)), [group.name.replace(" (", "\n(") for group in groups])
    axis.grid(visible=False, axis="x")
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("final return")
    axis.set_xlabel("topology")
