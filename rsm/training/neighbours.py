"""Who hears whom at a moment of a run: the graph of its topology, among the agents whose radio is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.errors import ConfigError
from rsm.exchange.topology import neighbourhood
from rsm.seeding import Stream, numpy_generator
from rsm.training.roster import Presence


class Neighbours:
    """The graph of N agents of one run. Raises ConfigError for a topology that cannot be."""

    def __init__(self, config: RunConfig, agents: int) -> None:
        self._config, self._agents = config, agents
        communication, traits = config.communication, METHODS[config.method]
        self._draw = numpy_generator(config.seed, Stream.TOPOLOGY)
        topology = communication.topology if traits.topology else "complete"
        self._graph = neighbourhood(topology, agents, self._draw)
        self._presence = Presence(config, agents)
        # Peers drawn anew each round, where each agent has rounds of its own: those of its latest.
        self._peers: NDArray[np.bool_] | None = None
        if topology.startswith("random") and communication.mode != "synchronous":
            self._peers = np.zeros((agents, agents), dtype=np.bool_)

    def at(
        self, positions: NDArray[np.float64], time: float, begin: list[int] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Who hears whom `[N, N]` of those present `[N]`, where these agents, by default all, begin rounds.

        For vehicles at `positions: [N, 2]` at a simulated time (s). An empty slot, whose position is
        infinite, is not present.
        """
        present = self._presence.at(time) & ~np.isinf(positions).any(axis=1)
        if self._peers is None:
            heard = self._graph(positions)
        else:
            heard = self._peers
            if begin:
                heard[begin] = self._graph(positions)[begin]
        return heard & present[:, None] & present[None, :], present

    def require(self, least: Callable[[int], int]) -> None:
        """Raises ConfigError where somebody's fixed neighbourhood is too small to outvote `byzantine`.

        `least(byzantine)` is the number of values, its own included, that the method needs.
        """
        topology, byzantine = (
            getattr(self._config.communication, x) for x in ("topology", "byzantine")
        )
        if topology.startswith("radius"):
            return  # decided by the vehicles' positions; who has too few then keeps its own
        smallest = int(self._graph(np.zeros((self._agents, 2))).sum(axis=1).min()) + 1
        needed = least(byzantine)
        if smallest < needed:
            raise ConfigError(
                f"communication.byzantine: {byzantine} is not allowed: {self._config.method} needs {needed} "
                f"values, its own included, and {topology} gives an agent only {smallest} values; allowed: a "
                "smaller number or a denser topology"
            )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "draw": self._draw.bit_generator.state,
            "presence": self._presence.state_dict(),
            "peers": None if self._peers is None else self._peers.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._draw.bit_generator.state = state["draw"]
        self._presence.load_state_dict(state["presence"])
        if self._peers is not None:
            self._peers[:] = state["peers"]
