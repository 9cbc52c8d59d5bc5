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

QUANTITIES = {"return": "final return", "megabytes": "bytes sent by all nodes (MB)"}


def data(runs: Runs) -> pd.DataFrame:
    """`facets.final_scores` of every learning run (return, megabytes sent by anybody), then the controls."""
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
    for (column, unit), row in zip(QUANTITIES.items(), axes, strict=True):
        for (topology, words, part), axis in zip(panels, row, strict=True):
            _draw_panel(axis, part, column, numbers, shown)
            axis.set_title(layout.panel_title(topology, np.nan, words))
            axis.set_ylabel(unit)
            axis.set_xlabel("segments P")
            if column == "megabytes":
                axis.set_ylim(bottom=-0.03 * axis.get_ylim()[1])
        if column == "return":
            level_lines.draw_levels(facets.at_home(panels, row), values)
        layout.share_y(row)
    layout.once(axes)
    legends.legend(figure, data, shown)
    level_lines.name_levels(figure, dict.fromkeys(layout.last_of_rows(axes[0]), values))
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
        # Markers in the margins keep the level recognisable and clear of the points.
        axis.plot([-0.46, len(numbers) - 0.54], [value] * 2, zorder=1.8, **look.line())
    labels = list(dict.fromkeys(split["label"]))
    offsets, aside = marks.side_by_side(len(labels), 0.8)
    for label, offset in zip(labels, offsets, strict=True):
        look, runs = shown[label], split[split["label"] == label]
        places = runs["segments"].map(numbers.index) + offset
        marks.seeds(axis, places - aside, runs[column], look)
        rows = runs.drop_duplicates("segments").sort_values("segments")
        places = rows["segments"].map(numbers.index) + offset
        marks.intervals(axis, places, rows, column, look)
        axis.plot(places, rows[f"{column}_iqm"], linestyle=look.dash, color=look.color)
    axis.set_xlim(-0.55, len(numbers) - 0.45)
    axis.set_xticks(range(len(numbers)), [f"{number:g}" for number in numbers])
    axis.grid(visible=False, axis="x")
    if split[column].isna().all():
        style.note(axis, selection.NONE)
