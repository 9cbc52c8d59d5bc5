"""One look for all figures: panels, intervals, levels, legends and notes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import offset_copy

from rsm.analysis import selection
from rsm.analysis.figures.looks import Dash, Look
from rsm.analysis.labels import topology_label
from rsm.analysis.statistics import Floats

SHEET = Path(__file__).with_name("style.mplstyle")
COLUMN, PAGE = 3.5, 7.16  # widths of a two-column paper, inches
TALLEST = 9.0  # what a page holds beside a caption, inches
MOST_BANDS = 6  # lines in a panel; the intervals of more hide each other
GREY = "0.35"

_LEVELS: dict[str, Dash] = {
    "human": (0, (1, 1.2)),
    "untrained": (0, (3, 1, 1, 1, 1, 1)),
    "go": (0, (5, 2)),
    "platoon": (0, (7, 1.5, 1, 1.5)),
    "meter": (0, (7, 1.5, 1, 1.5)),  # on another road
}


def panels(
    quantities: int, count: int, height: float = 1.75, most: int = 4
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of page width with `count` panels for each quantity → axes [quantity][panel].

    Quantities stand below each other and panels beside each other, at most `most` in a row; a single
    panel per quantity stands two in a row instead.
    """
    columns = min(2, quantities) if count == 1 else min(most, count)
    blocks = -(-quantities // columns) if count == 1 else -(-count // columns)
    rows = blocks if count == 1 else blocks * quantities
    figure = Figure(figsize=(PAGE, min(rows * height + 0.55, TALLEST)))
    grid = figure.subplots(rows, columns, squeeze=False)
    unused = {(row, column) for row in range(rows) for column in range(columns)}
    axes: list[list[Axes]] = []
    for quantity in range(quantities):
        places = [divmod(quantity, columns)] if count == 1 else []
        for panel in range(count if count > 1 else 0):
            block, column = divmod(panel, columns)
            places.append((block * quantities + quantity, column))
        unused -= set(places)
        axes.append([grid[place] for place in places])
    for place in unused:
        grid[place].remove()
    return figure, axes


def share_y(row: list[Axes]) -> None:
    """One y range for the panels of a quantity; only the first panel of a row keeps its numbers.

    The range is that of the panels with data: an empty one has limits that mean nothing.
    """
    if len(row) == 1:  # its neighbour is another quantity
        return
    limits = _limits(row)
    for axis in row:
        axis.set_ylim(limits)
        spec = axis.get_subplotspec()
        if spec is not None and not spec.is_first_col():
            axis.tick_params(labelleft=False)
            axis.set_ylabel("")


def _limits(row: list[Axes]) -> tuple[float, float]:
    limits = [axis.get_ylim() for axis in row if holds_data(axis)]
    limits = limits or [axis.get_ylim() for axis in row]
    return min(low for low, _ in limits), max(high for _, high in limits)


def holds_data(axis: Axes) -> bool:
    """Whether a line or an image of finite data is in the panel; levels across it do not count."""
    lines = (line for line in axis.lines if line.get_transform() == axis.transData)
    return bool(axis.images) or any(
        np.isfinite(np.asarray(line.get_xydata(), dtype=np.float64)).all(axis=1).any()
        for line in lines
    )


def once(axes: list[list[Axes]]) -> None:
    """Where quantities stand below each other on the same x, head and x label stand only once."""
    if len(axes[0]) == 1:
        return
    for column in zip(*axes, strict=True):
        limits = [axis.get_xlim() for axis in column]
        for axis in column:
            axis.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    for above in axes[:-1]:
        for axis in above:
            axis.set_xlabel("")
            axis.tick_params(labelbottom=False)
    for below in axes[1:]:
        for axis in below:
            axis.set_title("")


def last_of_rows(row: list[Axes]) -> list[Axes]:
    """The panels of a quantity that have nothing to their right: where levels are named."""
    places = [spec for axis in row if (spec := axis.get_subplotspec()) is not None]
    ends = {place.rowspan.start: axis for place, axis in zip(places, row, strict=True)}
    return list(ends.values())


def panel_title(topology: str | None, segments: float, share: str | None = None) -> str:
    """Heading of a panel: its topology, what is shared where that varies, and the P that was chosen."""
    return heading(topology_label(topology) if isinstance(topology, str) else "", segments, share)


def heading(where: str, segments: float, share: str | None = None) -> str:
    """`panel_title` of a place that is named already."""
    words = [share] if share else []
    if np.isfinite(segments):
        words.append(f"P = {segments:g}")
    between = "\n" if share else ", "  # a narrow panel holds two of them in a line
    return between.join(filter(None, [where, ", ".join(words)]))


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

    The interval is a band. Those of more than `most` lines would hide each other: they are bars at every
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


def side_by_side(count: int, width: float) -> tuple[Floats, float]:
    """Offsets of `count` neighbours within `width` of a category, and how far left of its interval the
    runs of one stand: well short of the next."""
    step = width / max(count, 1)
    return np.asarray((np.arange(count) - (count - 1) / 2) * step), min(0.35 * step, 0.13)


def seeds(axis: Axes, x: pd.Series, values: pd.Series, look: Look) -> None:
    """Every run as a small pale point."""
    axis.plot(
        x, values, linestyle="", marker=look.marker, markersize=2.2, alpha=0.55,
        color=look.color, markeredgewidth=0, zorder=2.2,
    )  # fmt: skip


def intervals(axis: Axes, x: pd.Series, rows: pd.DataFrame, column: str, look: Look) -> None:
    """IQM as a marker with its interval as a bar."""
    axis.vlines(x, rows[f"{column}_low"], rows[f"{column}_high"], color=look.color, linewidth=1)
    axis.plot(x, rows[f"{column}_iqm"], linestyle="", **look.point())


def draw_levels(row: list[Axes], values: Mapping[str, float]) -> None:
    """Controls as horizontal lines across the panels of a quantity, which hold their data already.

    A level farther from the methods than these lie apart would flatten them: it is left to `name_levels`.
    """
    low, high = _limits(row)
    if any(holds_data(axis) for axis in row):
        low, high = 2 * low - high, 2 * high - low
    else:
        low, high = -np.inf, np.inf
    for axis in row:
        for name, value in values.items():
            if low <= value <= high:
                axis.axhline(value, zorder=1.5, **level_line(name))


def upright_levels(axis: Axes, values: Mapping[str, float]) -> None:
    """Controls as vertical lines across a panel that holds its data, named in a corner with their numbers.

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
    if handles:
        names = axis.legend(handles=handles, loc="lower left", labelcolor=GREY, prop={"size": 6})
        names.set_in_layout(False)  # it is within the panel


def level_line(name: str) -> dict[str, Any]:
    """How the level of a control is drawn: keywords of a line."""
    return {"color": GREY, "linewidth": 0.9, "linestyle": _LEVELS.get(name, "-")}


def name_levels(figure: Figure, named: Mapping[Axes, Mapping[str, float]]) -> None:
    """Write the controls' names to the right of the panels, kept apart where levels are close.

    A level outside a panel has its number there, with an arrow. To be called last, when the limits of
    the axes are final.
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
            for line in [name] if place == value else [f"{value:.3g} {arrow}", name]:
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


def legend(
    figure: Figure, data: pd.DataFrame, shown: Mapping[str, Look], lines: bool = True
) -> None:
    """A legend below the panels: every label once, with runs that failed or are missing."""
    gaps = selection.gaps(data)
    handles = []
    for label, look in shown.items():
        text = f"{label} [{gaps[label]}]" if gaps.get(label) else label
        style = look.line() if lines else look.point() | {"linestyle": ""}
        handles.append(Line2D([], [], label=text, **style))
    if handles:
        longest = max(len(str(handle.get_label())) for handle in handles)
        fitting = max(1, int(PAGE * 72 / (longest * 3.7 + 36)))
        rows = -(-len(handles) // min(fitting, 6))
        columns = -(-len(handles) // rows)
        # Panels keep their size: what a legend of many rows needs beyond three is added below them.
        figure.set_figheight(figure.get_figheight() + 0.17 * max(0, rows - 3))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def label_zero(axis: Axes, nothing: float, edges: tuple[float, float]) -> None:
    """Decades on a log axis of bytes, and `0` at `nothing`, where methods without any stand."""
    low, high = edges
    axis.set_xlim(nothing / 1.35, high * 1.3)
    axis.axvline(nothing * 1.7, color="0.6", linewidth=0.6, linestyle=":")
    ticks = [
        tick for tick in LogLocator().tick_values(low, high) if low * 0.75 <= tick <= high * 1.3
    ]
    if len(ticks) < 2:
        fine = LogLocator(subs=(1, 2, 5)).tick_values(low, high)
        ticks = [tick for tick in fine if low * 0.75 <= tick <= high * 1.3]
    axis.xaxis.set_major_locator(FixedLocator([nothing, *ticks]))
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda tick, _: "0" if np.isclose(tick, nothing) else f"{tick:g}")
    )
    axis.xaxis.set_minor_locator(NullLocator())


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
    note(axis, text)
    return figure
