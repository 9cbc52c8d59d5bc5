"""What a road is: the object that the environment is given.

A new road is a file with a function `(limit, vehicles) -> Road`, which a scenario names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rsm.traffic.netconvert import Network, Place


class Road(NamedTuple):
    """Geometry, and where vehicles are to begin with.

    `network` says where lanes begin, which ways lead over them and so who is ahead of whom.
    """

    network: Network
    starts: tuple[Place, ...]  # of the vehicles of all copies, in the order of their numbers


class RoadBuilder(Protocol):
    """A function that a scenario names."""

    def __call__(self, limit: float, vehicles: Sequence[int]) -> Road:
        """Separate copies with a speed limit in m/s, each with that number of vehicles at the start.

        Raises ConfigError for numbers that it cannot have.
        """
