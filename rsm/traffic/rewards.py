"""The reward of a simulation step: one number in [0, 1] from the speeds of all vehicles."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_speed(speeds: Sequence[float], limit: float) -> float:
    """Mean speed as a fraction of the limit (m/s), at most 1: the published experiment's reward."""
    return min(sum(speeds) / (len(speeds) * limit), 1.0)


def desired_velocity(speeds: Sequence[float], target: float) -> float:
    """Flow's desired velocity: max(‖v*‖ − ‖v − v*‖, 0) / ‖v*‖ with v* the `target` (m/s) for all."""
    best = target * math.sqrt(len(speeds))
    cost = math.sqrt(sum([(speed - target) ** 2 for speed in speeds]))
    return max(best - cost, 0.0) / best


def short_headways(speeds: Sequence[float], gaps: Sequence[float]) -> float:
    """Σ max(0, 1 − time headway / 1 s) over vehicles that drive, from their speeds (m/s) and gaps ahead (m)."""
    pairs = zip(speeds, gaps, strict=True)
    return sum(max(0.0, 1.0 - max(gap, 0.0) / speed) for speed, gap in pairs if speed > 0.0)
