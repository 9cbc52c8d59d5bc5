"""`multi-krum`: the mean of the n − f parameter vectors with the best Krum scores (Blanchard et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from rsm.exchange.replicas import Came
from rsm.methods.aggregation import aggregated
from rsm.methods.average import ask as ask
from rsm.methods.context import Context
from rsm.methods.krum import least as least
from rsm.methods.krum import scores


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← the mean of the best n − f of θᵢ and the θⱼ that arrived."""
    byzantine = context.settings.byzantine

    def best(values: Tensor) -> Tensor:
        order = scores(values, byzantine).argsort(stable=True)
        return values[order[: len(values) - byzantine]].mean(dim=0)

    return aggregated(own, came, least(byzantine), best)
