"""Numbers on logarithmic axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator


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
