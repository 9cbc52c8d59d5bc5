"""Actions of the learning vehicles (accelerations or target speeds) as commands to SUMO."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.config.learning import Traffic
from rsm.traffic.scenarios import Scenario


def action_range(traffic: Traffic, road: Scenario) -> tuple[float, float]:
    """Largest action and what it is measured from: m/s² and 0, or m/s of target speed."""
    if traffic.actions == "acceleration":
        return road.action_limit, 0.0
    return traffic.target_speed_max / 2, traffic.target_speed_max / 2


def checked_actions(actions: ArrayLike, agents: int, limit: float) -> list[float]:
    """Actions [N] or [N, 1], clipped to ±limit, as plain floats.

    Raises ValueError for another shape or a value that is not finite.
    """
    # What a policy gives is read as it is: the floats of a float32 are the same without a copy.
    values: NDArray[np.floating]
    if isinstance(actions, np.ndarray) and actions.dtype == np.float32:
        values = actions
    else:
        values = np.asarray(actions, dtype=np.float64)
    if values.shape not in ((agents,), (agents, 1)):
        allowed = f"[{agents}] or [{agents}, 1]"
        raise ValueError(f"actions have shape {list(values.shape)}, expected {allowed}")
    # Plain floats from here on: for a few vehicles numpy's calls cost more than SUMO's step.
    given: list[float] = values.reshape(-1).tolist()
    # A finite sum has finite terms; an infinite one may have overflowed.
    if not math.isfinite(sum(given)) and not all(map(math.isfinite, given)):
        raise ValueError("actions must be finite numbers (m/s² or m/s)")
    if -limit <= min(given) and max(given) <= limit:
        return given
    return [v if -limit <= v <= limit else math.copysign(limit, v) for v in given]


class ActionMap:
    """From actions to the target speeds (m/s) of one simulation step."""

    def __init__(self, traffic: Traffic, road: Scenario) -> None:
        self._accelerates = traffic.actions == "acceleration"
        self._dt, self._largest_change = road.dt, road.action_limit * road.dt
        self._centre = action_range(traffic, road)[1]

    def targets(
        self,
        vehicles: Sequence[int],
        actions: Sequence[float],
        speed: Sequence[float],
        lane: Sequence[str],
    ) -> list[tuple[int, float]]:
        """These vehicles and their target speeds, for their actions, and speeds (m/s) and lanes of all [V].

        A vehicle that is away (its lane is empty) gets none.
        """
        dt, change, centre = self._dt, self._largest_change, self._centre
        if self._accelerates:
            return [
                # Compared, since a call of max costs more than all the arithmetic.
                (vehicle, 0.0 if (target := speed[vehicle] + action * dt) < 0.0 else target)
                for vehicle, action in zip(vehicles, actions, strict=True)
                if lane[vehicle]
            ]
        return [
            (vehicle, min(max(action + centre, own - change, 0.0), own + change))
            for vehicle, action in zip(vehicles, actions, strict=True)
            if lane[vehicle]
            for own in (speed[vehicle],)
        ]
