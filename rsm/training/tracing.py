"""The ζ trace: a row of every judged replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.context import MixingMetric
from rsm.mixing.rules import Verdict
from rsm.training.judging import Opinion

Rows = list[dict[str, Any]]
# What came, own and referential parameters [R, D] of R receivers, number of the replica from 0 → an opinion.
Judge = Callable[[Came, Tensor, Tensor, int], Opinion]


class Age(NamedTuple):
    """How old a judged replica is; None for a segment that did not come."""

    replica: int  # its number in the round, from 1
    seconds: list[float | None]  # since each segment was sent
    updates: list[int | None]  # of its sender since then
    question: float | None  # s since the jurors were asked; None where nobody was

    @classmethod
    def none(cls, replica: int, came: Came, row: int, jurors: list[int]) -> Age:
        """Of a replica that was sent, judged and mixed at one instant."""
        there = [part is not None for part in came.segments[row][0]]
        seconds, updates = (
            [0.0 if one else None for one in there],
            [0 if one else None for one in there],
        )
        return cls(replica, seconds, updates, 0.0 if jurors else None)


# What came, the receiver's row in it and who judged → its number and age.
Aged = Callable[[Came, int, list[int]], Age]


def traced(judge: Judge, trace: Rows, aged: Aged | None = None) -> MixingMetric:
    """ζ of one replica of R receivers by a judge; a row of each receiver goes to the trace.

    The rows are those of the table `zeta` (rsm.runs.schema), without the columns that the caller knows. Without
    `aged` a receiver's replicas are numbered as they come, and nothing takes time.
    """
    judged: dict[int, int] = {}  # agent → its replicas so far

    def mixing_metric(came: Came, own: Tensor, referential: Tensor) -> Tensor:
        number = max((judged.get(agent, 0) for agent in came.receivers), default=0)
        verdict, jurors = judge(came, own, referential, number)
        asked, lost = came.asked[0], came.lost[0]
        # By one copy to the host: float64 holds every float32 and truth value as it is.
        values = torch.stack([column.double() for column in verdict]).T.tolist()
        for row in np.flatnonzero(asked).tolist():
            agent = came.receivers[row]
            judged[agent] = judged.get(agent, 0) + 1
            if aged is None:
                age = Age.none(judged[agent], came, row, jurors[row])
            else:
                age = aged(came, row, jurors[row])
            columns = dict(zip(Verdict._fields, values[row], strict=True))
            outcome = "accepted" if columns.pop("accepted") else "rejected"
            trace.append(
                {
                    "agent": agent,
                    "replica": age.replica,
                    "sources": came.sources[row][0],
                    "outcome": "identical" if columns.pop("identical") else outcome,
                    "jurors": jurors[row],
                    "lost_segments": int(lost[row]),
                    "segment_ages": age.seconds,
                    "segment_updates": age.updates,
                    "question_age": age.question,
                    **columns,
                }
            )
        return torch.where(torch.from_numpy(asked).to(own.device), verdict.zeta, 0)

    return mixing_metric
