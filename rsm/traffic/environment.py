"""The traffic environment as arrays: what the training loop steps (observation, reward, ends)."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.config.learning import Traffic
from rsm.errors import RunError
from rsm.traffic.actions import action_range, checked_actions
from rsm.traffic.agents import Agents, LoopAgents, SlotAgents
from rsm.traffic.episode_stats import EpisodeAccumulator, EpisodeStats
from rsm.traffic.observation import observation_size
from rsm.traffic.scenarios import scenario
from rsm.traffic.simulation import MAX_SEED, Simulation
from rsm.traffic.slots import Slots


class Step(NamedTuple):
    """What one decision led to."""

    observation: NDArray[np.float32]  # [N, observation_size]
    reward: NDArray[np.float32]  # [N], sum over the executed simulation steps / decision_interval
    terminated: NDArray[np.bool_]  # [N], a collision or, if so set, the horizon: no bootstrap
    truncated: bool  # the horizon was reached, and is a truncation: bootstrap
    over: bool  # the episode is over
    slots: Slots | None = None  # of an open road, where vehicles of agents come and go


class Vehicles(NamedTuple):
    """All vehicles on the road at the current step, for drawing."""

    position: NDArray[np.float64]  # [V] m along the loop, or along the route on an open road
    speed: NDArray[np.float64]  # [V] m/s
    x: NDArray[np.float64]  # [V] m; NaN while SUMO teleports the vehicle
    y: NDArray[np.float64]  # [V] m
    learners: NDArray[np.intp]  # [N] which of them the agents drive; −1: an empty slot
    number: NDArray[np.intp]  # [V] which one it is, counted from 0 in the order of entering
    route: NDArray[np.intp]  # [V] on which route it is, the first that leads over its lane


class TrafficEnv:
    """One scenario, stepped by decisions of its N agents: learning vehicles, or slots of an open road.

    Observation of an agent: see rsm.traffic.observation. Action: acceleration in m/s², applied in
    every held simulation step as the target speed max(v + a·dt, 0); with `actions: target-speed`, a
    speed in m/s from `action_centre`, approached by at most the scenario's `action_limit` in m/s².
    Reward: that of the scenario, the same for every agent of a loop, and 0 in a step with a collision.

    The episode is over at the horizon. `traffic.horizon_end` says whether its last transition is
    `truncated` or `terminated`. A collision changes nothing else where it teleports. Where it
    terminates, it ends the episode of its own loop: the agents there are `terminated`. With several
    loops the traffic continues, since the other loops do; that is a new start for the learner, which
    earns no return. The episode is also over when every loop has had such a collision.

    On an open road `Step.slots` and `live` say who has a vehicle (rsm.traffic.slots). An empty slot observes
    zeros, and its action is ignored; its reward is 0.

    `on_step`, if set, is called with this environment after `reset` and after every simulation step,
    also while a decision is held.
    """

    action_size = 1

    def __init__(self, traffic: Traffic) -> None:
        """Build the road and prepare SUMO; raises ConfigError if SUMO is missing or a name unknown."""
        self.traffic = traffic
        self.scenario = scenario(traffic.scenario)
        self.loops = self.scenario.loops
        road = self.scenario.road(self.scenario.limit, list(map(len, self.scenario.orders)))
        self.network = road.network
        self.learners = self.scenario.learners
        self.n_agents = self.scenario.n_agents
        self.observation_size = observation_size(traffic)
        self.action_limit, self.action_centre = action_range(traffic, self.scenario)
        self.horizon = traffic.steps
        self.held = traffic.steps_held
        self.dt = self.scenario.dt
        self.limit = self.scenario.limit
        self.on_step: Callable[[TrafficEnv], None] | None = None
        self.simulation = Simulation(self.scenario, road, self.horizon)
        self._running = False
        kind = LoopAgents if self.network.closed else SlotAgents
        self._agents: Agents = kind(traffic, self.scenario, self.simulation)
        terminates = traffic.on_collision == "terminate"
        self._episode = EpisodeAccumulator(self.scenario, self.horizon, terminates)
        self._loop_of_agent = np.zeros(self.n_agents, dtype=np.intp)
        if self.loops > 1:
            self._loop_of_agent[:] = np.array(self.scenario.loop_of_vehicle)[list(self.learners)]

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Begin the episode of a seed (a whole number of at least 0) and observe it, float32[N, O].

        The seed decides everything random in the episode: SUMO's generator and the humans' noise.
        """
        sumo, noise = np.random.SeedSequence(seed).spawn(2)
        try:
            self.simulation.reset(int(sumo.generate_state(1)[0]) % MAX_SEED)
        except self.simulation.errors as error:
            raise RunError(f"SUMO failed to load the episode of seed {seed}: {error}") from None
        self._agents.begin(np.random.default_rng(noise))
        self._episode.begin()
        self._running = True
        if self.on_step is not None:
            self.on_step(self)
        return self._agents.observe()

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
        for _ in range(self.held):
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
        interval = self.held
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
        slots = self._agents.decided()
        if slots is not None:
            rewards_of_all[~slots.acted] = 0.0
            ends &= slots.acted & ~slots.left
        observation = self._agents.observe()
        return Step(observation, rewards_of_all, ends, truncated, not self._running, slots)

    def positions(self) -> NDArray[np.float64]:
        """Where the agents' vehicles are, float64[N, 2] in metres.

        NaN while SUMO teleports one; infinite where an agent has none.
        """
        xy = np.array([*self.simulation.xy(), (np.inf, np.inf)])
        positions: NDArray[np.float64] = xy[list(self._agents.seats)]  # −1 is the last row
        return positions

    def occupants(self) -> NDArray[np.intp]:
        """Which vehicle each agent has, by the number of its entering, `[N]`; −1: none."""
        numbers = [*self.simulation.numbers, -1]
        return np.array([numbers[seat] for seat in self._agents.seats], dtype=np.intp)

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which agents have a vehicle, `[N]`: all, where they are no slots."""
        return np.array(self._agents.seats) >= 0

    @property
    def n_vehicles(self) -> int:
        """Vehicles that have been on the road in this episode."""
        return self.simulation.entered

    def vehicles(self) -> Vehicles:
        """All vehicles at the current step."""
        simulation = self.simulation
        xy = np.asarray(simulation.xy(), dtype=np.float64).reshape(-1, 2)
        return Vehicles(
            np.array(simulation.position),
            np.array(simulation.speed),
            xy[:, 0],
            xy[:, 1],
            np.asarray(self._agents.seats, dtype=np.intp),
            np.array(simulation.numbers, dtype=np.intp),
            self._routes(),
        )

    def _routes(self) -> NDArray[np.intp]:
        """The route of every vehicle on the road, [V]; 0 while SUMO teleports one from an open road."""
        if self.network.closed:
            return np.array(self.scenario.loop_of_vehicle, dtype=np.intp)
        route = self.network.route
        return np.array([route.get(lane, 0) for lane in self.simulation.lane], dtype=np.intp)

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
        simulation, agents = self.simulation, self._agents
        simulation.command(agents.targets(actions))
        simulation.step()
        agents.moved()
        headways = agents.headways() if self.scenario.headway_weight else 0.0
        state = simulation.speed, simulation.collided, simulation.teleported
        self._episode.count(*state, headways)
        if self.on_step is not None:
            self.on_step(self)
