"""Exchanges of a synchronous round: every message carries the snapshot taken at its start.

Nothing crosses between agents except frames that went through the channel and were decoded and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsm.exchange.channel import Channel
from rsm.exchange.frames import (
    NO_VALUES,
    REQUEST,
    SEGMENT,
    Frame,
    FrameError,
    checksum_of,
    decode,
    encode,
)
from rsm.exchange.segments import segment_slices

Vectors = NDArray[np.floating]  # parameters, [..., D]
Slot = tuple[int, int, int, int]  # sender, replica, segment, segment count


class Replicas(NamedTuple):
    """Referential policies of one round for N receivers, at most K each."""

    values: Vectors  # [K, N, D]; the receiver's own values of the snapshot where nothing arrived
    arrived: NDArray[np.bool_]  # [K, N, D], which of them came from peers; may be read-only
    asked: NDArray[np.bool_]  # [K, N], is there such a replica
    lost: NDArray[np.int64]  # [K, N], segments asked for that were lost or refused


class Post:
    """Sending and receiving the frames of one round over a channel."""

    def __init__(self, channel: Channel, run: int, round_: int) -> None:
        self.channel, self.run, self.round = channel, run, round_

    def send(
        self,
        sender: int,
        receiver: int,
        values: Vectors,
        slot: tuple[int, int, int] = (0, 0, 1),
        kind: int = SEGMENT,
        checksum: int | None = None,
    ) -> None:
        """Send values (or a request) for replica, segment and segment count `slot`.

        `checksum` is that of the values, for a caller that sends them more than once.
        """
        frame = Frame(kind, self.run, self.round, sender, receiver, *slot, values)
        self.channel.send(encode(frame, self.channel.key, checksum), sender, receiver)

    def receive(
        self,
        receiver: int,
        kind: int,
        expected_length: Callable[[Frame], int | None],
        dtype: np.dtype[np.floating],
    ) -> dict[Slot, Vectors]:
        """Values of the frames that this receiver accepts, by slot, in the order of the slots.

        `expected_length` gives the number of values a frame in that slot must have, None where the
        receiver expects no such frame. A frame of another run, round, kind, dtype or length, not expected,
        repeated, damaged or not finite is counted as refused and dropped.
        """
        accepted: dict[Slot, Vectors] = {}
        for data in self.channel.collect(receiver):
            try:
                frame = decode(data, self.channel.key)
            except FrameError:
                # Who sent it cannot be read: counted on the receiver's own account.
                self.channel.refuse(receiver, receiver)
                continue
            slot = (frame.sender, frame.replica, frame.segment, frame.count)
            right = (
                (frame.run, frame.round, frame.kind) == (self.run, self.round, kind)
                and frame.receiver == receiver
                and slot not in accepted
                and frame.segment < frame.count
                and len(frame.values) == expected_length(frame)
                and (frame.values.dtype == dtype or not len(frame.values))
                and bool(np.isfinite(frame.values).all())
            )
            if right:
                accepted[slot] = frame.values
            else:
                self.channel.refuse(min(frame.sender, self.channel.server), receiver)
        return dict(sorted(accepted.items()))  # a sum of floats must not depend on who came first


def gather_replicas(
    snapshot: Vectors,
    sources: Sequence[Sequence[Sequence[int]]],
    replicas: int,
    neighbours: NDArray[np.bool_],
    post: Post,
) -> Replicas:
    """Ask for segments and join them into at most K = `replicas` referential policies per agent.

    `snapshot: [N, D]`; `sources[i][k][p]` is the agent that receiver i asks for segment p of its replica k.
    Each peer answers requests of its neighbours only. A segment that was lost or refused is filled with
    the receiver's own slice, and counted.
    """
    agents, length = snapshot.shape
    for receiver, asked_of in enumerate(sources):
        for replica, peers in enumerate(asked_of):
            for segment, peer in enumerate(peers):
                place = (replica, segment, len(peers))
                post.send(receiver, peer, NO_VALUES, place, REQUEST)

    requests = []  # all are collected before any is answered: answers come to the same mailboxes
    for peer in range(agents):

        def request_length(frame: Frame, peer: int = peer) -> int | None:
            known = frame.sender < agents and bool(neighbours[peer, frame.sender])
            return 0 if known and frame.replica < replicas and frame.count <= length else None

        requests.append(post.receive(peer, REQUEST, request_length, snapshot.dtype))
    for peer, wanted in enumerate(requests):
        checksums: dict[tuple[int, int], int] = {}
        for receiver, replica, segment, count in wanted:
            own = snapshot[peer, segment_slices(length, count)[segment]]
            if (segment, count) not in checksums:
                checksums[segment, count] = checksum_of(own)
            place = (replica, segment, count)
            post.send(peer, receiver, own, place, checksum=checksums[segment, count])

    values = np.empty((replicas, agents, length), dtype=snapshot.dtype)
    asked = np.zeros((replicas, agents), dtype=np.bool_)
    lost = np.zeros((replicas, agents), dtype=np.int64)
    missing: list[tuple[int, int, slice]] = []
    for receiver, asked_of in enumerate(sources):
        slots: dict[Slot, slice] = {
            (peer, replica, segment, len(peers)): part
            for replica, peers in enumerate(asked_of)
            for segment, (peer, part) in enumerate(
                zip(peers, segment_slices(length, len(peers)), strict=True)
            )
        }

        def answer_length(frame: Frame, slots: dict[Slot, slice] = slots) -> int | None:
            part = slots.get((frame.sender, frame.replica, frame.segment, frame.count))
            return None if part is None else part.stop - part.start

        asked[: len(asked_of), receiver] = True
        values[len(asked_of) :, receiver] = snapshot[receiver]
        answers = post.receive(receiver, SEGMENT, answer_length, snapshot.dtype)
        for slot, part in slots.items():
            replica = slot[1]
            if slot in answers:
                values[replica, receiver, part] = answers[slot]
            else:
                values[replica, receiver, part] = snapshot[receiver, part]
                lost[replica, receiver] += 1
                missing.append((replica, receiver, part))
    # Written out parameter by parameter only where something is missing, which is rare.
    arrived = np.broadcast_to(asked[:, :, None], values.shape)
    if missing:
        arrived = arrived.copy()
        for replica, receiver, part in missing:
            arrived[replica, receiver, part] = False
    return Replicas(values, arrived, asked, lost)
