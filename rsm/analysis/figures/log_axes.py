"""Numbers on logarithmic axes."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

FEWEST, MOST = 3, 7  # numbers on an axis


def number_axis(axis: Axis, low: float, high: float, zero: float | None = None) -> None:
    """Few round numbers from `low` to `high`, none of them between the ticks.

    `zero` is the place of 0, which a logarithm does not have, on an axis that needs it.
    """
    found = ticks(low, high)
    axis.set_major_locator(FixedLocator(found if zero is None else [zero, *found]))
    plain = all(1e-3 <= tick < 1e5 for tick in found)
    axis.set_major_formatter(
        FuncFormatter(
            lambda tick, _: "0" if zero and np.isclose(tick, zero) else number(tick, plain)
        )
    )
    axis.set_minor_locator(NullLocator())


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: decades where these are enough, else also 3, or 2 and 5, times."""
    found: list[float] = []
    for times in ([1], [1, 3], [1, 2, 5], [*range(1, 10)]):
        every = LogLocator(subs=times, numticks=50).tick_values(low, high)
        found = [float(tick) for tick in every if low <= tick <= high]
        if len(found) >= FEWEST:
            break
    return found[:: -(-len(found) // MOST) or 1]


def number(value: float, plain: bool) -> str:
    """A number of an axis: as it is, or with its power of ten where some on the axis are long."""
    if plain:
        return f"{value:g}"
    power = math.floor(math.log10(value) + 1e-9)
    times = value / 10**power
    return f"$10^{{{power}}}$" if np.isclose(times, 1) else f"${times:.0f}·10^{{{power}}}$"


def bytes_axis(axis: Axes, edges: tuple[float, float], zero: float | None = None) -> None:
    """The x axis of bytes transmitted, from the fewest to the most, `edges`.

    Where some send nothing, `zero` is their place, left of a dotted divide.
    """
    low, high = edges
    axis.set_xscale("log")
    axis.set_xlim(low / 1.3 if zero is None else zero / 1.35, high * 1.3)
    if zero is not None:
        axis.axvline(zero * 1.7, color="0.6", linewidth=0.6, linestyle=":")
    number_axis(axis.xaxis, low * 0.75, high * 1.3, zero)
