"""What stands for runs in a panel: lines, intervals, and every seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from rsm.analysis.figures.looks import Look
from rsm.analysis.statistics import Floats

MOST_BANDS = 6  # lines in a panel; the intervals of more hide each other
ASIDE = 3.2  # points between an interval and its seeds


def markers_at(count: int) -> int:
    """Every how many of `count` points a line carries a marker, so that they stay apart."""
    return max(1, count // 8)


def curve(
    axis: Axes,
    x: pd.Series,
    rows: pd.DataFrame,
    column: str,
    look: Look,
    place: tuple[int, int],
    most: int = MOST_BANDS,
) -> None:
    """A line with its interval, the columns `_low` and `_high`: number `place[0]` of `place[1]` lines.

    `place[1]` is the number in the fullest panel of the figure, so that all its panels show intervals in one
    way. The interval is a band. Those of more than `most` lines would hide each other: they are bars at every
    third marker instead, of neighbouring lines at others and the last of all of them, a little apart.
    """
    number, count = place
    every = markers_at(len(x))
    low, high = rows[f"{column}_low"], rows[f"{column}_high"]
    if count <= most and len(x) > 1:  # a band of one point has no width
        axis.fill_between(x, low, high, color=look.color, alpha=0.16, linewidth=0)
    else:
        shown = np.arange(len(x)) % (3 * every) == number % 3 * every
        shown[-1:] = True
        aside = offset_copy(  # by points, whatever the scale of the axis
            axis.transData,
            axis.get_figure(root=True),
            0.8 * (number - (count - 1) / 2),
            units="points",
        )
        axis.vlines(
            x[shown], low[shown], high[shown], color=look.color, linewidth=0.7, alpha=0.7, transform=aside
        )  # fmt: skip
        for end in (low, high):  # which a transform of its own keeps out of the limits
            axis.update_datalim(np.column_stack([x[shown], end[shown]]))
    axis.plot(x, rows[column], markevery=every, **look.line())


def side_by_side(count: int, room: float, most: float) -> tuple[Floats, float]:
    """Offsets of `count` neighbours from the middle of a category, in widths of a category, and how many
    points left of its interval the runs of one stand: close to it, and well short of the next.

    A category is `room` points wide; neighbours are at most `most` points apart.
    """
    step = min(0.8 * room / max(count, 1), most)
    offsets = (np.arange(count) - (count - 1) / 2) * step / room
    return np.asarray(offsets), min(0.35 * step, ASIDE)


def seeds(axis: Axes, x: pd.Series, values: pd.Series, look: Look, aside: float = 0.0) -> None:
    """Every run as a small pale point, `aside` points to the left of `x`."""
    left = offset_copy(axis.transData, axis.get_figure(root=True), -aside, units="points")
    axis.plot(
        x, values, linestyle="", marker=look.marker, markersize=2.2, alpha=0.55,
        color=look.color, markeredgewidth=0, zorder=2.2, transform=left,
    )  # fmt: skip
    axis.update_datalim(np.column_stack([x, values]))  # a transform of its own is kept out of it
    axis.autoscale_view()


def seed_curves(axis: Axes, rows: pd.DataFrame, x: pd.Series, column: str, look: Look) -> None:
    """The curve of every seed, the column `seed`, as a thin pale line; one evaluation is a point."""
    for _, own in rows.groupby("seed"):
        axis.plot(
            x[own.index], own[column], linewidth=0.5, alpha=0.55, color=look.color, zorder=1.9,
            marker=look.marker if len(own) == 1 else "", markersize=2.2, markeredgewidth=0,
        )  # fmt: skip


def intervals(axis: Axes, x: pd.Series, rows: pd.DataFrame, column: str, look: Look) -> None:
    """IQM as a marker with its interval as a bar."""
    axis.vlines(x, rows[f"{column}_low"], rows[f"{column}_high"], color=look.color, linewidth=1)
    axis.plot(x, rows[f"{column}_iqm"], linestyle="", **look.point())
