"""`masac`: own actors, one critic on the joint observation and action (rsm.sac.joint).

It has no rounds and sends nothing.
"""

from __future__ import annotations

from rsm.methods.independent import ask as ask
from rsm.methods.independent import mix as mix
