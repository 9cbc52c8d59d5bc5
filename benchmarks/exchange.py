"""Split, frame, send, decode and join, for all agents: bytes of parameters per second, and their growth."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Row, medians, milliseconds
from rsm.exchange.channel import Channel
from rsm.exchange.replicas import Ask, Post, Slot, Vectors, gather

LENGTH, SEGMENTS, REPLICAS = 68_098, 4, 3


class Round:
    """What one round exchanges among agents that hear all others, or `degree` on a ring-like graph."""

    def __init__(self, agents: int, degree: int, length: int) -> None:
        draw = np.random.default_rng(0)
        self.snapshot: Vectors = draw.normal(size=(agents, length)).astype(np.float32)
        self.own = torch.from_numpy(self.snapshot)
        near = np.arange(1, degree // 2 + 1)
        self.neighbours: NDArray[np.bool_] = np.zeros((agents, agents), dtype=np.bool_)
        for agent in range(agents):
            self.neighbours[agent, np.concatenate((agent + near, agent - near)) % agents] = True
        peers = [np.flatnonzero(row) for row in self.neighbours]
        self.sources = [
            [draw.choice(near, SEGMENTS, replace=False).tolist() for _ in range(REPLICAS)]
            for near in peers
        ]

    @property
    def payload(self) -> int:
        """Bytes of parameters that cross."""
        return REPLICAS * self.snapshot.nbytes

    def hold(self) -> None:
        """Exchange."""
        agents = len(self.snapshot)
        post = Post(Channel(agents, 0.0, np.random.default_rng(0)), run=1, round_=1)
        asks = {agent: Ask(sources) for agent, sources in enumerate(self.sources)}

        def answers(peer: int, request: Slot) -> bool:
            return bool(self.neighbours[peer, request.sender])

        length, dtype = self.snapshot.shape[1], self.snapshot.dtype
        came = gather(asks, self.snapshot.__getitem__, answers, post, length, dtype)
        for replica in range(REPLICAS):
            came.joined(replica, self.own)


def rows() -> list[Row]:
    """The published size among 9 agents."""
    held = Round(9, 8, LENGTH)
    seconds = medians({"round": held.hold}, 40, warm=3)["round"]
    rate = held.payload / seconds
    return [
        Row(
            "split, frame, send, decode, join for all agents",
            f"{rate / 1e9:.2f} GB/s ({held.payload / 1e6:.1f} MB in {milliseconds(seconds)})",
            "≥ 1 GB/s",
            rate >= 1e9,
            {"seconds": seconds, "bytes": held.payload, "rate": rate},
        )
    ]
