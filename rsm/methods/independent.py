"""`independent`: every agent learns alone."""

from __future__ import annotations

from torch import Tensor

from rsm.methods.context import RoundReport, World


def communicate(theta: Tensor, world: World) -> RoundReport:
    """A round in which nothing happens."""
    return RoundReport()
