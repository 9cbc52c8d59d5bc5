"""Scripted controls: controllers of the learning vehicles that do not learn (docs/concepts/scenarios.md).

A controller has `reset(env, generator)`, called after the environment's reset, and
`act(observation)`, which gives accelerations float64[N] in m/s², None for the human driver, or "sumo"
for no command at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rsm.config.catalogue import CONTROL_OF_SLOTS, CONTROLS
from rsm.errors import ConfigError, shown
from rsm.traffic.environment import TrafficEnv

Actions = NDArray[np.float64]
Commands = Actions | Literal["sumo"] | None  # what `TrafficEnv.step` takes
ALLOWED = ", ".join((*CONTROLS, "constant:<m/s²>"))


class Controller(Protocol):
    """What drives the learning vehicles."""

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Begin an episode; all randomness comes from `generator`."""

    def act(self, observation: NDArray[np.float32]) -> Commands:
        """Accelerations [N] (m/s²) for an observation [N, 6], None: the human driver, or "sumo"."""


def controller(name: str) -> Controller:
    """The scripted control of that name; raises ConfigError listing what is allowed."""
    plain: dict[str, Callable[[], Controller]]
    plain = {
        "human": Human,
        "sumo": Sumo,
        "random": Random,
        "platoon": ScriptedPlatoon,
        "go": AlwaysAccelerate,
        "meter": EntranceMeter,
    }
    if name in plain:
        return plain[name]()
    family, _, number = name.partition(":")
    try:
        value = float(number) if family == "constant" else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"controller: {shown(name)} is not allowed: one of {ALLOWED}")
    return Constant(value)


class Human:
    """Our human driver drives the learning vehicles too."""

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Nothing to prepare."""

    def act(self, observation: NDArray[np.float32]) -> None:
        """None."""
        return None


class Sumo:
    """No command for the learning vehicles: SUMO's own car-following (IDM) drives them."""

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Nothing to prepare."""

    def act(self, observation: NDArray[np.float32]) -> Literal["sumo"]:
        """That SUMO drives."""
        return "sumo"


class Random:
    """Uniform in ±action_limit, drawn anew at each decision."""

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Keep the generator."""
        self._limit, self._generator = env.action_limit, generator

    def act(self, observation: NDArray[np.float32]) -> Actions:
        """One draw per agent."""
        return self._generator.uniform(-self._limit, self._limit, len(observation))


class Constant:
    """The same acceleration always."""

    def __init__(self, acceleration: float) -> None:
        """`acceleration` in m/s²."""
        self._acceleration = acceleration

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Raises ConfigError if the environment would clip the acceleration."""
        if abs(self._acceleration) > env.action_limit:
            allowed = f"between {-env.action_limit:g} and {env.action_limit:g} m/s²"
            raise ConfigError(f"controller: constant:{self._acceleration:g} is not {allowed}")

    def act(self, observation: NDArray[np.float32]) -> Actions:
        """The constant for every agent."""
        return np.full(len(observation), self._acceleration)


class AlwaysAccelerate:
    """The always-accelerate control, the selfish optimum: only SUMO's safe speed brakes."""

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Keep the limit."""
        self._limit = env.action_limit

    def act(self, observation: NDArray[np.float32]) -> Actions:
        """+action_limit for every agent."""
        return np.full(len(observation), self._limit)


class ScriptedPlatoon:
    """The scripted platoon controller: one learner of each loop leads, the others always accelerate.

    The leader crawls until the road ahead of it is free for `gap` metres, so that all others have
    closed up behind it, and then cruises: a platoon shorter than half the loop never meets itself at
    the crossing. The defaults were chosen on the seeds 9000 to 9003 of three scenarios, which no
    study reports; better ones exist for each scenario alone.
    """

    def __init__(self, crawl: float = 1.0, gap: float = 150.0, cruise: float = 7.5) -> None:
        """Speeds in m/s, gap in metres."""
        self._crawl, self._gap, self._cruise = crawl, gap, cruise

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """The last learner in the order of its loop leads; raises ConfigError on an open road."""
        require_road("platoon", env)
        self._limit, self._length = env.action_limit, env.network.length
        self._speed_limit = env.limit
        self._held = env.dt * env.held
        seats = env.n_agents // env.loops
        self._leaders = np.arange(seats - 1, env.n_agents, seats)
        self._closed_up = np.zeros(env.loops, dtype=np.bool_)

    def act(self, observation: NDArray[np.float32]) -> Actions:
        """Accelerations that reach the leader's speed by the end of the decision."""
        actions = np.full(len(observation), self._limit)
        position, speed, _, _, ahead, _ = observation[self._leaders].astype(np.float64).T
        self._closed_up |= (ahead - position) % 1.0 * self._length > self._gap
        wanted = np.where(self._closed_up, self._cruise, self._crawl)
        actions[self._leaders] = (wanted - speed * self._speed_limit) / self._held
        return actions.clip(-self._limit, self._limit)


class EntranceMeter:
    """The scripted metering controller of an open road: agents' vehicles limit the inflow to the bottleneck.

    A vehicle with a slot crawls, and holds back those behind it, until the road ahead of it is free for
    `gap` metres; then it always accelerates. So no queue builds up where ways join: vehicles that have not
    yet entered wait instead, which the reward of Flow's benchmark does not count. Holding back the inflow to
    keep a bottleneck below its critical density is what ramp metering does (ALINEA: Papageorgiou, Hadj-Salem
    and Blosseville 1991, by feedback from an occupancy; here by the gap that an agent sees). The defaults
    were chosen on the seeds 9000 and 9001, which no study reports.
    """

    def __init__(self, crawl: float = 1.0, gap: float = 80.0) -> None:
        """Speed in m/s, gap in metres."""
        self._crawl, self._gap = crawl, gap

    def reset(self, env: TrafficEnv, generator: np.random.Generator) -> None:
        """Nobody is let go yet; raises ConfigError on loops."""
        require_road("meter", env)
        self._env, self._held = env, env.dt * env.held
        self._occupants = env.occupants()
        self._let_go = np.zeros(env.n_agents, dtype=np.bool_)

    def act(self, observation: NDArray[np.float32]) -> Actions:
        """Accelerations that reach the crawling speed by the end of the decision, or the largest."""
        env, occupants = self._env, self._env.occupants()
        self._let_go &= occupants == self._occupants
        self._occupants = occupants
        speed, _, gap, _, _ = observation.astype(np.float64).T
        self._let_go |= gap * env.network.length > self._gap
        crawling = (self._crawl - speed * env.limit) / self._held
        actions = np.where(self._let_go, env.action_limit, crawling)
        return actions.clip(-env.action_limit, env.action_limit)


def require_road(name: str, env: TrafficEnv) -> None:
    """Raises ConfigError for a control that is not for the road of `env`."""
    if CONTROL_OF_SLOTS[name] == env.network.closed:
        kind = "loops" if env.network.closed else "roads that vehicles enter and leave"
        raise ConfigError(
            f"controller: {name} is not allowed in {env.scenario.name}: not written for {kind}"
        )
