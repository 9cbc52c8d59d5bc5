"""`trimmed-mean`: averaging without the f largest and f smallest values of each parameter (Yin et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.aggregation import aggregated
from rsm.methods.average import ask as ask
from rsm.methods.context import Context


def least(byzantine: int) -> int:
    """Values needed to outvote `byzantine` of them: 2f + 1."""
    return 2 * byzantine + 1


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← the mean, parameter by parameter, of what is left of θᵢ and the θⱼ that arrived."""
    byzantine = context.settings.byzantine

    def trimmed(values: Tensor) -> Tensor:
        kept = values.sort(dim=0).values[byzantine : len(values) - byzantine]
        return kept.mean(dim=0)

    return aggregated(own, came, least(byzantine), trimmed)
