"""`average`: decentralised parameter averaging, eq. (1)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rsm.exchange.replicas import Ask, Came
from rsm.methods.context import Context


def ask(node: int, context: Context) -> Ask:
    """The parameters of every neighbour."""
    return Ask([[peer] for peer in context.peers(node)], standing=True)


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← the mean of θᵢ and the θⱼ of every neighbour whose frame arrived (eq. 1)."""
    values = own.cpu().numpy()
    means = [np.mean([values[row], *received], axis=0) for row, received in came.whole()]
    return torch.from_numpy(np.stack(means)).to(own.device)
