"""Agents and the vehicles they drive: fixed ones on loops, slots of a queue on open roads.

Both say who is commanded what in a simulation step, what the agents observe, and what has become of their
vehicles. `TrafficEnv` asks them and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.actions import ActionMap
from rsm.traffic.car_following import RELEASE, HumanTraffic, neighbours
from rsm.traffic.observation import Observer, gap_observation, observation_size
from rsm.traffic.rewards import short_headways
from rsm.traffic.scenarios import HUMAN, LEARNER, Scenario
from rsm.traffic.simulation import Simulation
from rsm.traffic.slots import Queue, Slots
from rsm.traffic.surroundings import Near, on_loops, on_open_roads

Actions = list[float] | Literal["sumo"] | None  # as of `TrafficEnv.step`, checked
Targets = list[tuple[int, float]]  # vehicles and their target speeds, m/s


class Agents(Protocol):
    """What the environment asks of either kind."""

    @property
    def seats(self) -> Sequence[int]:
        """The vehicle of every agent among those on the road, `[N]`; −1: none."""

    def begin(self, noise: np.random.Generator) -> None:
        """A new episode, after the reset of the simulation; `noise` is that of the human drivers."""

    def targets(self, actions: Actions) -> Targets:
        """What is commanded for the next simulation step."""

    def moved(self) -> None:
        """A simulation step was made."""

    def headways(self) -> float:
        """What short headways of the agents amount to (rsm.traffic.rewards.short_headways)."""

    def decided(self) -> Slots | None:
        """A decision has ended; None where every agent always has its vehicle."""

    def observe(self) -> NDArray[np.float32]:
        """Observations, float32[N, O]."""


class LoopAgents:
    """Learning vehicles on loops, and human drivers between them."""

    def __init__(self, traffic: Traffic, road: Scenario, simulation: Simulation) -> None:
        self._road, self._simulation = road, simulation
        self.seats = road.learners
        network = simulation.network
        ends = list(itertools.accumulate(map(len, road.orders)))
        pairs = zip(ends, road.orders, strict=True)
        self._members = [slice(end - len(order), end) for end, order in pairs]
        models = {HUMAN: road.human, LEARNER: road.learner}
        self._lengths = [models[kind].length for kind in road.kinds]
        self._human_traffic = None
        if road.driver is not None:
            self._human_traffic = HumanTraffic(
                road.driver, self._lengths, network.length, road.dt, traffic.junction
            )
        self._humans = [i for i, kind in enumerate(road.kinds) if kind == HUMAN]
        self._action_map = ActionMap(traffic, road)
        self._observer = None
        if traffic.observed != "gaps":
            self._observer = Observer(traffic, network.length, road.limit, self._lengths)
        self._complete = True  # all vehicles were on the road at the last step
        self._ahead: list[int] = []
        self._behind: list[int] = []

    def begin(self, noise: np.random.Generator) -> None:
        """Everybody is on the road."""
        if self._human_traffic is not None:
            self._human_traffic.begin(noise)
        self._look([True] * self._road.n_vehicles)
        self._complete = True

    def targets(self, actions: Actions) -> Targets:
        """Learners by their actions, humans by the human driver, who drives all where `actions` is None."""
        simulation = self._simulation
        position, speed, lane = simulation.position, simulation.speed, simulation.lane
        targets: Targets = []
        humans: Iterable[int] = self._humans
        if actions is None:
            humans = range(self._road.n_vehicles)
        elif actions == "sumo":
            targets = [(vehicle, RELEASE) for vehicle in self.seats if lane[vehicle]]
        else:
            targets = self._action_map.targets(self.seats, actions, speed, lane)
        if self._human_traffic is None:
            return targets
        return targets + self._human_traffic.commands(humans, position, speed, lane, self._ahead)

    def moved(self) -> None:
        """Look anew at who follows whom, where that may have changed."""
        simulation = self._simulation
        complete = all(simulation.lane)
        if simulation.collided or simulation.teleported or not (complete and self._complete):
            # Teleporting may put a vehicle elsewhere in the order, as it leaves and as it comes back;
            # otherwise nobody overtakes.
            self._look([bool(name) for name in simulation.lane])
        self._complete = complete

    def headways(self) -> float:
        """Of all learners."""
        speed = [self._simulation.speed[vehicle] for vehicle in self.seats]
        return short_headways(speed, [around.gap for around in self._near()])

    def decided(self) -> None:
        """Nobody comes or goes."""

    def observe(self) -> NDArray[np.float32]:
        """As the settings say (rsm.traffic.observation)."""
        simulation = self._simulation
        if self._observer is not None:
            return self._observer.observe(simulation.position, simulation.speed)
        length, limit = simulation.network.length, self._road.limit
        return gap_observation(self.seats, self._near(), simulation.speed, length, limit)

    def _near(self) -> list[Near]:
        network, position = self._simulation.network, self._simulation.position
        return on_loops(network, self.seats, position, self._lengths, self._ahead, self._behind)

    def _look(self, present: list[bool]) -> None:
        """Who follows whom, loop by loop."""
        self._ahead, self._behind = [], []
        for members in self._members:
            near = neighbours(self._simulation.position[members], present[members])
            for known, found in zip((self._ahead, self._behind), near, strict=True):
                known += [members.start + other for other in found]
        if self._observer is not None:
            self._observer.look(self.seats, self._behind, self._ahead)


class SlotAgents:
    """Slots for the learning vehicles of an open road; SUMO drives everybody else.

    A vehicle that takes a slot is driven from the next decision on. Raises ConfigError for a scenario with
    drivers of ours, who would have to know who is ahead.
    """

    def __init__(self, traffic: Traffic, road: Scenario, simulation: Simulation) -> None:
        if road.driver is not None or not road.slots:
            raise ConfigError(
                f"scenario: {road.name}: an open road with drivers of ours, or without slots, is not allowed: "
                "driver None and slots are expected"
            )
        self._road, self._simulation = road, simulation
        self._action_map = ActionMap(traffic, road)
        self._lengths = {HUMAN: road.human.length, LEARNER: road.learner.length}
        self._queue, self._size = Queue(road.slots), observation_size(traffic)
        self._left: NDArray[np.bool_]  # [N] in the present decision
        self._last: NDArray[np.float32]  # [N, O]
        self._measured: tuple[list[str], list[float]] = ([], [])  # lengths of these vehicles, m
        self._around: list[Near] | None = None  # of the present step, once it was looked at
        self._observed: NDArray[np.float32] | None = None
        self.seats: list[int] = []
        self._before = _Moment.of(simulation)
        self._arrange()

    def begin(self, noise: np.random.Generator) -> None:
        """Slots are empty but for learning vehicles of the start."""
        self._queue.begin()
        self.seats = []
        self._arrange()

    def targets(self, actions: Actions) -> Targets:
        """The vehicles in slots by their actions, unless SUMO drives them too."""
        simulation = self._simulation
        self._before = _Moment.of(simulation)
        if actions is None or actions == "sumo":
            return []
        pairs = [(v, action) for v, action in zip(self.seats, actions, strict=True) if v >= 0]
        vehicles, given = [v for v, _ in pairs], [action for _, action in pairs]
        return self._action_map.targets(vehicles, given, simulation.speed, simulation.lane)

    def moved(self) -> None:
        """Whoever has left the road was last seen before this step."""
        self._around = self._observed = None
        if self._simulation.ids is self._before.ids:
            return  # nobody came or left
        before, self.seats = self.seats, self._queue.seats(self._simulation.index)
        gone = [v if now < 0 else -1 for v, now in zip(before, self.seats, strict=True)]
        if max(gone) >= 0:
            left = np.array(gone) >= 0
            self._last[left] = self._seen(gone, self._before)[left]
            self._left |= left

    def headways(self) -> float:
        """Of the vehicles in slots that have a leader."""
        near, speed = self._near_now(), self._simulation.speed
        led = [place for place, around in enumerate(near) if around.ahead >= 0]
        own = [speed[self.seats[place]] for place in led]
        return short_headways(own, [near[place].gap for place in led])

    def decided(self) -> Slots:
        """Free slots are taken by those who wait."""
        acted, left, last = self._acted, self._left, self.observe()
        gone = bool(left.any())
        if gone:
            last[left] = self._last[left]
        if gone or self._simulation.entered > self._queue.seen:
            self._arrange()
        else:
            self._begin_decision()
        return Slots(acted, left, last, self._acted)

    def observe(self) -> NDArray[np.float32]:
        """Zeros for an empty slot."""
        if self._observed is None:
            simulation = self._simulation
            length, limit = simulation.network.length, self._road.limit
            near = self._near_now()
            self._observed = gap_observation(self.seats, near, simulation.speed, length, limit)
        return self._observed.copy()

    def _near_now(self) -> list[Near]:
        """What is around every agent's vehicle now, looked at once a step."""
        if self._around is None:
            self._around = self._near(self.seats, _Moment.of(self._simulation))
            self._observed = None
        return self._around

    def _arrange(self) -> None:
        simulation = self._simulation
        self._queue.arrange(simulation.index, simulation.numbers, simulation.entered)
        seats = self._queue.seats(simulation.index)
        if seats != self.seats:
            self.seats, self._around, self._observed = seats, None, None
        self._begin_decision()

    def _begin_decision(self) -> None:
        self._acted = np.array(self.seats) >= 0  # by the next decision
        self._left = np.zeros(len(self.seats), dtype=np.bool_)
        self._last = np.zeros((len(self.seats), self._size), dtype=np.float32)

    def _near(self, vehicles: Sequence[int], moment: _Moment) -> list[Near]:
        if moment.ids is not self._measured[0]:
            self._measured = moment.ids, [self._lengths[name[0]] for name in moment.ids]
        ways, lengths = self._simulation.network.ways, self._measured[1]
        return on_open_roads(ways, vehicles, moment.position, moment.lane, lengths)

    def _seen(self, vehicles: Sequence[int], moment: _Moment) -> NDArray[np.float32]:
        near = self._near(vehicles, moment)
        length, limit = self._simulation.network.length, self._road.limit
        return gap_observation(vehicles, near, moment.speed, length, limit)


class _Moment(NamedTuple):
    """The vehicles on an open road at one step."""

    ids: list[str]
    position: list[float]
    speed: list[float]
    lane: list[str]

    @classmethod
    def of(cls, simulation: Simulation) -> _Moment:
        return cls(simulation.ids, simulation.position, simulation.speed, simulation.lane)
