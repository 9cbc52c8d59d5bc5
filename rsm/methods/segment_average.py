"""`segment-average`: segmented gossip without regulation, the ablation of ζ."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rsm.methods.context import RoundReport, World, as_tensor, request_replicas


def communicate(theta: Tensor, world: World) -> RoundReport:
    """θᵢ ← the mean of θᵢ and its Kᵢ referential policies, each joined from segments of random neighbours."""
    replicas, sources = request_replicas(theta, world)
    weight = replicas.asked[:, :, None].astype(replicas.values.dtype)
    total = theta + as_tensor((replicas.values * weight).sum(axis=0), theta)
    theta.copy_(total / as_tensor(1 + np.sum(weight, axis=0), theta))
    return RoundReport(sources=sources)
