"""The methods compared, one file each: what happens in a communication round.

A method is one function `communicate(theta, world) -> RoundReport` that changes `theta: [N, D]` in place.
All see the same world and differ only inside their file. The registry is `rsm.config.catalogue.METHODS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import Tensor

from rsm.config.catalogue import METHODS
from rsm.methods.context import RoundReport, World

Communicate = Callable[[Tensor, World], RoundReport]


def load(method: str) -> Communicate:
    """The function `communicate` of a method of the registry."""
    communicate: Communicate = importlib.import_module(METHODS[method].module).communicate
    return communicate
