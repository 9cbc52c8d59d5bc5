"""Figure 1: return and mean speed against environment steps, methods as lines with intervals."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, level_lines, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Return over training", "Performance"

QUANTITIES = {"return": "return", "mean_speed": "mean speed (m/s)"}


def data(runs: Runs) -> pd.DataFrame:
    """`facets.curves_and_levels`: evaluations of every method at one P, and the controls."""
    return facets.curves_and_levels(runs)


def draw(data: pd.DataFrame) -> Figure:
    """A column per topology and share; methods without one are repeated in every column."""
    curves, levels = facets.learned_and_levels(data)
    if curves.empty and levels.empty:
        return style.empty("no run has finished")
    panels = facets.panels(curves)
    curves = pd.concat([panel.part for panel in panels])
    shown = looks(curves["label"])
    figure, axes = layout.panels(len(QUANTITIES), len(panels))
    named: dict[Axes, dict[str, float]] = {}
    beside = True  # whether names of levels stand beside the last panels
    most = max(panel.part["label"].nunique() for panel in panels)
    for (column, unit), row in zip(QUANTITIES.items(), axes, strict=True):
        values = dict(zip(levels["label"], levels[column], strict=True))
        for (topology, words, part), axis in zip(panels, row, strict=True):
            _draw_panel(axis, part, column, shown, most)
            axis.set_title(layout.panel_title(topology, part["segments"].max(), words))
            axis.set_ylabel(unit)
            layout.name_x(axis, "environment steps (thousand)")
        home = facets.at_home(panels, row)
        level_lines.draw_levels(home, values)
        layout.share_y(row)
        named |= dict.fromkeys(layout.last_of_rows(row), values)
        beside &= set(home) >= set(layout.last_of_rows(row))
    layout.once(axes)
    legends.legend(figure, curves, shown, more=() if beside else level_lines.legend_lines(values))
    level_lines.name_levels(figure, named if beside else {})
    return figure


def _draw_panel(
    axis: Axes, part: pd.DataFrame, column: str, shown: dict[str, Look], most: int
) -> None:
    known = part.dropna(subset=[column])
    for number, (label, curve) in enumerate(known.groupby("label", sort=False)):
        steps, look, line = curve["env_steps"] / 1e3, shown[str(label)], curve["seed"].isna()
        marks.curve(axis, steps[line], curve[line], column, look, (number, most))
        marks.seed_curves(axis, curve[~line], steps, column, look)
    if known.empty:
        style.note(axis, selection.NONE)
