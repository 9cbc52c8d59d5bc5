"""`rsm`: regulated segment mixture, the method of the paper (arXiv:2312.10123)."""

from __future__ import annotations

from torch import Tensor

from rsm.exchange.replicas import Ask, Came
from rsm.methods.context import Context, random_segments


def ask(node: int, context: Context) -> Ask:
    """Segments of random neighbours, of whom one is left to judge where peers do."""
    return random_segments(node, context, left=context.jurors)


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """θᵢ ← (1 − ζ) θᵢ + ζ θ̃, replica by replica: each is judged against the already mixed θᵢ."""
    referential = came.joined(0, own)
    zeta = context.mixing_metric(came, own, referential)
    return own.lerp(referential, zeta.unsqueeze(1))
