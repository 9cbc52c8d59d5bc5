"""`rsm`: regulated segment mixture, the method of the paper (arXiv:2312.10123)."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.methods.context import Judgement, RoundReport, World, as_tensor, request_replicas


def communicate(theta: Tensor, world: World) -> RoundReport:
    """Each agent joins segments into referential policies and moves toward them as far as ζ allows.

    Replicas are mixed one after another: replica k + 1 is judged against the already mixed θᵢ.
    """
    replicas, sources = request_replicas(theta, world)
    received = as_tensor(replicas.values, theta)
    judgements = []
    for k in range(world.settings.replicas):
        asked, referential = replicas.asked[k], received[k]
        if not asked.any():
            break
        if replicas.lost[k].any():  # a segment that is missing keeps what the agent has by now
            arrived = torch.from_numpy(replicas.arrived[k]).to(theta.device)
            referential = torch.where(arrived, referential, theta)
        verdict = world.judge(theta, referential)
        zeta = torch.where(torch.from_numpy(asked).to(theta.device), verdict.zeta, 0)
        theta.lerp_(referential, zeta.unsqueeze(1))  # θᵢ ← (1 − ζ) θᵢ + ζ θ̃
        judgements.append(Judgement(k + 1, asked, replicas.lost[k], verdict))
    return RoundReport(judgements, sources)
