"""What nodes ask of each other, and what comes: requests, answers, gaps and refusals, handled once.

A node asks for *replicas*: whole parameter vectors, each joined from one segment of every peer in a list.
Nothing crosses between nodes except frames that went through the channel and were decoded and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.exchange.channel import Channel
from rsm.exchange.codec import PLAIN, Codec
from rsm.exchange.encodings import VERSION
from rsm.exchange.frames import (
    REQUEST,
    SEGMENT,
    Frame,
    checksum_of,
    encode,
)
from rsm.exchange.inbox import mail
from rsm.exchange.segments import segment_slices

Vectors = NDArray[np.floating]  # parameters, [..., D]


class Slot(NamedTuple):
    """One segment of one replica, and who sends it to the receiver at hand."""

    sender: int
    replica: int
    segment: int
    count: int  # type: ignore[assignment]  # segments of the replica


def slot_of(frame: Frame) -> Slot:
    """The place of a segment in what its receiver asked for."""
    return Slot(frame.sender, frame.replica, frame.segment, frame.count)


class Ask(NamedTuple):
    """What one node asks for in a round."""

    sources: Sequence[Sequence[int]]  # [k][p]: the peer that is asked for segment p of replica k
    standing: bool = False  # peers know without a request that they send their parameters here


class Post:
    """Sending and receiving the frames of one round over a channel."""

    def __init__(self, channel: Channel, run: int, round_: int, codec: Codec = PLAIN) -> None:
        self.channel, self.run, self.round, self.codec = channel, run, round_, codec

    def send(
        self,
        sender: int,
        receiver: int,
        values: NDArray[Any],
        slot: tuple[int, int, int] = (0, 0, 1),
        kind: int = SEGMENT,
        checksum: int | None = None,
    ) -> None:
        """Send values (a payload, or what a request says) for replica, segment and segment count `slot`.

        `checksum` is that of the values, for a caller that sends them more than once.
        """
        frame = Frame(kind, self.run, self.round, sender, receiver, *slot, values)
        self.channel.send(encode(frame, self.channel.key, checksum), sender, receiver)

    def receive(
        self,
        receiver: int,
        kind: int,
        expected_length: Callable[[Slot], int | None],
        dtype: np.dtype[Any],
    ) -> dict[Slot, Vectors]:
        """Values of the frames that this receiver accepts, by slot, in the order of the slots.

        `expected_length` gives the number of values a frame in that slot must have, None where the
        receiver expects no such frame. A frame of another run, round, kind, dtype or length, not expected,
        repeated, damaged or not finite is counted as refused and dropped.
        """

        def expected(frame: Frame) -> int | None:
            if (frame.round, frame.kind) != (self.round, kind):
                return None
            length = expected_length(slot_of(frame))
            typed = kind == SEGMENT or not length or frame.values.dtype == dtype
            return length if typed else None

        taken = mail(self.channel, receiver, self.run, expected, self.codec, dtype)
        if kind == SEGMENT and self.codec.confirms:
            return {slot_of(frame): self.codec.keep(frame, values) for frame, values in taken}
        return {slot_of(frame): values for frame, values in taken}


class Came(NamedTuple):
    """What came for R receivers that asked for up to K replicas each."""

    receivers: list[int]  # [R] nodes
    sources: list[list[list[int]]]  # [r][k][p] peers
    segments: list[list[list[Vectors | None]]]  # [r][k][p]; None: lost, late or refused
    length: int  # D, parameters

    @property
    def replicas(self) -> int:
        """K, the most replicas that one of the receivers asked for."""
        return max((len(replicas) for replicas in self.sources), default=0)

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Whether receiver r asked for replica k, `[K, R]`."""
        amounts = np.array([len(replicas) for replicas in self.sources])
        flags: NDArray[np.bool_] = np.arange(self.replicas)[:, None] < amounts
        return flags

    @property
    def lost(self) -> NDArray[np.int64]:
        """Segments that receiver r asked for and did not get for replica k, `[K, R]`."""
        lost = np.zeros((self.replicas, len(self.receivers)), dtype=np.int64)
        for r, replicas in enumerate(self.segments):
            for k, parts in enumerate(replicas):
                lost[k, r] = sum(part is None for part in parts)
        return lost

    def only(self, k: int) -> Came:
        """The same with replica k alone."""
        sources = [replicas[k : k + 1] for replicas in self.sources]
        return self._replace(
            sources=sources, segments=[replicas[k : k + 1] for replicas in self.segments]
        )

    def whole(self) -> Iterator[tuple[int, list[Vectors]]]:
        """Each receiver's row r with the parameters `[D]` of those replicas that came whole in one segment."""
        for r, replicas in enumerate(self.segments):
            yield r, [parts[0] for parts in replicas if len(parts) == 1 and parts[0] is not None]

    def joined(self, k: int, own: Tensor) -> Tensor:
        """Referential policies: replica k of every receiver, `[R, D]`, gaps filled from `own: [R, D]`.

        A gap is a segment that did not come, or a replica that the receiver did not ask for.
        """
        values: Vectors = np.empty(own.shape, dtype=numpy_type(own))
        gaps: list[tuple[int, slice]] = []
        for r, replicas in enumerate(self.segments):
            parts = replicas[k] if k < len(replicas) else [None]
            for part, piece in zip(segment_slices(self.length, len(parts)), parts, strict=True):
                if piece is None:
                    gaps.append((r, part))
                else:
                    values[r, part] = piece
        joined = torch.from_numpy(values).to(own.device)
        for r, part in gaps:
            joined[r, part] = own[r, part]
        return joined


def gather(
    asks: Mapping[int, Ask],
    held: Callable[[int], Vectors | None],
    answers: Callable[[int, Slot], bool],
    post: Post,
    length: int,
    dtype: np.dtype[np.floating],
) -> Came:
    """Carry out what the nodes of `asks` ask for, all at once, and return what came.

    `held(peer)` are the parameters `[length]` that a peer sends now, None where it has nothing to send;
    `answers(peer, request)` says whether the peer answers a request, whose `sender` is the node that asks.
    Where requests say which version is held, standing orders have requests too, for that alone.
    Every request is on the wire before any is answered, and every answer before any is read.
    """
    codec = post.codec
    slots = {receiver: list(_slots(ask)) for receiver, ask in asks.items()}
    standing: dict[int, set[Slot]] = {}  # by the peer that knows of it without a request
    for receiver, ask in asks.items():
        for slot in slots[receiver]:
            if ask.standing:
                standing.setdefault(slot.sender, set()).add(slot._replace(sender=receiver))
            if not ask.standing or codec.confirms:
                said = codec.request((slot.sender, receiver, slot.segment, slot.count))
                post.send(receiver, slot.sender, said, slot[1:], REQUEST)

    peers = sorted({peer for ask in asks.values() for sources in ask.sources for peer in sources})
    wanted = {}
    for peer in peers:
        known = standing.get(peer, set())
        if codec.confirms:
            wanted[peer] = _requests(peer, _either(known, answers), post, length)
        else:
            wanted[peer] = _requests(peer, answers, post, length) | dict.fromkeys(known, 0)
    for peer, requests in wanted.items():
        _answer(peer, requests, held(peer), post)

    receivers = list(asks)
    segments = []
    for receiver, ask in asks.items():
        parts = {slot: segment_slices(length, slot.count)[slot.segment] for slot in slots[receiver]}
        lengths = {slot: part.stop - part.start for slot, part in parts.items()}
        received = post.receive(receiver, SEGMENT, lengths.get, dtype)
        came = iter([received.get(slot) for slot in slots[receiver]])
        segments.append([[next(came) for _ in sources] for sources in ask.sources])
    sources = [[list(peers) for peers in ask.sources] for ask in asks.values()]
    return Came(receivers, sources, segments, length)


def _slots(ask: Ask) -> Iterator[Slot]:
    """The segments that a node asks for, in the order of `sources`."""
    for replica, peers in enumerate(ask.sources):
        for segment, peer in enumerate(peers):
            yield Slot(peer, replica, segment, len(peers))


def _either(known: Set[Slot], answers: Callable[[int, Slot], bool]) -> Callable[[int, Slot], bool]:
    return lambda peer, request: request in known or answers(peer, request)


def _requests(
    peer: int, answers: Callable[[int, Slot], bool], post: Post, length: int
) -> dict[Slot, int]:
    """What is asked of a peer and answered, with the version held; `sender` is the node that asks."""
    size = int(post.codec.confirms)

    def request_length(slot: Slot) -> int | None:
        return size if slot.count <= length and answers(peer, slot) else None

    received = post.receive(peer, REQUEST, request_length, VERSION)
    return {slot: int(says[0]) if size else 0 for slot, says in received.items()}


def _answer(peer: int, requests: Mapping[Slot, int], own: Vectors | None, post: Post) -> None:
    """Send each node that asked its segment of the peer's parameters, encoded once for all it can serve."""
    if own is None:
        return
    codec = post.codec
    payloads: dict[tuple[int, int, int], tuple[NDArray[Any], int]] = {}
    for slot, version in sorted(requests.items()):
        receiver, replica, segment, count = slot
        key = (receiver if codec.confirms else 0, segment, count)
        if key not in payloads:
            part = own[segment_slices(len(own), count)[segment]]
            payload = codec.encode(part, (peer, receiver, segment, count), post.round, version)
            payloads[key] = payload, checksum_of(payload)
        payload, checksum = payloads[key]
        post.send(peer, receiver, payload, (replica, segment, count), checksum=checksum)


def numpy_type(like: Tensor) -> np.dtype[np.floating]:
    """float32 or float64, as on the wire."""
    return np.dtype(np.float64 if like.dtype == torch.float64 else np.float32)
