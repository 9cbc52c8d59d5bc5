"""What a method sees when it asks and when it mixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.exchanging import Communication
from rsm.exchange.replicas import Ask, Came

# Received replicas, own parameters and referential ones (both [R, D]) of R receivers → ζ `[R]`.
MixingMetric = Callable[[Came, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Context:
    """One communication round as a method sees it."""

    settings: Communication
    neighbours: NDArray[np.bool_]  # [N, N], who hears whom
    generator: np.random.Generator  # random choice of peers
    mixing_metric: MixingMetric
    present: NDArray[np.bool_] | None = None  # [N], agents whose radio is on; None: all
    jurors: int = 0  # neighbours that `judged` methods leave unasked, so that somebody can judge

    @property
    def agents(self) -> int:
        """N."""
        return len(self.neighbours)

    @property
    def server(self) -> int:
        """The number of the central server among the nodes."""
        return self.agents

    @property
    def reachable(self) -> list[int]:
        """The agents whose radio is on."""
        every = list(range(self.agents))
        return every if self.present is None else np.flatnonzero(self.present).tolist()

    def peers(self, agent: int) -> list[int]:
        """The agent's neighbours."""
        peers: list[int] = np.flatnonzero(self.neighbours[agent]).tolist()
        return peers


class Method(Protocol):
    """A module of `rsm.methods`, or of another package that names itself in `rsm.methods`.

    One that is `resilient` also has `least(byzantine) -> int`, the values it needs to outvote so many.
    """

    def ask(self, node: int, context: Context) -> Ask:
        """What a node (an agent, or the server of a method that has one) asks for in a round."""

    def mix(self, own: Tensor, came: Came, context: Context) -> Tensor:
        """New parameters `[R, D]` of R receivers with parameters `own: [R, D]`, from what came for them.

        Called once a round with all that came, or, for a method that is `judged`, once for each replica.
        """


def random_segments(agent: int, context: Context, left: int = 0) -> Ask:
    """Kᵢ = min(K, |Ωᵢ|) replicas of Pᵢ = min(P, |Ωᵢ|) segments, each of another neighbour, drawn uniformly.

    With `left` neighbours to leave unasked, Pᵢ = max(1, min(P, |Ωᵢ| − left)).
    """
    peers = context.peers(agent)
    segments = max(1, min(context.settings.segments, len(peers) - left))
    replicas = min(context.settings.replicas, len(peers))
    return Ask(
        [context.generator.choice(peers, segments, replace=False).tolist() for _ in range(replicas)]
    )
