"""`segment-average`: segmented gossip without regulation, the ablation of ζ."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.exchange.replicas import Ask, Came
from rsm.methods.context import Context, random_segments


def ask(node: int, context: Context) -> Ask:
    """Segments of random neighbours, as `rsm` does."""
    return random_segments(node, context)


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← the mean of θᵢ and its Kᵢ referential policies."""
    asked = torch.from_numpy(came.asked).to(own)  # [K, R], as numbers
    total = torch.zeros_like(own)
    for k, weight in enumerate(asked):
        total += came.joined(k, own) * weight.unsqueeze(1)
    return (own + total) / (1 + asked.sum(dim=0)).unsqueeze(1)
