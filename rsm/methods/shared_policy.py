"""`shared-policy`: one policy, taught by what all agents see (rsm.sac.shared).

It has no rounds and sends nothing.
"""

from __future__ import annotations

from rsm.methods.independent import ask as ask
from rsm.methods.independent import mix as mix
