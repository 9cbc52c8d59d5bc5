"""`fmarl`: centralised federated MARL, the method to be matched."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rsm.exchange.frames import SEGMENT, Frame
from rsm.exchange.replicas import Vectors
from rsm.methods.context import RoundReport, World, as_tensor, snapshot_of


def communicate(theta: Tensor, world: World) -> RoundReport:
    """All upload θ, the server averages what arrived, all download; who hears nothing keeps its own θ."""
    snapshot, post, server = snapshot_of(theta), world.post, world.channel.server
    agents, length = snapshot.shape

    def from_agent(frame: Frame) -> int | None:
        known = frame.sender < agents and (frame.replica, frame.count) == (0, 1)
        return length if known else None

    def from_server(frame: Frame) -> int | None:
        known = frame.sender == server and (frame.replica, frame.count) == (0, 1)
        return length if known else None

    for agent in range(agents):
        post.send(agent, server, snapshot[agent])
    uploads = post.receive(server, SEGMENT, from_agent, snapshot.dtype)
    if not uploads:
        return RoundReport()
    federated: Vectors = np.stack(list(uploads.values())).mean(axis=0)
    for agent in range(agents):
        post.send(server, agent, federated)
    for agent in range(agents):
        for values in post.receive(agent, SEGMENT, from_server, snapshot.dtype).values():
            snapshot[agent] = values
    theta.copy_(as_tensor(snapshot, theta))
    return RoundReport()
