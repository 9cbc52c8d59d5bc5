"""Agents on an open road: slots for the learning vehicles that are there at the same time.

A learning vehicle waits from its arrival, keeps its slot until it leaves the road, and the longest waiting
takes the lowest free slot. In Flow the places behind one that leaves move up; here an agent learns, so that a
vehicle must not change the agent that drives it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsm.traffic.scenarios import LEARNER


class Slots(NamedTuple):
    """Agents whose vehicles come and go, over one decision."""

    acted: NDArray[np.bool_]  # [N] had a vehicle when the decision began
    left: NDArray[np.bool_]  # [N] that vehicle has left the road: its last transition ends here
    last: NDArray[np.float32]  # [N, O] what the vehicle that acted observed last
    live: NDArray[np.bool_]  # [N] has a vehicle now, perhaps another


class Queue:
    """Who holds which slot: `holders[slot]` is the name of a vehicle, None of an empty slot."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.begin()

    def begin(self) -> None:
        """A new episode: everything is empty."""
        self.holders: list[str | None] = [None] * self._size
        self._waiting: deque[str] = deque()
        self.seen = 0

    def arrange(self, index: Mapping[str, int], numbers: list[int], entered: int) -> None:
        """Slots of vehicles that left become free, and are taken in the order of arrival.

        `index` has the names on the road in the order of entering, `numbers` counts who has entered.
        """
        self.holders = [name if name in index else None for name in self.holders]
        since = bisect_left(numbers, self.seen)
        self._waiting += [name for name in list(index)[since:] if name[0] == LEARNER]
        self._waiting = deque(name for name in self._waiting if name in index)
        self.seen = entered
        for slot, holder in enumerate(self.holders):
            if holder is None and self._waiting:
                self.holders[slot] = self._waiting.popleft()

    def seats(self, index: Mapping[str, int]) -> list[int]:
        """Place of the vehicle of every slot among those on the road; −1: none."""
        return [-1 if name is None else index.get(name, -1) for name in self.holders]
