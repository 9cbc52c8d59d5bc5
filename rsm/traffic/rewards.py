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
