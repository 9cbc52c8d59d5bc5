"""Who is ahead of a vehicle and behind it, on a road of any kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rsm.traffic.netconvert import Network


class Near(NamedTuple):
    """The vehicles around one, −1 where there is none, and bumper to bumper gaps to them (m)."""

    ahead: int = -1
    gap: float = math.inf
    behind: int = -1
    gap_behind: float = math.inf


NOBODY = Near()


def on_loops(
    network: Network,
    vehicles: Sequence[int],
    position: Sequence[float],
    lengths: Sequence[float],
    ahead: Sequence[int],
    behind: Sequence[int],
) -> list[Near]:
    """Around these `vehicles` on loops where it is known who follows whom (car_following.neighbours).

    Of all vehicles: `position` (m), `lengths` (m), who is `ahead` and `behind`.
    """
    found = []
    for me in vehicles:
        leader, follower = ahead[me], behind[me]
        gap = network.gap(position[me], position[leader]) - lengths[leader]
        gap_behind = network.gap(position[follower], position[me]) - lengths[me]
        found.append(NOBODY if leader == me else Near(leader, gap, follower, gap_behind))
    return found


def on_open_roads(
    ways: Mapping[str, int],
    vehicles: Sequence[int],
    position: Sequence[float],
    lane: Sequence[str],
    lengths: Sequence[float],
) -> list[Near]:
    """Around these `vehicles` on an open road with `ways` as of its network; −1 is nobody, with NOBODY around.

    The next vehicle further on, or further back, on a lane that a common route leads over. Of all vehicles:
    `position` (m), `lane` (empty of a vehicle that is away), `lengths` (m).
    """
    order = sorted([i for i, name in enumerate(lane) if name], key=position.__getitem__)
    places = dict(zip(order, range(len(order)), strict=True))
    found = []
    for me in vehicles:
        if me not in places:
            found.append(NOBODY)
            continue
        place, way, here = places[me], ways[lane[me]], position[me]
        leader, gap, follower, gap_behind = NOBODY
        for other in order[place + 1 :]:
            if ways[lane[other]] & way:
                leader, gap = other, position[other] - here - lengths[other]
                break
        # Backwards from the one behind, without it where there is none.
        for other in order[place - 1 :: -1] if place else ():
            if ways[lane[other]] & way:
                follower, gap_behind = other, here - position[other] - lengths[me]
                break
        found.append(Near(leader, gap, follower, gap_behind))
    return found
