"""Split, frame, send, decode and join, for all agents, and the encoders: bytes of parameters per second.

Each is measured in turn with the same thing written plainly, without checks, headers and ledger.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Row, medians, milliseconds
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.encodings import amount
from rsm.exchange.replicas import Ask, Post, Slot, Vectors, gather
from rsm.exchange.segments import segment_slices

SMALL = 4_802  # parameters of an actor of hidden 64 × 64
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

    def plain(self) -> None:
        """The same values by the same way: a checksummed copy of every segment, checked and joined."""
        slices = segment_slices(self.snapshot.shape[1], SEGMENTS)
        for replica in range(REPLICAS):
            joined = np.empty_like(self.snapshot)
            for agent, sources in enumerate(self.sources):
                for peer, part in zip(sources[replica], slices, strict=True):
                    sent = self.snapshot[peer, part].tobytes()
                    checksum = zlib.crc32(sent)
                    values = np.frombuffer(sent, np.float32)
                    if checksum == zlib.crc32(sent) and np.isfinite(values).all():
                        joined[agent, part] = values


def rows() -> list[Row]:
    """The published size among 9 agents, a small one, and each encoder."""
    return [_throughput(), _frames(), *_encoders()]


def _throughput() -> Row:
    held = Round(9, 8, LENGTH)
    times = medians({"round": held.hold, "plain": held.plain}, 40, warm=3)
    rate = held.payload / times["round"]
    ratio = times["round"] / times["plain"]
    return Row(
        "split, frame, send, decode, join for all agents",
        f"{rate / 1e9:.2f} GB/s ({held.payload / 1e6:.1f} MB in {milliseconds(times['round'])}), "
        f"{ratio:.2f} × plain copies with checksums",
        "≤ 1.5 × plain copies",
        ratio <= 1.5,
        {"seconds": times["round"], "bytes": held.payload, "rate": rate, "ratio": ratio},
    )


def _frames() -> Row:
    held = Round(9, 8, SMALL)
    frames = 2 * len(held.snapshot) * REPLICAS * SEGMENTS  # requests and segments
    times = medians({"round": held.hold, "plain": held.plain}, 100, warm=5)
    each, ratio = times["round"] / frames, times["round"] / times["plain"]
    return Row(
        "a frame from encode to joined values, hidden 64 × 64",
        f"{each * 1e6:.1f} µs ({frames} frames in {milliseconds(times['round'])}), "
        f"{ratio:.2f} × plain copies with checksums",
        "≤ 5 × plain copies",
        ratio <= 5,
        {"seconds": each, "frames": frames, "ratio": ratio},
    )


SHARE = 0.1  # of top-k


def _encoders() -> list[Row]:
    """From a segment of the published actor to the payload of a frame."""
    draw = np.random.default_rng(0)
    steps = draw.normal(size=(16, LENGTH // SEGMENTS), scale=0.01).astype(np.float32)
    walk = steps.cumsum(axis=0)  # what a sender has in one round after the other
    values, differing = walk[0], np.abs(steps[1])
    count, scale = amount(len(values), SHARE), np.float32(np.abs(values).max() / 127)
    plain: dict[str, Callable[[], object]] = {
        "float16": lambda: values.astype(np.float16),
        "int8": lambda: np.floor(values / scale + draw.random(len(values))).astype(np.int8),
        f"topk:{SHARE}": lambda: np.sort(np.argsort(differing)[-count:]),
    }
    return [_encoder(name, walk, plainly) for name, plainly in plain.items()]


def _encoder(name: str, walk: Vectors, plainly: Callable[[], object]) -> Row:
    codec, place = Codec(name, np.random.default_rng(0)), (0, 1, 0, SEGMENTS)
    values, rounds = walk[0], itertools.count(1)

    def encode() -> None:
        """For a receiver that holds what it was sent in the round before."""
        number = next(rounds)
        codec.encode(walk[number % len(walk)], place, number, 2 * (number - 1))

    times = medians({"encode": encode, "plain": plainly}, 300, warm=10)
    rate, ratio = values.nbytes / times["encode"], times["encode"] / times["plain"]
    return Row(
        f"encode a segment as {name}",
        f"{rate / 1e6:.0f} MB/s of parameters ({values.nbytes / 1e3:.0f} kB in "
        f"{milliseconds(times['encode'])}), {ratio:.2f} × plain",
        "≤ 1.5 × plain",
        ratio <= 1.5,
        {"seconds": times["encode"], "rate": rate, "ratio": ratio},
    )
