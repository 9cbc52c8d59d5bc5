"""Lines of the theory figures: they show no methods, so that the ways of finding ζ have colours here.

Colours differ in lightness too; line style and marker repeat the difference and are those of `rsm.analysis`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis.figures.looks import looks

COLORS = {
    "theorem2": "#0B56A4",
    "certified": "#000000",
    "line-search": "#7A1F5C",
    "trust-region": "#C8500A",
    "fixed": "#CF9420",
    "coin": "#4E8A52",
}
SEQUENCE = ("#000000", "#7A1F5C", "#0B56A4", "#C8500A", "#CF9420", "#86C5EA")
DASHES: tuple[Any, ...] = (
    "-", (0, (5, 1.5)), (0, (1.2, 0.9)), (0, (5, 1.5, 1, 1.5)), (0, (2.5, 1)), (0, (7, 2)),
)  # fmt: skip
MARKERS = "osD^vP"
GREY = "0.45"


def of_rule(rule: str) -> dict[str, Any]:
    """Keywords of the line and markers of a way of finding ζ; one without a colour here is grey."""
    look = looks([f"rsm ({rule})"])[f"rsm ({rule})"]
    return look._replace(color=COLORS.get(rule, GREY)).line()


def numbered(number: int) -> dict[str, Any]:
    """Keywords of the n-th line where lines are no ways of finding ζ."""
    place = number % len(SEQUENCE)
    return {
        "color": SEQUENCE[place],
        "linestyle": DASHES[place],
        "marker": MARKERS[place],
        "markeredgewidth": 0.7,
    }


def legend(figure: Figure, named: Iterable[tuple[str, dict[str, Any]]], columns: int = 6) -> None:
    """One legend below all panels."""
    handles = [Line2D([], [], label=label, **style) for label, style in named]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
