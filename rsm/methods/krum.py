"""`krum`: the one parameter vector that is nearest to its neighbours (Blanchard et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.aggregation import aggregated
from rsm.methods.average import ask as ask
from rsm.methods.context import Context


def least(byzantine: int) -> int:
    """Values needed: Krum asks for n > 2f + 2."""
    return 2 * byzantine + 3


def scores(values: Tensor, byzantine: int) -> Tensor:
    """Sum of squared distances of each of `values: [n, D]` to its n − f − 2 nearest others, `[n]`."""
    gaps = values.unsqueeze(1) - values.unsqueeze(0)
    distances = gaps.square().sum(dim=2).sort(dim=1).values  # the first is its own, 0
    return distances[:, 1 : len(values) - byzantine - 1].sum(dim=1)


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← that of θᵢ and the θⱼ that arrived which has the smallest score."""
    byzantine = context.settings.byzantine
    return aggregated(
        own,
        came,
        least(byzantine),
        lambda values: values[torch.argmin(scores(values, byzantine))],
    )
