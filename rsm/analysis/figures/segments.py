"""Figure 3: final return and bytes sent against the number of segments P, per topology."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, level_lines, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Number of segments P", "Communication"

NEIGHBOURS = 7  # points between two methods at one P: close to its tick
QUANTITIES = {"return": "final return", "megabytes": "bytes sent by all nodes (MB)"}


def data(runs: Runs) -> pd.DataFrame:
    """`facets.final_scores` of every learning run (return, megabytes sent in total), then the controls."""
    index = selection.learners(runs)
    index = index.assign(megabytes=index["bytes_sent"] / 1e6)
    scores = facets.final_scores(index, {"final_return": "return", "megabytes": "megabytes"})
    levels = facets.levels(runs).drop(columns="mean_speed")
    return pd.concat([scores, levels], ignore_index=True)


def draw(data: pd.DataFrame) -> Figure:
    """A column per topology and share; P is a category, methods without segments are levels across it."""
    data, levels = facets.learned_and_levels(data)
    panels = [panel for panel in facets.panels(data) if panel.part["segments"].notna().any()]
    if not panels:
        return style.empty("no method of this study has segments")
    numbers = sorted(data["segments"].dropna().unique())
    data = pd.concat([panel.part for panel in panels])
    shown = looks(data["label"])
    values = dict(zip(levels["label"], levels["return"], strict=True))
    figure, axes = layout.panels(len(QUANTITIES), len(panels))
    home: list[Axes] = []
    for (column, unit), row in zip(QUANTITIES.items(), axes, strict=True):
        for (topology, words, part), axis in zip(panels, row, strict=True):
            _draw_panel(axis, part, column, numbers, shown)
            axis.set_title(layout.panel_title(topology, np.nan, words))
            axis.set_ylabel(unit)
            layout.name_x(
                axis, "segments P" if len(numbers) > 1 else "segments P (the only one run)"
            )
            if column == "megabytes":
                axis.set_ylim(0, 1.06 * axis.get_ylim()[1])
        if column == "return":
            home = facets.at_home(panels, row)
            level_lines.draw_levels(home, values)
        layout.share_y(row)
    layout.once(axes)
    ends = layout.last_of_rows(axes[0])
    beside = set(home) >= set(ends)  # names of levels stand beside the last panels
    legends.legend(figure, data, shown, more=() if beside else level_lines.legend_lines(values))
    level_lines.name_levels(figure, dict.fromkeys(ends, values) if beside else {})
    return figure


def _draw_panel(
    axis: Axes,
    part: pd.DataFrame,
    column: str,
    numbers: list[float],
    shown: dict[str, Look],
) -> None:
    split = part[part["segments"].notna()]
    for label, level in part[part["segments"].isna()].groupby("label", sort=False):
        look, value = shown[str(label)], level[f"{column}_iqm"].iloc[0]
        # Markers on the edges keep the level recognisable and clear of the points.
        ends = [-0.5, len(numbers) - 0.5]
        axis.plot(ends, [value] * 2, zorder=1.8, clip_on=False, **look.line())
    room = layout.points(axis) / len(numbers)
    beside = {  # P → where the methods that ran with it stand
        number: list(dict.fromkeys(own["label"])) for number, own in split.groupby("segments")
    }
    most = max(map(len, beside.values()), default=1)
    for label, runs in split.groupby("label", sort=False):
        look = shown[str(label)]
        rows = runs.drop_duplicates("segments").sort_values("segments")
        at = {}
        for number in rows["segments"]:
            offsets, _ = marks.side_by_side(len(beside[number]), room, NEIGHBOURS)
            at[number] = numbers.index(number) + offsets[beside[number].index(str(label))]
        _, aside = marks.side_by_side(most, room, NEIGHBOURS)
        marks.seeds(axis, runs["segments"].map(at), runs[column], look, aside)
        places = rows["segments"].map(at)
        marks.intervals(axis, places, rows, column, look)
        axis.plot(places, rows[f"{column}_iqm"], linestyle=look.dash, color=look.color)
    axis.set_xlim(-0.5, len(numbers) - 0.5)
    axis.set_xticks(range(len(numbers)), [f"{number:g}" for number in numbers])
    axis.grid(visible=False, axis="x")
    if split[column].isna().all():
        style.note(axis, selection.NONE)
