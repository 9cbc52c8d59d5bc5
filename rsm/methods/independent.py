"""`independent`: every agent learns alone."""

from __future__ import annotations

from torch import Tensor

from rsm.exchange.replicas import Ask, Came
from rsm.methods.context import Context


def ask(node: int, context: Context) -> Ask:
    """Nothing."""
    return Ask([])


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """Unchanged."""
    return own
