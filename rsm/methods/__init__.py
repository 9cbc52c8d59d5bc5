"""The methods compared, one file each. A method says two things.

`ask(node, context)` is what a node asks its neighbours for in a communication round, and
`mix(own, came, context)` is what it makes of what came. Frames, losses, refusals and the ledger are the
business of `rsm.exchange`. Methods are listed in `rsm.config.catalogue.METHODS`.
"""

from __future__ import annotations

import importlib
from typing import cast

from rsm.config.catalogue import METHODS
from rsm.methods.context import Method


def load(name: str) -> Method:
    """The module of a method of the catalogue."""
    return cast(Method, importlib.import_module(METHODS[name].module))
