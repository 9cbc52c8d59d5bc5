"""`average`: decentralised parameter averaging, eq. (1)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rsm.exchange.frames import SEGMENT, Frame
from rsm.methods.context import RoundReport, World, as_tensor, snapshot_of


def communicate(theta: Tensor, world: World) -> RoundReport:
    """θᵢ ← the mean of θᵢ and the θⱼ of every neighbour whose frame arrived (eq. 1)."""
    snapshot, post = snapshot_of(theta), world.post
    agents, length = snapshot.shape
    for sender in range(agents):
        for receiver in np.flatnonzero(world.neighbours[sender]).tolist():
            post.send(sender, receiver, snapshot[sender])

    mixed = snapshot.copy()
    for receiver in range(agents):

        def expected_length(frame: Frame, receiver: int = receiver) -> int | None:
            known = frame.sender < agents and bool(world.neighbours[receiver, frame.sender])
            return length if known and (frame.replica, frame.count) == (0, 1) else None

        received = post.receive(receiver, SEGMENT, expected_length, snapshot.dtype)
        mixed[receiver] = np.mean([snapshot[receiver], *received.values()], axis=0)
    theta.copy_(as_tensor(mixed, theta))
    return RoundReport()
