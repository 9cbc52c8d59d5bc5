"""The traffic environment as a PettingZoo ParallelEnv, for other people's multi-agent libraries."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from rsm.config.learning import Traffic
from rsm.traffic.actions import action_range
from rsm.traffic.environment import Step, TrafficEnv, Vehicles
from rsm.traffic.episode_stats import EpisodeStats
from rsm.traffic.observation import bounds
from rsm.traffic.scenarios import scenario
from rsm.traffic.worker import RemoteEnv

Array = NDArray[np.float32]


class ParallelTrafficEnv(ParallelEnv[str, Array, Array]):  # type: ignore[misc]
    """Agents `vehicle_<i>`, i the place in the order of the loop; units as in `TrafficEnv`.

    On an open road agents come and go: a vehicle is an agent while it has a slot, `vehicle_<i>` being the
    i-th that takes one, and is truncated when it leaves. Moments without any agent are skipped.

    Actions float32[1] and observations float32[O] as of `TrafficEnv`. Every instance drives a
    process of its own, so several can be stepped in turns. Of a fleet, an agent whose loop had a
    collision is done, and the others go on. `infos` of an ended episode hold its `EpisodeStats` as a
    mapping.

    A copy, by `copy.deepcopy` or pickle, drives a process of its own and has no episode yet: it begins
    with `reset`. Once seeded, it is copied with what its seed decides.
    """

    metadata = {"name": "rsm_traffic_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012

    def __init__(self, traffic: Traffic | None = None) -> None:
        """The published scenario by default; raises ConfigError as `TrafficEnv` does."""
        self.traffic = traffic if traffic is not None else Traffic()
        road = scenario(self.traffic.scenario)
        self.render_mode = None
        self._slots, self._taken = road.slots, 0
        learners = road.learners
        if road.slots:
            learners = tuple(range(road.most_learners(self.traffic.steps * road.dt)))
        self.possible_agents = [f"vehicle_{index}" for index in learners]
        # The agent of every row of what `TrafficEnv` takes and gives; None: an empty slot.
        self._rows: list[str | None] = list(self.possible_agents)
        self.agents: list[str] = []
        low, high = (np.array(values, dtype=np.float32) for values in bounds(self.traffic))
        limit, _ = action_range(self.traffic, road)
        force = np.full(TrafficEnv.action_size, limit, dtype=np.float32)
        self.observation_spaces = {name: Box(low, high) for name in self.possible_agents}
        self.action_spaces = {name: Box(-force, force) for name in self.possible_agents}
        # Made at the first reset, so that copies of a new environment do not drive the same episodes.
        self._generator: np.random.Generator | None = None
        self.remote = RemoteEnv(self.traffic)

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the process and its episode."""
        return self.__dict__ | {"remote": None, "agents": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start a process for the copy; raises what the constructor raises."""
        self.__dict__.update(state)
        self.remote = RemoteEnv(self.traffic)

    def observation_space(self, agent: str) -> Box:
        """The same space object for an agent at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """The same space object for an agent at every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Begin an episode. A seed also decides the episodes of later resets without one."""
        if seed is not None or self._generator is None:
            self._generator = np.random.default_rng(seed)
        observation = self.remote.call("reset", int(self._generator.integers(2**31)))
        self._taken = 0
        if self._slots:
            self._rows = [None] * self._slots
            self._take_slots(self.remote.call("occupants") >= 0)
        else:
            self._rows = list(self.possible_agents)
        self.agents = [agent for agent in self._rows if agent is not None]
        while not self.agents:
            done = self._pass_over()
            observation = done.observation
            if done.over:
                break
        return self._by_agent(observation), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[
        dict[str, Array],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One decision of all agents; raises ValueError if one of them has none."""
        missing = [agent for agent in self.agents if agent not in actions]
        if missing or not self.agents:
            reason = f"no action for {', '.join(missing)}" if missing else "no episode is running"
            raise ValueError(f"{reason}; every agent of `agents` acts, after reset()")
        agents = self.agents
        rows = np.zeros((len(self._rows), TrafficEnv.action_size), dtype=np.float32)
        for row, agent in zip(rows, self._rows, strict=True):
            if agent in actions and agent in agents:
                row[:] = np.asarray(actions[agent], dtype=np.float32).reshape(-1)
        done = cast(Step, self.remote.call("step", rows))
        slots = done.slots
        rewards, ends = self._by_agent(done.reward), self._by_agent(done.terminated)
        observed = self._by_agent(done.observation if slots is None else slots.last)
        leave = dict.fromkeys(agents, done.truncated)
        if slots is not None:
            gone = self._by_agent(slots.left)
            leave = {agent: bool(gone[agent]) or done.truncated for agent in agents}
        observations = {agent: observed[agent] for agent in agents}
        stay = [agent for agent in agents if not ends[agent] and not leave[agent]]
        self.agents = [] if done.over else stay
        new: list[str] = []
        if slots is not None and not done.over:
            self._rows = [agent if agent in stay else None for agent in self._rows]
            new = self._take_slots(slots.live)
            self.agents = [agent for agent in self._rows if agent is not None]
            while not self.agents and not done.over:
                done = self._pass_over()
                new = list(self.agents)
            seen = self._by_agent(done.observation)
            observations |= {agent: seen[agent] for agent in new}
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in (*agents, *new)}
        if done.over:
            stats = self.stats()._asdict()
            infos = {agent: dict(stats) for agent in agents}
        begun = dict.fromkeys(new, False)
        return (
            observations,
            {agent: float(rewards[agent]) for agent in agents} | dict.fromkeys(new, 0.0),
            {agent: bool(ends[agent]) for agent in agents} | begun,
            leave | begun,
            infos,
        )

    def _take_slots(self, live: NDArray[np.bool_]) -> list[str]:
        """Name the agents of slots that were taken; returns their names."""
        new = []
        for row, agent in enumerate(self._rows):
            if agent is None and live[row]:
                self._rows[row] = self.possible_agents[self._taken]
                new.append(self.possible_agents[self._taken])
                self._taken += 1
        return new

    def _pass_over(self) -> Step:
        """A decision of nobody."""
        nothing = np.zeros((len(self._rows), TrafficEnv.action_size), dtype=np.float32)
        done = cast(Step, self.remote.call("step", nothing))
        if done.slots is not None and not done.over:
            self.agents = self._take_slots(done.slots.live)
        return done

    def state(self) -> NDArray[np.float64]:
        """Position (m), then speed (m/s), of all vehicles on the road: float64[2 V]."""
        vehicles = cast(Vehicles, self.remote.call("vehicles"))
        return np.concatenate([vehicles.position, vehicles.speed])

    def stats(self) -> EpisodeStats:
        """The episode so far."""
        return cast(EpisodeStats, self.remote.call("stats"))

    def close(self) -> None:
        """End the process; may be called twice."""
        self.agents = []
        self.remote.close()

    def _by_agent(self, values: NDArray[Any]) -> dict[str, Any]:
        pairs = zip(self._rows, values, strict=True)
        return {agent: value for agent, value in pairs if agent is not None}
