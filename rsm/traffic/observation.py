"""Observations of the learning vehicles.

`absolute`, the published one: own position and speed, follower's position and speed, leader's
position and speed; positions over the loop length, speeds over the limit. `relative`: sine and
cosine of the own position as an angle on the loop, own speed, gap to the leader and its speed minus
the own, and the same of the follower; gaps, bumper to bumper, over the loop length. Both need a loop.

`gaps`, that of Flow's on-ramp and good for any road: own speed, the leader's speed minus it, gap to the
leader, own speed minus the follower's, the follower's gap; speeds over the limit, gaps over the length of the
road. Without a leader its speed is the limit and the gap is the length, without a follower its speed is 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsm.config.learning import Traffic
from rsm.traffic.surroundings import Near

Floats = NDArray[np.float64]


def observation_size(traffic: Traffic) -> int:
    """O, the numbers that an agent observes."""
    return len(bounds(traffic)[0])


def bounds(traffic: Traffic) -> tuple[list[float], list[float]]:
    """Least and largest value of each, as SUMO lets a driver exceed the limit by a factor of at most 2."""
    if traffic.observed == "absolute":
        return [0.0] * 6, [1.0, 2.0] * 3
    if traffic.observed == "gaps":
        return [0.0, -2.0, -1.0, -2.0, -1.0], [2.0, 2.0, 1.0, 2.0, 1.0]
    return [-1.0, -1.0, 0.0, -1.0, -2.0, -1.0, -2.0], [1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]


def gap_observation(
    vehicles: Sequence[int],
    near: Sequence[Near],
    speed: Sequence[float],
    length: float,
    limit: float,
) -> NDArray[np.float32]:
    """float32[N, 5] of `gaps` for N vehicles, zeros where that is −1, with what is `near` each.

    `speed` of all vehicles in m/s, `length` of the road in m, its `limit` in m/s.
    """
    rows: list[tuple[float, ...]] = []
    for me, around in zip(vehicles, near, strict=True):
        if me < 0:
            rows.append((0.0,) * 5)
            continue
        own = speed[me]
        leader = speed[around.ahead] if around.ahead >= 0 else limit
        follower = speed[around.behind] if around.behind >= 0 else 0.0
        ahead, behind = min(around.gap, length), min(around.gap_behind, length)
        speeds = own / limit, (leader - own) / limit, (own - follower) / limit
        rows.append((speeds[0], speeds[1], ahead / length, speeds[2], behind / length))
    return np.array(rows, dtype=np.float32)


class Observer:
    """Observations of the learning vehicles among V on loops, from all positions and speeds."""

    def __init__(
        self, traffic: Traffic, length: float, limit: float, car_length: Sequence[float]
    ) -> None:
        """Of loops of `length` m with a `limit` in m/s; `car_length: [V]` in m."""
        self._absolute = traffic.observed == "absolute"
        vehicles = len(car_length)
        self._state = np.empty(2 * vehicles)  # all positions, then all speeds
        self._bytes: memoryview[int] = self._state.data.cast("B")
        self._pack = struct.Struct(f"{len(self._state)}d")
        self._scales = np.repeat((length, limit), vehicles)
        self._car_length: Floats = np.array(car_length) / length
        self._seen = np.empty((0, 6), dtype=np.intp)  # [N, 6] indices into `_state`

    def look(self, learners: Sequence[int], behind: Sequence[int], ahead: Sequence[int]) -> None:
        """Who drives behind and ahead of whom from now on, `behind` and `ahead: [V]`."""
        count = len(self._car_length)
        trios = [(me, behind[me], ahead[me]) for me in learners]
        self._seen = np.array([[i for who in trio for i in (who, count + who)] for trio in trios])

    def observe(self, position: Sequence[float], speed: Sequence[float]) -> NDArray[np.float32]:
        """float32[N, O] for positions (m along the loop) and speeds (m/s) of all vehicles."""
        # This runs at every decision, so it makes one small array and indexes it in one call. Packing is
        # twice as fast as numpy's own reading of a list.
        self._pack.pack_into(self._bytes, 0, *position, *speed)
        seen = (self._state / self._scales).take(self._seen)
        return (seen if self._absolute else self._relative(seen)).astype(np.float32)

    def _relative(self, seen: Floats) -> Floats:
        position, speed, behind, their_speed, ahead, its_speed = seen.T
        own, leader = self._seen[:, 0], self._seen[:, 4]
        columns = (
            np.sin(2 * np.pi * position),
            np.cos(2 * np.pi * position),
            speed,
            (ahead - position) % 1.0 - self._car_length[leader],
            its_speed - speed,
            (position - behind) % 1.0 - self._car_length[own],
            their_speed - speed,
        )
        return np.stack(columns, axis=1)
