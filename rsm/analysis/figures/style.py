"""One look for all figures: sizes, the style sheet, and words in a panel."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

SHEET = Path(__file__).with_name("style.mplstyle")
COLUMN, PAGE = 3.5, 7.16  # widths of a two-column paper, inches
TALLEST = 9.0  # what a page holds beside a caption, inches
GREY = "0.35"


def note(axis: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axis.text(
        0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=GREY,
        style="italic", size=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def remark(axis: Axes, text: str) -> None:
    """Say in a panel with data what it lacks, where there is most room for it."""
    axis.legend(
        handles=[Line2D([], [], linestyle="", label=text)], loc="best", handlelength=0,
        handletextpad=0, borderpad=0, borderaxespad=0.2, labelcolor=GREY,
        prop={"size": 6, "style": "italic"},
    )  # fmt: skip


def empty(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(COLUMN, 1.2))
    axis = figure.subplots()
    axis.set_axis_off()
    note(axis, fill(text, 48))
    return figure
