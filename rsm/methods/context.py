"""What a method sees of the world in a round, and what it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.run import Communication
from rsm.exchange.channel import Channel
from rsm.exchange.replicas import Post, Replicas, Vectors, gather_replicas
from rsm.mixing.rules import Verdict


@dataclass(frozen=True)
class World:
    """One communication round: who is reachable, the channel, a judge that gives A⁺ and ζ."""

    run: int  # tag of the run, on every frame
    round: int  # from 1
    settings: Communication
    neighbours: NDArray[np.bool_]  # [N, N]
    channel: Channel
    judge: Callable[[Tensor, Tensor], Verdict]  # current and referential parameters, both [N, D]
    generator: np.random.Generator  # of the choice of neighbours

    @property
    def post(self) -> Post:
        """Sending and receiving in this round."""
        return Post(self.channel, self.run, self.round)


class Judgement(NamedTuple):
    """One replica k of all agents, judged."""

    replica: int  # from 1
    asked: NDArray[np.bool_]  # [N], which agents have this replica
    lost: NDArray[np.int64]  # [N]
    verdict: Verdict


@dataclass(frozen=True)
class RoundReport:
    """What a round did beyond the ledger: judgements, and whom each replica came from."""

    judgements: list[Judgement] = field(default_factory=list)
    sources: list[list[list[int]]] = field(default_factory=list)  # [i][k][p] agents

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the ζ trace (rsm.runs.schema), without the columns that the caller knows."""
        rows = []
        for judgement in self.judgements:
            # By one copy to the host: float64 holds every float32 and truth value as it is.
            columns = torch.stack([column.double() for column in judgement.verdict]).tolist()
            verdict = dict(zip(Verdict._fields, columns, strict=True))
            for agent in np.flatnonzero(judgement.asked).tolist():
                outcome = "accepted" if verdict["accepted"][agent] else "rejected"
                rows.append(
                    {
                        "agent": agent,
                        "replica": judgement.replica,
                        "sources": self.sources[agent][judgement.replica - 1],
                        "advantage": verdict["advantage"][agent],
                        "epsilon": verdict["epsilon"][agent],
                        "quadratic_form": verdict["quadratic_form"][agent],
                        "constant": verdict["constant"][agent],
                        "bound": verdict["bound"][agent],
                        "zeta": verdict["zeta"][agent],
                        "outcome": "identical" if verdict["identical"][agent] else outcome,
                        "lost_segments": int(judgement.lost[agent]),
                    }
                )
        return rows


def snapshot_of(theta: Tensor) -> Vectors:
    """A copy of all parameters `[N, D]` as they are at the start of a round."""
    values: Vectors = theta.detach().cpu().numpy().copy()
    return values


def request_replicas(theta: Tensor, world: World) -> tuple[Replicas, list[list[list[int]]]]:
    """Steps 1 and 2 of a round: draw Pᵢ distinct neighbours for each of Kᵢ replicas and gather segments.

    Pᵢ = min(P, |Ωᵢ|) and Kᵢ = min(K, |Ωᵢ|). Returns the replicas and their sources `[i][k][p]`.
    """
    sources: list[list[list[int]]] = []
    for reachable in world.neighbours:
        peers = np.flatnonzero(reachable)
        segments = min(world.settings.segments, len(peers))
        sources.append(
            [
                world.generator.choice(peers, segments, replace=False).tolist()
                for _ in range(min(world.settings.replicas, len(peers)))
            ]
        )
    gathered = gather_replicas(
        snapshot_of(theta), sources, world.settings.replicas, world.neighbours, world.post
    )
    return gathered, sources


def as_tensor(values: Vectors, like: Tensor) -> Tensor:
    """Received values as a tensor on the device of `like`."""
    return torch.from_numpy(values).to(like.device)
