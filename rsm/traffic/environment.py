"""The traffic environment as arrays: what the training loop steps (observation, reward, ends)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.config import RunError, Traffic
from rsm.traffic import rewards
from rsm.traffic.drivers import HumanDriver
from rsm.traffic.networks import figure_eight
from rsm.traffic.scenarios import HUMAN, LEARNER, scenario
from rsm.traffic.simulation import MAX_SEED, RELEASE, Simulation

_NOISE_BLOCK = 256  # steps of noise drawn at once; the stream does not depend on it


class Step(NamedTuple):
    """What one decision led to."""

    observation: NDArray[np.float32]  # [N, observation_size]
    reward: NDArray[np.float32]  # [N], sum over the executed simulation steps / decision_interval
    terminated: NDArray[np.bool_]  # [N], a collision: no bootstrap
    truncated: bool  # the horizon was reached: bootstrap


class EpisodeStats(NamedTuple):
    """The episode so far.

    `episode_return` is the sum of the step rewards over the *full* horizon, so an episode that a
    collision ended early earns nothing for the steps it missed. `mean_speed` is over the executed
    steps only: a collision's end shortens it and does not lower it. A vehicle that SUMO is
    teleporting counts as standing.
    """

    episode_return: float  # in [0, 1], mean over agents
    mean_speed: float  # m/s, over all vehicles and executed steps
    collisions: int
    teleports: int
    steps: int  # simulation steps executed


class Vehicles(NamedTuple):
    """All vehicles at the current step, for drawing."""

    position: NDArray[np.float64]  # [V] m along the loop
    speed: NDArray[np.float64]  # [V] m/s
    x: NDArray[np.float64]  # [V] m; NaN while SUMO teleports the vehicle
    y: NDArray[np.float64]  # [V] m
    learners: NDArray[np.intp]  # [N] which of them learn


class TrafficEnv:
    """One scenario, stepped by decisions of its N learning vehicles.

    Observation of an agent: own position and speed, follower's position and speed, leader's position
    and speed; positions over the loop length, speeds over the limit. Action: acceleration in m/s²,
    applied in every held simulation step as the target speed max(v + a·dt, 0). Reward: that of the
    scenario, the same for every agent, and 0 in a step with a collision.

    `on_step`, if set, is called with this environment after `reset` and after every simulation step,
    also while a decision is held.
    """

    observation_size = 6
    action_size = 1

    def __init__(self, traffic: Traffic) -> None:
        """Build the road and prepare SUMO; raises ConfigError if SUMO is missing or a name unknown."""
        self.traffic = traffic
        self.scenario = scenario(traffic.scenario)
        self.network = figure_eight(self.scenario.limit)
        self.learners = self.scenario.learners
        self.n_agents = len(self.learners)
        self.n_vehicles = self.scenario.n_vehicles
        self.action_limit = self.scenario.action_limit
        self.horizon = traffic.horizon
        self.dt = self.scenario.dt
        self.limit = self.scenario.limit
        self.on_step: Callable[[TrafficEnv], None] | None = None
        self._driver = HumanDriver()
        self._simulation = Simulation(self.scenario, self.network, traffic.horizon)
        self._noise: Iterator[list[float]] = iter(())
        self._running = False
        self._steps = self._collisions = self._teleports = 0
        self._reward_sum = self._speed_sum = 0.0
        self._ahead: list[int] = []
        self._behind: list[int] = []
        self._seen = np.empty((0, self.observation_size), dtype=np.intp)
        self._state = np.empty(2 * self.n_vehicles)  # all positions, then all speeds
        self._bytes: memoryview[int] = self._state.data.cast("B")
        self._pack = struct.Struct(f"{len(self._state)}d")
        self._scales = np.repeat((self.network.length, self.limit), self.n_vehicles)
        models = {HUMAN: self.scenario.human, LEARNER: self.scenario.learner}
        self._car_length = [models[kind].length for kind in self.scenario.order]
        self._humans = [i for i, kind in enumerate(self.scenario.order) if kind == HUMAN]

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Begin the episode of a seed (a whole number of at least 0) and observe it, float32[N, 6].

        The seed decides everything random in the episode: SUMO's generator and the humans' noise.
        """
        sumo, noise = np.random.SeedSequence(seed).spawn(2)
        try:
            self._simulation.reset(int(sumo.generate_state(1)[0]) % MAX_SEED)
        except self._simulation.errors as error:
            raise RunError(f"SUMO failed to load the episode of seed {seed}: {error}") from None
        self._noise = self._draw_noise(np.random.default_rng(noise))
        self._look_around([True] * self.n_vehicles)
        self._steps = self._collisions = self._teleports = 0
        self._reward_sum = self._speed_sum = 0.0
        self._running = True
        if self.on_step is not None:
            self.on_step(self)
        return self._observe()

    def step(self, accelerations: ArrayLike | None) -> Step:
        """Hold one decision for `decision_interval` simulation steps, or to the end of the episode.

        `accelerations`: [N] or [N, 1] in m/s², clipped to ±action_limit; None lets our human driver
        drive the learning vehicles. Raises ValueError for another shape or a value that is not
        finite, RuntimeError if no episode is running, RunError where SUMO fails.
        """
        if not self._running:
            raise RuntimeError("no episode is running: call reset() first")
        actions = None if accelerations is None else self._checked(accelerations)
        before, collisions = self._reward_sum, self._collisions
        terminated = truncated = False
        for _ in range(self.traffic.decision_interval):
            try:
                self._advance(actions)
            except self._simulation.errors as error:
                self._running = False
                raise RunError(f"SUMO failed after step {self._steps}: {error}") from None
            crashed = self._collisions > collisions
            terminated = crashed and self.traffic.collision == "terminate"
            truncated = not terminated and self._steps >= self.horizon
            if terminated or truncated:
                self._running = False
                break
        reward = (self._reward_sum - before) / self.traffic.decision_interval
        rewards_of_all = np.empty(self.n_agents, dtype=np.float32)
        rewards_of_all.fill(reward)
        ends = np.empty(self.n_agents, dtype=np.bool_)
        ends.fill(terminated)
        return Step(self._observe(), rewards_of_all, ends, truncated)

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
        speed = self._speed_sum / (self._steps * self.n_vehicles) if self._steps else 0.0
        total = self._reward_sum / self.horizon
        return EpisodeStats(total, speed, self._collisions, self._teleports, self._steps)

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

    def _checked(self, accelerations: ArrayLike) -> list[float]:
        # What a policy gives is read as it is: the floats of a float32 are the same without a copy.
        values: NDArray[np.floating]
        if isinstance(accelerations, np.ndarray) and accelerations.dtype == np.float32:
            values = accelerations
        else:
            values = np.asarray(accelerations, dtype=np.float64)
        if values.shape not in ((self.n_agents,), (self.n_agents, 1)):
            allowed = f"[{self.n_agents}] or [{self.n_agents}, 1]"
            raise ValueError(f"accelerations have shape {list(values.shape)}, expected {allowed}")
        # Plain floats here and below: for a handful of vehicles numpy's calls cost more than SUMO's step.
        given: list[float] = values.reshape(-1).tolist()
        # A finite sum has finite terms; an infinite one may have overflowed.
        if not math.isfinite(sum(given)) and not all(map(math.isfinite, given)):
            raise ValueError("accelerations must be finite numbers (m/s²)")
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
        self._steps += 1
        if simulation.collided or simulation.teleported or not all(simulation.lane):
            # Teleporting may put a vehicle elsewhere in the order; otherwise nobody overtakes.
            present = [bool(name) for name in simulation.lane]
            self._look_around(present)
        self._collisions += simulation.collided
        self._teleports += simulation.teleported
        self._speed_sum += sum(simulation.speed)
        if not simulation.collided:
            self._reward_sum += self._reward(simulation.speed)
        if self.on_step is not None:
            self.on_step(self)

    def _look_around(self, present: list[bool]) -> None:
        """Who follows whom, and what of [positions, speeds] the agents observe: `_seen: [N, 6]`."""
        self._ahead, self._behind = neighbours(self._simulation.position, present)
        count = self.n_vehicles
        trios = [(me, self._behind[me], self._ahead[me]) for me in self.learners]
        self._seen = np.array([[i for who in trio for i in (who, count + who)] for trio in trios])

    def _driven(self, vehicles: Iterable[int], noise: list[float]) -> list[tuple[int, float]]:
        """Target speeds of these vehicles by the human driver; inside a junction SUMO may have them."""
        simulation, length, dt = self._simulation, self.network.length, self.dt
        position, speed, lanes = simulation.position, simulation.speed, simulation.lane
        ahead, car_length, drive = self._ahead, self._car_length, self._driver.acceleration
        released = self.traffic.junction == "sumo"
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
            gap = (position[leader] - position[vehicle]) % length - car_length[leader]
            acceleration = drive(own, gap, speed[leader]) + noise[vehicle]
            target = own + acceleration * dt
            targets.append((vehicle, 0.0 if target < 0.0 else target))
        return targets

    def _observe(self) -> NDArray[np.float32]:
        """float32[N, 6]: own, follower's and leader's position and speed."""
        simulation = self._simulation
        # One small array, and one pick from it: this runs once a decision. Packing is twice as fast as
        # numpy's own reading of a list.
        self._pack.pack_into(self._bytes, 0, *simulation.position, *simulation.speed)
        scaled = self._state / self._scales
        return scaled.take(self._seen).astype(np.float32)

    def _reward(self, speeds: list[float]) -> float:
        if self.scenario.reward == "mean-speed":
            return rewards.mean_speed(speeds, self.limit)
        return rewards.desired_velocity(speeds, self.scenario.target_speed)

    def _draw_noise(self, generator: np.random.Generator) -> Iterator[list[float]]:
        """Acceleration noise (m/s²) of every vehicle, step by step, as plain floats."""
        shape = (_NOISE_BLOCK, self.n_vehicles)
        while True:
            yield from generator.normal(0.0, self.scenario.noise, shape).tolist()


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
