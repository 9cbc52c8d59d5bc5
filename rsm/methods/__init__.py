"""The methods compared, one file each. A method says two things.

`ask(node, context)` is what a node asks its neighbours for in a communication round, and
`mix(own, came, context)` is what it makes of what came. Frames, losses, refusals and the ledger are
handled by `rsm.exchange`. Methods are listed in `rsm.config.catalogue.METHODS`, those of other packages too.
"""

from __future__ import annotations

from typing import cast

from rsm.config.catalogue import METHODS
from rsm.config.extensions import imported
from rsm.methods.context import Method


def load(name: str) -> Method:
    """The module of a method of the catalogue; raises ConfigError for a broken one of another package."""
    return cast(Method, imported(METHODS, name, METHODS[name].module, "ask", "mix"))
