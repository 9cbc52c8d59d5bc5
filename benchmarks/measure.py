"""Median CPU times of alternatives, measured in turn, so that a busy moment slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Seconds = dict[str, float]


class Row(NamedTuple):
    """One line of the table: what was measured, what it is held to, and whether it meets that."""

    part: str
    measured: str
    target: str
    met: bool
    numbers: dict[str, float]  # what the verdict was computed from, for the JSON


def medians(parts: Mapping[str, Callable[[], object]], repeats: int, warm: int = 1) -> Seconds:
    """Median CPU seconds of a call of each part, measured in turn `repeats` times after `warm` calls."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for repeat in range(warm + repeats):
        for name, part in parts.items():
            start = time.process_time()
            part()
            if repeat >= warm:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def milliseconds(seconds: float) -> str:
    """Seconds as text in ms."""
    return f"{seconds * 1e3:.3g} ms"
