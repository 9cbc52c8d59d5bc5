"""Episode statistics: rewards, speeds, collisions and ends, summed loop by loop, an open road being one."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from rsm.traffic import rewards
from rsm.traffic.scenarios import Scenario


class EpisodeStats(NamedTuple):
    """The episode so far.

    `episode_return` is the sum of the step rewards divided by the *full* horizon, so an episode that
    a collision ended early earns nothing for the steps it missed. `mean_speed` is the mean over the
    executed steps only, each step with the mean over the vehicles that are on the road. A vehicle that SUMO is
    teleporting counts with speed 0. With several loops
    each of them is an episode of this kind: `episode_return` and `mean_speed` are means over them,
    `collisions` and `teleports` are sums, and `loop_returns` has the return of each.
    """

    episode_return: float  # in [0, 1], mean over agents
    mean_speed: float  # m/s, over all vehicles and executed steps
    collisions: int
    teleports: int
    steps: int  # simulation steps executed
    loop_returns: tuple[float, ...]  # in [0, 1], of every loop


class EpisodeAccumulator:
    """Sums up an episode step by step; vehicles are numbered loop by loop.

    `rewards[loop]` sums the step rewards. Where a collision `terminates`, the episode of its loop ends:
    steps after it do not count for the statistics. `rewards` continues, since the agents of that loop
    continue to learn. `crashed` holds the loops that ended in the present decision.
    """

    def __init__(self, road: Scenario, horizon: int, terminates: bool) -> None:
        self._road, self._horizon, self._terminates = road, horizon, terminates
        ends = list(itertools.accumulate(map(len, road.orders)))
        self.members = [
            slice(end - len(order), end) for end, order in zip(ends, road.orders, strict=True)
        ]
        self.begin()

    def begin(self) -> None:
        """A new episode."""
        self.steps = self._collisions = self._teleports = 0
        self._driven = 0  # simulation steps that count, summed over vehicles
        self._speed_sum = 0.0
        self.rewards = [0.0] * self._road.loops
        self.crashed: set[int] = set()
        self._earned: dict[int, float] = {}  # of a loop that ended: its rewards until then

    @property
    def all_ended(self) -> bool:
        """Every loop has had its collision."""
        return len(self._earned) == self._road.loops

    def count(
        self, speeds: list[float], collided: list[int], teleported: int, headways: float = 0.0
    ) -> None:
        """A simulation step: speeds (m/s) after it, vehicles that ran into another, teleports.

        `headways` is what the reward of an only road loses by short ones (rewards.short_headways).
        """
        self.steps += 1
        self._teleports += teleported
        several = self._road.loops > 1
        if several and not collided and not self._earned:
            self._count_all(speeds, headways)
            return
        struck = [self._road.loop_of_vehicle[vehicle] if several else 0 for vehicle in collided]
        self._collisions += sum(loop not in self._earned for loop in struck)
        for loop, members in enumerate(self.members):
            own = speeds[members] if several else speeds
            if loop not in self._earned:
                # Whoever is on an open road counts as one place of the start; on a loop the factor is 1.
                places = members.stop - members.start
                self._speed_sum += sum(own) * (places / len(own)) if own else 0.0
                self._driven += places
            if loop in self.crashed:
                continue  # the rest of the decision earns nothing
            if loop not in struck:
                self.rewards[loop] += self._reward(own, headways) if own else 0.0
            elif self._terminates:
                self.crashed.add(loop)
                self._earned.setdefault(loop, self.rewards[loop])

    def _count_all(self, speeds: list[float], headways: float) -> None:
        """The same for several loops in a step without a collision, none of which has had one: most steps."""
        for loop, members in enumerate(self.members):
            own = speeds[members]
            self._speed_sum += sum(own)
            self.rewards[loop] += self._reward(own, headways)
        self._driven += self._road.n_vehicles

    def stats(self) -> EpisodeStats:
        """The episode so far; all zero at its beginning."""
        speed = self._speed_sum / self._driven if self._driven else 0.0
        earned = [self._earned.get(loop, total) for loop, total in enumerate(self.rewards)]
        total = sum(earned) / self._road.loops / self._horizon
        of_loops = tuple(reward / self._horizon for reward in earned)
        return EpisodeStats(total, speed, self._collisions, self._teleports, self.steps, of_loops)

    def _reward(self, speeds: list[float], headways: float) -> float:
        if self._road.reward == "mean-speed":
            reward = rewards.mean_speed(speeds, self._road.limit)
        else:
            reward = rewards.desired_velocity(speeds, self._road.target_speed)
        weight = self._road.headway_weight
        return max(reward - weight * headways, 0.0) if weight else reward
