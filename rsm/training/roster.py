"""Agents that are unlike the others: slow ones, newcomers, attackers, and those whose radio is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsm.config.catalogue import CONTROL, METHODS
from rsm.config.run import RunConfig
from rsm.errors import ConfigError
from rsm.seeding import Stream, chosen_agents, numpy_generator

Agents = list[dict[str, Any]]  # what every agent is: the constant columns of the table `agents`


# Section of the settings → the stream that chooses its agents, and how many others it has to leave.
_UNLIKE = {
    "slow": (Stream.SLOW, 0),
    "restarts": (Stream.RESTARTS, 0),
    "attack": (Stream.ATTACK, 1),  # somebody honest
}


def agents_of(config: RunConfig, loops: Sequence[str]) -> Agents:
    """What every agent is where each has a return of its own, by the kinds of their loops `[N]`; else empty.

    In a control nobody learns or sends, so that nobody is unlike the others.
    """
    if not config.own_returns:
        return []
    count, unlike = len(loops), dict[str, list[int]]()
    if config.learns:
        unlike = {
            "slow": unlike_agents(config, count, "slow"),
            "newcomer": unlike_agents(config, count, "restarts"),
            "attacker": unlike_agents(config, count, "attack"),
        }
    return [
        {"agent": agent, "loop": loop}
        | {name: agent in unlike.get(name, []) for name in ("slow", "newcomer", "attacker")}
        for agent, loop in enumerate(loops)
    ]


def unlike_agents(config: RunConfig, agents: int, section: str) -> list[int]:
    """The agents, of N, that a section of the settings makes unlike the others: by the seed, in order.

    `section` is `slow`, `restarts` or `attack`. Raises ConfigError where there are not enough agents.
    """
    count, (stream, left) = getattr(config, section).agents, _UNLIKE[section]
    if count > agents - left:
        raise ConfigError(
            f"{section}.agents: {count} is not allowed: {config.traffic.scenario} has {agents} agents; "
            f"at most {agents - left} are expected"
        )
    return chosen_agents(config.seed, stream, agents, count)


class Roster:
    """Who updates when, and when a round is due.

    An occasion is a moment at which the fastest agents may update. A slow agent updates at every factor-th.
    With `barrier: slowest` an agent that has made its U updates makes none until the round is over, which
    begins when the slowest has made them. Asynchronous agents do not wait, and each is due after U of its own.
    """

    def __init__(self, config: RunConfig, agents: int) -> None:
        self.slow = unlike_agents(config, agents, "slow")
        self.newcomers = unlike_agents(config, agents, "restarts")
        self._factors = np.ones(agents, dtype=np.int64)
        self._factors[self.slow] = config.slow.factor
        communication, traits = config.communication, METHODS.get(config.method, CONTROL)
        self.in_step = communication.mode == "synchronous"
        takes_time = self.unequal or communication.delayed
        in_step = self.in_step and communication.barrier == "slowest"
        self.waits = (
            traits.exchanges and in_step and takes_time
        )  # whether rounds wait for the slowest
        self._period = communication.period
        self._made = np.zeros(agents, dtype=np.int64)  # updates since the last round
        if not self.in_step:
            self._made -= communication.phase * np.arange(agents) % self._period
        self.updates = np.zeros(agents, dtype=np.int64)  # of every agent so far
        self.not_made = 0  # updates that agents could have made, had they not waited

    @property
    def unequal(self) -> bool:
        """Whether some agents are slower than others."""
        return bool((self._factors > 1).any())

    def updating(self, occasion: int, stored: NDArray[np.int64], needed: int) -> list[int] | None:
        """Agents that update at an occasion (from 1); None: all. `stored: [N]` are their transitions."""
        able = (occasion % self._factors == 0) & (stored >= needed)
        if self.waits:
            done = self._made >= self._period
            self.not_made += int((able & done).sum())
            able &= ~done
        self._made += able
        self.updates += able
        return None if able.all() else np.flatnonzero(able).tolist()

    def all_made(self, live: NDArray[np.bool_] | None = None) -> bool:
        """Whether the slowest has made U updates since the last round.

        Of agents that are `live: [N]`, all by default: nobody waits for an empty slot.
        """
        made = self._made if live is None else self._made[live]
        return bool(made.size and (made >= self._period).all())

    def round_held(self, agents: list[int] | None = None) -> None:
        """A round was held, or begun by these agents alone: restart their counts."""
        self._made[slice(None) if agents is None else agents] = 0

    @property
    def due(self) -> list[int]:
        """Agents that have made U updates since they last began a round."""
        agents: list[int] = np.flatnonzero(self._made >= self._period).tolist()
        return agents

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        made, updates = self._made.tolist(), self.updates.tolist()
        return {"made": made, "not_made": self.not_made, "updates": updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._made[:], self.not_made = state["made"], state["not_made"]
        self.updates[:] = state["updates"]


class Presence:
    """Whose radio is on, in simulated time: exponential times of presence and absence."""

    def __init__(self, config: RunConfig, agents: int) -> None:
        self._settings = config.churn
        self._draw = numpy_generator(config.seed, Stream.CHURN)
        self._present = np.ones(agents, dtype=np.bool_)
        self._until = np.full(agents, np.inf)
        if self._settings.rate:
            self._until = self._draw.exponential(3600 / self._settings.rate, agents)

    def at(self, time: float) -> NDArray[np.bool_]:
        """Who is present at a time (s), which may not be earlier than that of the last call: `[N]`."""
        for agent in range(len(self._until)):
            while self._until[agent] <= time:
                self._present[agent] ^= True
                hour = 3600 / self._settings.rate
                mean = hour if self._present[agent] else self._settings.absence
                self._until[agent] += self._draw.exponential(mean)
        return self._present.copy()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        state = {"present": self._present.tolist(), "until": self._until.tolist()}
        return state | {"draw": self._draw.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._present[:], self._until[:] = state["present"], state["until"]
        self._draw.bit_generator.state = state["draw"]
