"""`clipped-gossip`: averaging of differences that are cut at a radius (He, Karimireddy and Jaggi 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.aggregation import aggregated
from rsm.methods.average import ask as ask
from rsm.methods.context import Context


def least(byzantine: int) -> int:
    """Values needed: the own one and another, whatever f is, since no difference counts beyond the radius."""
    return 2


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← θᵢ + Σⱼ min(1, τ/‖θⱼ − θᵢ‖) (θⱼ − θᵢ) / n, over the n − 1 neighbours whose frame arrived.

    The radius τ is `clip` times the median distance to them.
    """
    clip = context.settings.clip

    def clipped(values: Tensor) -> Tensor:
        steps = values[1:] - values[0]
        distances = steps.norm(dim=1)
        radius = clip * distances.quantile(0.5)
        shares = torch.where(distances > radius, radius / distances, torch.ones_like(distances))
        return values[0] + (shares.unsqueeze(1) * steps).sum(dim=0) / len(values)

    return aggregated(own, came, least(0), clipped)
