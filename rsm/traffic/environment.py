"""The traffic environment as arrays: what the training loop steps (observation, reward, ends)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.config.run import Traffic
from rsm.errors import RunError
from rsm.traffic.car_following import HumanDriver
from rsm.traffic.episode_stats import EpisodeStats, Tally
from rsm.traffic.observation import Observer, observation_size
from rsm.traffic.roads.figure_eight import figure_eight
from rsm.traffic.scenarios import HUMAN, LEARNER, Scenario, scenario
from rsm.traffic.simulation import MAX_SEED, RELEASE, Simulation

_MANY_VEHICLES = 42  # from here on arrays drive humans faster than a loop over them
_NOISE_BLOCK = 256  # steps of noise drawn at once; the stream does not depend on it


class Step(NamedTuple):
    """What one decision led to."""

    observation: NDArray[np.float32]  # [N, observation_size]
    reward: NDArray[np.float32]  # [N], sum over the executed simulation steps / decision_interval
    terminated: NDArray[np.bool_]  # [N], a collision: no bootstrap
    truncated: bool  # the horizon was reached: bootstrap
    over: bool  # the episode is over


class Vehicles(NamedTuple):
    """All vehicles at the current step, for drawing."""

    position: NDArray[np.float64]  # [V] m along the loop
    speed: NDArray[np.float64]  # [V] m/s
    x: NDArray[np.float64]  # [V] m; NaN while SUMO teleports the vehicle
    y: NDArray[np.float64]  # [V] m
    learners: NDArray[np.intp]  # [N] which of them learn


class TrafficEnv:
    """One scenario, stepped by decisions of its N learning vehicles.

    Observation of an agent: see rsm.traffic.observation. Action: acceleration in m/s², applied in
    every held simulation step as the target speed max(v + a·dt, 0); with `actions: target-speed`, a
    speed in m/s from `action_centre`, approached by at most the scenario's `action_limit` in m/s².
    Reward: that of the scenario, the same for every agent of a loop, and 0 in a step with a collision.

    With several loops a collision that terminates ends the episode of its own loop: its agents are
    `terminated`. The traffic there goes on, since the other loops do, and is a new start for the learner, but
    earns no return. The episode is over at the horizon, or when every loop has had its collision.

    `on_step`, if set, is called with this environment after `reset` and after every simulation step,
    also while a decision is held.
    """

    action_size = 1

    def __init__(self, traffic: Traffic) -> None:
        """Build the road and prepare SUMO; raises ConfigError if SUMO is missing or a name unknown."""
        self.traffic = traffic
        self.scenario = scenario(traffic.scenario)
        self.loops = self.scenario.loops
        self.network = figure_eight(self.scenario.limit, loops=self.loops)
        self.learners = self.scenario.learners
        self.n_agents = len(self.learners)
        self.n_vehicles = self.scenario.n_vehicles
        self.observation_size = observation_size(traffic)
        self.action_limit, self.action_centre = action_range(traffic, self.scenario)
        self.horizon = traffic.horizon
        self.dt = self.scenario.dt
        self.limit = self.scenario.limit
        self.on_step: Callable[[TrafficEnv], None] | None = None
        self._driver = HumanDriver()
        self._simulation = Simulation(self.scenario, self.network, traffic.horizon)
        self._noise: Iterator[list[float]] = iter(())
        self._running = False
        self._whole = True  # nobody was away at the last step
        self._ahead: list[int] = []
        self._behind: list[int] = []
        models = {HUMAN: self.scenario.human, LEARNER: self.scenario.learner}
        self._car_length = [models[kind].length for kind in self.scenario.kinds]
        self._humans = [i for i, kind in enumerate(self.scenario.kinds) if kind == HUMAN]
        size = (self.network.length, self.limit, self._car_length)
        self._observer = Observer(traffic, *size)
        self._tally = Tally(self.scenario, self.horizon, traffic.collision == "terminate")
        self._loop_of_agent = np.array(self.learners) // len(self.scenario.order)

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Begin the episode of a seed (a whole number of at least 0) and observe it, float32[N, O].

        The seed decides everything random in the episode: SUMO's generator and the humans' noise.
        """
        sumo, noise = np.random.SeedSequence(seed).spawn(2)
        try:
            self._simulation.reset(int(sumo.generate_state(1)[0]) % MAX_SEED)
        except self._simulation.errors as error:
            raise RunError(f"SUMO failed to load the episode of seed {seed}: {error}") from None
        self._noise = self._draw_noise(np.random.default_rng(noise))
        self._look_around([True] * self.n_vehicles)
        self._whole = True
        self._tally.begin()
        self._running = True
        if self.on_step is not None:
            self.on_step(self)
        return self._observe()

    def step(self, actions: ArrayLike | None) -> Step:
        """Hold one decision for `decision_interval` simulation steps, or to the end of the episode.

        `actions`: [N] or [N, 1] in m/s² (m/s from `action_centre` for target speeds), clipped to
        ±action_limit; None lets our human driver drive the learning vehicles. Raises ValueError for
        another shape or a value that is not finite, RuntimeError if no episode is running, RunError
        where SUMO fails.
        """
        if not self._running:
            raise RuntimeError("no episode is running: call reset() first")
        held = None if actions is None else self._checked(actions)
        tally = self._tally
        before = tally.rewards.copy()
        tally.crashed.clear()
        truncated = False
        for _ in range(self.traffic.decision_interval):
            try:
                self._advance(held)
            except self._simulation.errors as error:
                self._running = False
                raise RunError(f"SUMO failed after step {tally.steps}: {error}") from None
            over = tally.all_ended
            truncated = not over and tally.steps >= self.horizon
            if over or truncated:
                self._running = False
                break
        interval = self.traffic.decision_interval
        rewards_of_all = np.empty(self.n_agents, dtype=np.float32)
        ends = np.empty(self.n_agents, dtype=np.bool_)
        if self.loops == 1:
            rewards_of_all.fill((tally.rewards[0] - before[0]) / interval)
            ends.fill(bool(tally.crashed))
        else:
            gained = (np.array(tally.rewards) - np.array(before)) / interval
            rewards_of_all[:] = gained[self._loop_of_agent]
            ends[:] = np.isin(self._loop_of_agent, list(tally.crashed))
        return Step(self._observe(), rewards_of_all, ends, truncated, not self._running)

    def positions(self) -> NDArray[np.float64]:
        """Where the learning vehicles are, float64[N, 2] in metres; NaN while SUMO teleports one."""
        return np.asarray(self._simulation.xy(), dtype=np.float64)[list(self.learners)]

    def vehicles(self) -> Vehicles:
        """All vehicles at the current step."""
        xy = np.asarray(self._simulation.xy(), dtype=np.float64)
        position, speed = self._simulation.position, self._simulation.speed
        learners = np.asarray(self.learners, dtype=np.intp)
        return Vehicles(np.array(position), np.array(speed), xy[:, 0], xy[:, 1], learners)

    def stats(self) -> EpisodeStats:
        """The episode so far; all zero before the first reset."""
        return self._tally.stats()

    def close(self) -> None:
        """End the simulation and remove its files; may be called twice."""
        self._running = False
        self._simulation.close()

    def __enter__(self) -> TrafficEnv:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _checked(self, actions: ArrayLike) -> list[float]:
        # What a policy gives is read as it is: the floats of a float32 are the same without a copy.
        values: NDArray[np.floating]
        if isinstance(actions, np.ndarray) and actions.dtype == np.float32:
            values = actions
        else:
            values = np.asarray(actions, dtype=np.float64)
        if values.shape not in ((self.n_agents,), (self.n_agents, 1)):
            allowed = f"[{self.n_agents}] or [{self.n_agents}, 1]"
            raise ValueError(f"actions have shape {list(values.shape)}, expected {allowed}")
        # Plain floats here and below: for a handful of vehicles numpy's calls cost more than SUMO's step.
        given: list[float] = values.reshape(-1).tolist()
        # A finite sum has finite terms; an infinite one may have overflowed.
        if not math.isfinite(sum(given)) and not all(map(math.isfinite, given)):
            raise ValueError("actions must be finite numbers (m/s² or m/s)")
        limit = self.action_limit
        if -limit <= min(given) and max(given) <= limit:
            return given
        return [v if -limit <= v <= limit else math.copysign(limit, v) for v in given]

    def _advance(self, actions: list[float] | None) -> None:
        """One simulation step: command everybody, move, count, reward."""
        simulation, dt = self._simulation, self.dt
        speed, lane = simulation.speed, simulation.lane
        noise = next(self._noise)
        if actions is None:
            targets = self._driven(range(self.n_vehicles), noise)
        elif self.traffic.actions == "target-speed":
            change = self.scenario.action_limit * dt
            targets = [
                (vehicle, min(max(action + self.action_centre, own - change, 0.0), own + change))
                for vehicle, action in zip(self.learners, actions, strict=True)
                if lane[vehicle]
                for own in (speed[vehicle],)
            ]
            targets += self._driven(self._humans, noise)
        else:
            targets = [
                # Compared, here and below, since a call of max costs more than all the arithmetic.
                (vehicle, 0.0 if (target := speed[vehicle] + action * dt) < 0.0 else target)
                for vehicle, action in zip(self.learners, actions, strict=True)
                if lane[vehicle]
            ]
            targets += self._driven(self._humans, noise)
        simulation.command(targets)
        simulation.step()
        whole = all(simulation.lane)
        if simulation.collided or simulation.teleported or not (whole and self._whole):
            # Teleporting may put a vehicle elsewhere in the order, as it leaves and as it comes back;
            # otherwise nobody overtakes.
            self._look_around([bool(name) for name in simulation.lane])
        self._whole = whole
        self._tally.count(simulation.speed, simulation.collided, simulation.teleported)
        if self.on_step is not None:
            self.on_step(self)

    def _look_around(self, present: list[bool]) -> None:
        """Who follows whom, loop by loop."""
        self._ahead, self._behind = [], []
        for members in self._tally.members:
            near = neighbours(self._simulation.position[members], present[members])
            for known, found in zip((self._ahead, self._behind), near, strict=True):
                known += [members.start + other for other in found]
        self._observer.look(self.learners, self._behind, self._ahead)

    def _driven(self, vehicles: Iterable[int], noise: list[float]) -> list[tuple[int, float]]:
        """Target speeds of these vehicles by the human driver; inside a junction SUMO may have them."""
        simulation, length, dt = self._simulation, self.network.length, self.dt
        position, speed, lanes = simulation.position, simulation.speed, simulation.lane
        ahead, car_length, drive = self._ahead, self._car_length, self._driver.acceleration
        released = self.traffic.junction == "sumo"
        many = self.n_vehicles >= _MANY_VEHICLES
        accelerations = self._human_accelerations() if many else []
        targets = []
        for vehicle in vehicles:
            lane = lanes[vehicle]
            if not lane:
                continue
            if released and lane[0] == ":":
                # Flow's rule: no command inside a junction, SUMO's own car-following drives there.
                targets.append((vehicle, RELEASE))
                continue
            leader, own = ahead[vehicle], speed[vehicle]
            if many:
                acceleration = accelerations[vehicle] + noise[vehicle]
            else:
                gap = (position[leader] - position[vehicle]) % length - car_length[leader]
                acceleration = drive(own, gap, speed[leader]) + noise[vehicle]
            target = own + acceleration * dt
            targets.append((vehicle, 0.0 if target < 0.0 else target))
        return targets

    def _human_accelerations(self) -> list[float]:
        """What our human driver would do (m/s²) in the place of every vehicle, noise aside."""
        position, speed = np.array(self._simulation.position), np.array(self._simulation.speed)
        ahead = np.array(self._ahead)
        gap = (position[ahead] - position) % self.network.length - np.array(self._car_length)[ahead]
        driven: list[float] = self._driver.accelerations(speed, gap, speed[ahead]).tolist()
        return driven

    def _observe(self) -> NDArray[np.float32]:
        return self._observer.observe(self._simulation.position, self._simulation.speed)

    def _draw_noise(self, generator: np.random.Generator) -> Iterator[list[float]]:
        """Acceleration noise (m/s²) of every vehicle, step by step, as plain floats."""
        shape = (_NOISE_BLOCK, self.n_vehicles)
        while True:
            yield from generator.normal(0.0, self.scenario.noise, shape).tolist()


def action_range(traffic: Traffic, road: Scenario) -> tuple[float, float]:
    """Largest action and what it is measured from: m/s² and 0, or m/s of target speed."""
    if traffic.actions == "acceleration":
        return road.action_limit, 0.0
    return traffic.target_speed_max / 2, traffic.target_speed_max / 2


def neighbours(positions: list[float], present: list[bool]) -> tuple[list[int], list[int]]:
    """Leader and follower of every vehicle of one loop, by position (m) along it.

    A vehicle that is not `present` is nobody's neighbour and still has neighbours itself. Where no
    other vehicle is present, a vehicle is its own neighbour.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    count = len(order)
    ahead, behind = list(range(count)), list(range(count))
    for place, vehicle in enumerate(order):
        circle = [order[(place + offset) % count] for offset in range(1, count)]
        ahead[vehicle] = next((other for other in circle if present[other]), vehicle)
        behind[vehicle] = next((other for other in reversed(circle) if present[other]), vehicle)
    return ahead, behind
