"""Figure 4: final return per topology, methods side by side."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis import cells
from rsm.analysis.figures import style
from rsm.analysis.figures.looks import looks
from rsm.analysis.labels import topology_label
from rsm.analysis.load import Runs


def data(runs: Runs) -> pd.DataFrame:
    """`cells.final_scores` (return) of every learning run at one P, then a row per control."""
    index = cells.representative(cells.learners(runs))
    scores = cells.final_scores(index, {"final_return": "return"})
    levels = cells.levels(runs).drop(columns="mean_speed")
    return pd.concat([scores, levels], ignore_index=True)


def draw(data: pd.DataFrame) -> Figure:
    """A group per topology; methods without one stand in a group of their own and as bands."""
    learned, levels = cells.learned_and_levels(data)
    if learned.empty:
        return style.empty("no method of this study learns")
    shown = looks(learned["label"])
    groups = [name for name in cells.topologies(learned) if name is not None]
    plain = learned[learned["topology"].isna()]
    names = [topology_label(name) for name in groups] + ([] if plain.empty else ["no topology"])
    figure = Figure(figsize=(style.PAGE, 3.0))
    axis = figure.subplots()
    for label, runs in plain.groupby("label", sort=False):
        look, row = shown[str(label)], runs.iloc[0]
        axis.axhspan(row["return_low"], row["return_high"], color=look.color, alpha=0.13, lw=0)
        axis.axhline(row["return_iqm"], color=look.color, linestyle=look.dash, linewidth=0.9)
    for place in range(len(names)):
        group = learned[learned["topology"] == groups[place]] if place < len(groups) else plain
        labels = list(dict.fromkeys(group["label"]))
        for label, offset in zip(labels, style.side_by_side(len(labels), 0.7), strict=True):
            runs = group[group["label"] == label]
            x = pd.Series(float(place) + offset, index=runs.index)
            style.seeds(axis, x, runs["return"], shown[label])
            style.intervals(axis, x.iloc[:1], runs.iloc[:1], "return", shown[label])
    if learned["return"].isna().all():
        style.note(axis, "no run has finished")
    values = dict(zip(levels["label"], levels["return"], strict=True))
    style.draw_levels(axis, values)
    for place in range(1, len(names)):
        axis.axvline(place - 0.5, color="0.8", linewidth=0.6)
    axis.set_xlim(-0.5, len(names) - 0.5)
    axis.set_xticks(range(len(names)), names)
    axis.grid(visible=False, axis="x")
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("final return")
    axis.set_xlabel("topology")
    axis.set_title(style.panel_title(None, learned["segments"].max()))
    style.legend(figure, learned, shown)
    style.name_levels(figure, {axis: values})
    return figure
