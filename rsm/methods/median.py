"""`median`: the median of every parameter over the neighbourhood (Yin et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.aggregation import aggregated
from rsm.methods.average import ask as ask
from rsm.methods.context import Context
from rsm.methods.trimmed_mean import least as least


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← the median of θᵢ and the θⱼ that arrived; of an even number the mean of the two in the middle."""

    def middle(values: Tensor) -> Tensor:
        ordered, half = values.sort(dim=0).values, len(values) // 2
        return (ordered[(len(values) - 1) // 2] + ordered[half]) / 2

    return aggregated(own, came, least(context.settings.byzantine), middle)
