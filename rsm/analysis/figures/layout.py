"""Panels of a figure: where they stand, what they share and what stands over them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets
from rsm.analysis.figures.style import PAGE, TALLEST
from rsm.analysis.labels import topology_label


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
    limits = y_range(row)
    for axis in row:
        axis.set_ylim(limits)
        spec = axis.get_subplotspec()
        if spec is not None and not spec.is_first_col():
            axis.tick_params(labelleft=False, which="both")
            axis.set_ylabel("")


def y_range(row: list[Axes]) -> tuple[float, float]:
    """The range of y that holds the panels with data; of all, where none has any."""
    limits = [axis.get_ylim() for axis in row if holds_data(axis)]
    limits = limits or [axis.get_ylim() for axis in row]
    return min(low for low, _ in limits), max(high for _, high in limits)


def points(axis: Axes, columns: int = 1) -> float:
    """About how wide `columns` such panels of a page are beside each other, in points, without numbers."""
    spec = axis.get_subplotspec()
    row = spec.get_gridspec().ncols if spec is not None else 1
    return columns * (PAGE * 72 - 60) / row - 15


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


def name_x(axis: Axes, text: str) -> None:
    """Label of x, its unit or remark on a line of its own where four panels stand side by side."""
    spec = axis.get_subplotspec()
    narrow = spec is not None and spec.get_gridspec().ncols >= 4
    axis.set_xlabel(text.replace(" (", "\n(") if narrow else text)


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


def below_world(data: pd.DataFrame, title: str) -> str:
    """That title, and above it the world that is shown where the study has several."""
    return "\n".join(filter(None, [facets.named_world(data), title]))
