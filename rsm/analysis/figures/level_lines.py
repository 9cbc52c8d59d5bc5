"""Controls as levels across panels, with their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis.figures.layout import holds_data, y_range
from rsm.analysis.figures.looks import Dash
from rsm.analysis.figures.style import GREY
from rsm.analysis.statistics import Floats

_LEVELS: dict[str, Dash] = {
    "human": (0, (1, 1.2)),
    "untrained": (0, (3, 1, 1, 1, 1, 1)),
    "go": (0, (5, 2)),
    "platoon": (0, (7, 1.5, 1, 1.5)),
    "meter": (0, (7, 1.5, 1, 1.5)),  # on another road
}


def draw_levels(row: list[Axes], values: Mapping[str, float]) -> None:
    """Controls as horizontal lines across the panels of a quantity, which hold their data already.

    A level farther from the methods than these lie apart would flatten them: it is left to `name_levels`.
    """
    low, high = y_range(row)
    if any(holds_data(axis) for axis in row):
        low, high = 2 * low - high, 2 * high - low
    else:
        low, high = -np.inf, np.inf
    for axis in row:
        for name, value in values.items():
            if low <= value <= high:
                axis.axhline(value, zorder=1.5, **level_line(name))


def upright_levels(axis: Axes, values: Mapping[str, float]) -> list[Line2D]:
    """Controls as vertical lines across a panel that holds its data; their handles for a legend, with numbers.

    A level farther from the data than these lie apart would flatten them: it is only named.
    """
    low, high = axis.get_xlim()
    handles = []
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        if not np.isfinite(value):
            continue
        line = level_line(name)
        near = 2 * low - high <= value <= 2 * high - low
        if near:
            axis.axvline(value, zorder=1.5, **line)
        else:
            line["linestyle"] = ""
        outside = "" if near else " →" if value > high else " ←"
        handles.append(Line2D([], [], label=f"{name} {value:.3f}{outside}", **line))
    return handles


def legend_lines(values: Mapping[str, float]) -> list[Line2D]:
    """Controls for a legend, where the last panels of the rows have no levels to stand beside."""
    return [Line2D([], [], label=name, **level_line(name)) for name in values]


def level_line(name: str) -> dict[str, Any]:
    """How the level of a control is drawn, whatever it begins with: keywords of a line."""
    control = name.partition(" (")[0]
    return {"color": GREY, "linewidth": 0.9, "linestyle": _LEVELS.get(control, "-")}


def name_levels(figure: Figure, named: Mapping[Axes, Mapping[str, float]]) -> None:
    """Write the controls' names and numbers to the right of the panels, kept apart where levels are close.

    A level outside a panel has an arrow there. To be called last, when the limits of the axes are final.
    """
    size = mpl.rcParams["legend.fontsize"]
    texts: dict[Axes, list[tuple[float, Any]]] = {}
    for axis, values in named.items():
        for name, value in sorted(values.items(), key=lambda item: item[1]):
            if not np.isfinite(value):
                continue
            low, high = axis.get_ylim()
            place = min(max(value, low), high)
            arrow = "↑" if value > high else "↓"
            for line in (
                [f"{name} {value:.3g}"] if place == value else [f"{value:.3g} {arrow}", name]
            ):
                text = axis.annotate(
                    line, (1, place), (4, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", color=GREY, fontsize=size,
                )  # fmt: skip
                texts.setdefault(axis, []).append((place, text))
    figure.draw_without_rendering()  # the layout decides how many points a unit is
    for axis, entries in texts.items():
        scale = 72 / figure.dpi
        wanted = np.array([axis.transData.transform((0, value))[1] * scale for value, _ in entries])
        placed = apart(wanted, size * 1.15)
        for (_, text), shift in zip(entries, placed - wanted, strict=True):
            text.xyann = (4, shift)


def apart(positions: Floats, gap: float) -> Floats:
    """Ascending positions moved as little as possible so that neighbours are `gap` apart."""
    index = np.arange(len(positions)) * gap
    shifted = positions - index
    # Pools of equal value are moved together: isotonic regression, written out for a few numbers.
    pools: list[list[float]] = []
    for value in shifted:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    means = [float(np.mean(pool)) for pool in pools for _ in pool]
    return np.asarray(means, dtype=np.float64) + index
