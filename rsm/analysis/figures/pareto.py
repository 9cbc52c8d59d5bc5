"""Figure 9: final return against all bytes sent, and the Pareto front of the two."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, pareto, selection
from rsm.analysis.figures import layout, legends, level_lines, log_axes, marks, style
from rsm.analysis.figures.looks import looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Return for bytes: the Pareto front", "Communication"

NEAR, STEP = 1.05, 1.02  # bytes nearly the same, and how far apart those are drawn, as factors


def data(runs: Runs) -> pd.DataFrame:
    """`pareto.points` of every learning run of one world, then the controls.

    `only_world` is that world, where the study has several.
    """
    levels = facets.levels(runs).drop(columns="mean_speed")
    every = pareto.points(runs)
    points = facets.one_world(every).assign(only_world=facets.only_world(every))
    points["name"] = points["configuration"].map(pareto.names(points))
    return pd.concat([points, levels], ignore_index=True)


def draw(data: pd.DataFrame) -> Figure:
    """A point per configuration; one that sends nothing stands at the left, where x is 0."""
    data, levels = facets.learned_and_levels(data)
    if data["return_iqm"].notna().sum() == 0:
        return style.empty("no run has finished")
    # By whole names, so that a rule looks as in other figures though its word is left out here.
    whole = pareto.whole_names(data)
    own = looks(whole)
    shown = {name: own[full] for name, full in zip(data["name"], whole, strict=True)}
    data = data.assign(label=data["name"])
    figure, [[axis]] = layout.panels(1, 1, height=3.0)
    figure.set_figwidth(style.PAGE)
    axis.set_title(facets.named_world(data))
    known = data.dropna(subset=["return_iqm", "megabytes_iqm"])
    sent = known.loc[known["megabytes_iqm"] > 0, "megabytes"]
    edges = (sent.min(), sent.max()) if len(sent) else (0.1, 1.0)
    zero = edges[0] / 3  # where x = 0 stands on the log axis
    log_axes.bytes_axis(axis, edges, zero if (known["megabytes_iqm"] <= 0).any() else None)
    known = known.assign(place=known["megabytes"].clip(lower=zero))
    known["place_iqm"] = known["megabytes_iqm"].clip(lower=zero)
    _draw_front(axis, known)
    aside = _aside(known)
    for label, runs in known.groupby("label", sort=False):
        row, shift = runs.head(1), aside[str(label)]
        marks.seeds(axis, runs["place"] * shift, runs["return"], shown[str(label)], marks.ASIDE)
        marks.intervals(axis, row["place_iqm"] * shift, row, "return", shown[str(label)])
    _mark_fmarl(axis, known)
    axis.set_xlabel("bytes sent by all nodes in the whole run (MB, log scale)")
    axis.set_ylabel("final return")
    values = dict(zip(levels["label"], levels["return"], strict=True))
    level_lines.draw_levels([axis], values)
    legends.legend(figure, data, shown, lines=False)
    level_lines.name_levels(figure, {axis: values})
    return figure


def _aside(known: pd.DataFrame) -> dict[str, float]:
    """Label → factor of its place: configurations with nearly the same bytes stand side by side."""
    rows = known.drop_duplicates("label").sort_values("place_iqm", kind="stable")
    groups: list[list[tuple[str, float]]] = []
    for label, place in zip(rows["label"], rows["place_iqm"], strict=True):
        if groups and place <= groups[-1][0][1] * NEAR:
            groups[-1].append((label, place))
        else:
            groups.append([(label, place)])
    return {
        label: STEP ** (number - (len(group) - 1) / 2)
        for group in groups
        for number, (label, _) in enumerate(group)
    }


def _draw_front(axis: Axes, known: pd.DataFrame) -> None:
    """A staircase through the configurations on the front: what is below it and to its right is beaten."""
    best = known[known["front"].astype(bool)].drop_duplicates("configuration")
    best = best.sort_values(["place_iqm", "return_iqm"])
    axis.plot(
        best["place_iqm"], best["return_iqm"], drawstyle="steps-post", color="0.55", linewidth=0.9,
        zorder=1.6,
    )  # fmt: skip


def _mark_fmarl(axis: Axes, known: pd.DataFrame) -> None:
    """Lines through fmarl as published: what is above and to the left has more return for fewer bytes."""
    central = known[known["method"] == selection.REFERENCES[0]].head(1)
    for place, height in zip(central["place_iqm"], central["return_iqm"], strict=True):
        axis.axvline(place, color="0.2", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1.4)
        axis.axhline(height, color="0.2", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1.4)
