"""The traffic environment as arrays: what the training loop steps (observation, reward, ends)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.config.learning import Traffic
from rsm.errors import RunError
from rsm.traffic.actions import ActionMap, action_range, checked_actions
from rsm.traffic.car_following import RELEASE, HumanTraffic, neighbours
from rsm.traffic.episode_stats import EpisodeAccumulator, EpisodeStats
from rsm.traffic.observation import Observer, observation_size
from rsm.traffic.roads.figure_eight import figure_eight, start_places
from rsm.traffic.scenarios import HUMAN, LEARNER, scenario
from rsm.traffic.simulation import MAX_SEED, Simulation


class Step(NamedTuple):
    """What one decision led to."""

    observation: NDArray[np.float32]  # [N, observation_size]
    reward: NDArray[np.float32]  # [N], sum over the executed simulation steps / decision_interval
    terminated: NDArray[np.bool_]  # [N], a collision or, if so set, the horizon: no bootstrap
    truncated: bool  # the horizon was reached, and is a truncation: bootstrap
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

    The episode is over at the horizon. `traffic.horizon_end` says whether its last transition is
    `truncated` or `terminated`. A collision changes nothing else where it teleports. Where it
    terminates, it ends the episode of its own loop: the agents there are `terminated`. With several
    loops the traffic goes on, since the other loops do; that is a new start for the learner, which
    earns no return. The episode is also over when every loop has had such a collision.

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
        starts = start_places(self.network, list(map(len, self.scenario.orders)))
        self.learners = self.scenario.learners
        self.n_agents = len(self.learners)
        self.n_vehicles = self.scenario.n_vehicles
        self.observation_size = observation_size(traffic)
        self.action_limit, self.action_centre = action_range(traffic, self.scenario)
        self.horizon = traffic.horizon
        self.dt = self.scenario.dt
        self.limit = self.scenario.limit
        self.on_step: Callable[[TrafficEnv], None] | None = None
        self.simulation = Simulation(self.scenario, self.network, starts, traffic.horizon)
        self._running = False
        self._complete = True  # all vehicles were on the road at the last step
        self._ahead: list[int] = []
        self._behind: list[int] = []
        models = {HUMAN: self.scenario.human, LEARNER: self.scenario.learner}
        car_length = [models[kind].length for kind in self.scenario.kinds]
        self._human_traffic = HumanTraffic(
            self.scenario.driver, car_length, self.network.length, self.dt, traffic.junction
        )
        self._action_map = ActionMap(traffic, self.scenario)
        self._humans = [i for i, kind in enumerate(self.scenario.kinds) if kind == HUMAN]
        self._observer = Observer(traffic, self.network.length, self.limit, car_length)
        terminates = traffic.on_collision == "terminate"
        self._episode = EpisodeAccumulator(self.scenario, self.horizon, terminates)
        self._loop_of_agent = np.array(self.scenario.loop_of_vehicle)[list(self.learners)]

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Begin the episode of a seed (a whole number of at least 0) and observe it, float32[N, O].

        The seed decides everything random in the episode: SUMO's generator and the humans' noise.
        """
        sumo, noise = np.random.SeedSequence(seed).spawn(2)
        try:
            self.simulation.reset(int(sumo.generate_state(1)[0]) % MAX_SEED)
        except self.simulation.errors as error:
            raise RunError(f"SUMO failed to load the episode of seed {seed}: {error}") from None
        self._human_traffic.begin(np.random.default_rng(noise))
        self._update_neighbours([True] * self.n_vehicles)
        self._complete = True
        self._episode.begin()
        self._running = True
        if self.on_step is not None:
            self.on_step(self)
        return self._observe()

    def step(self, actions: ArrayLike | None) -> Step:
        """Hold one decision for `decision_interval` simulation steps, or to the end of the episode.

        `actions`: [N] or [N, 1] in m/s² (m/s from `action_centre` for target speeds), clipped to
        ±action_limit. None lets our human driver drive the learning vehicles, and "sumo" gives them no
        command, so that SUMO's own car-following does. Raises ValueError for another shape or a value
        that is not finite, RuntimeError if no episode is running, RunError where SUMO fails.
        """
        if not self._running:
            raise RuntimeError("no episode is running: call reset() first")
        held: list[float] | Literal["sumo"] | None
        if actions is None or isinstance(actions, str):
            if actions not in (None, "sumo"):
                raise ValueError(f'actions: {actions!r} is not allowed: numbers, None or "sumo"')
            held = None if actions is None else "sumo"
        else:
            held = checked_actions(actions, self.n_agents, self.action_limit)
        episode = self._episode
        before = episode.rewards.copy()
        episode.crashed.clear()
        at_horizon = False
        for _ in range(self.traffic.decision_interval):
            try:
                self._advance(held)
            except self.simulation.errors as error:
                self._running = False
                raise RunError(f"SUMO failed after step {episode.steps}: {error}") from None
            over = episode.all_ended
            at_horizon = not over and episode.steps >= self.horizon
            if over or at_horizon:
                self._running = False
                break
        interval = self.traffic.decision_interval
        rewards_of_all = np.empty(self.n_agents, dtype=np.float32)
        ends = np.empty(self.n_agents, dtype=np.bool_)
        if self.loops == 1:
            rewards_of_all.fill((episode.rewards[0] - before[0]) / interval)
            ends.fill(bool(episode.crashed))
        else:
            gained = (np.array(episode.rewards) - np.array(before)) / interval
            rewards_of_all[:] = gained[self._loop_of_agent]
            ends[:] = np.isin(self._loop_of_agent, list(episode.crashed))
        truncated = at_horizon and self.traffic.horizon_end == "truncation"
        if at_horizon and not truncated:
            ends.fill(True)
        return Step(self._observe(), rewards_of_all, ends, truncated, not self._running)

    def positions(self) -> NDArray[np.float64]:
        """Where the learning vehicles are, float64[N, 2] in metres; NaN while SUMO teleports one."""
        return np.asarray(self.simulation.xy(), dtype=np.float64)[list(self.learners)]

    def vehicles(self) -> Vehicles:
        """All vehicles at the current step."""
        xy = np.asarray(self.simulation.xy(), dtype=np.float64)
        position, speed = self.simulation.position, self.simulation.speed
        learners = np.asarray(self.learners, dtype=np.intp)
        return Vehicles(np.array(position), np.array(speed), xy[:, 0], xy[:, 1], learners)

    def stats(self) -> EpisodeStats:
        """The episode so far; all zero before the first reset."""
        return self._episode.stats()

    def agent_returns(self) -> NDArray[np.float64]:
        """Return of every agent in the episode so far, float64[N]: that of its loop."""
        return np.array(self._episode.stats().loop_returns)[self._loop_of_agent]

    def close(self) -> None:
        """End the simulation and remove its files; may be called twice."""
        self._running = False
        self.simulation.close()

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

    def _advance(self, actions: list[float] | Literal["sumo"] | None) -> None:
        """One simulation step: command everybody, move, count, reward."""
        simulation = self.simulation
        position, speed, lane = simulation.position, simulation.speed, simulation.lane
        targets: list[tuple[int, float]] = []
        humans: Iterable[int] = self._humans
        if actions is None:
            humans = range(self.n_vehicles)
        elif actions == "sumo":
            targets = [(vehicle, RELEASE) for vehicle in self.learners if lane[vehicle]]
        else:
            targets = self._action_map.targets(actions, speed, lane)
        targets += self._human_traffic.commands(humans, position, speed, lane, self._ahead)
        simulation.command(targets)
        simulation.step()
        complete = all(simulation.lane)
        if simulation.collided or simulation.teleported or not (complete and self._complete):
            # Teleporting may put a vehicle elsewhere in the order, as it leaves and as it comes back;
            # otherwise nobody overtakes.
            self._update_neighbours([bool(name) for name in simulation.lane])
        self._complete = complete
        self._episode.count(simulation.speed, simulation.collided, simulation.teleported)
        if self.on_step is not None:
            self.on_step(self)

    def _update_neighbours(self, present: list[bool]) -> None:
        """Who follows whom, loop by loop."""
        self._ahead, self._behind = [], []
        for members in self._episode.members:
            near = neighbours(self.simulation.position[members], present[members])
            for known, found in zip((self._ahead, self._behind), near, strict=True):
                known += [members.start + other for other in found]
        self._observer.look(self.learners, self._behind, self._ahead)

    def _observe(self) -> NDArray[np.float32]:
        return self._observer.observe(self.simulation.position, self.simulation.speed)
