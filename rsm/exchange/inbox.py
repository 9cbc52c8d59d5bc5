"""A node's mail at one instant, of whatever kind and round: each frame is taken or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.frames import SEGMENT, Frame, FrameError, decode


def mail(
    channel: Channel,
    receiver: int,
    run: int,
    expected_length: Callable[[Frame], int | None],
    codec: Codec,
    dtype: np.dtype[np.floating],
) -> list[tuple[Frame, NDArray[Any]]]:
    """The frames that a node takes of what has arrived, as they came, with their values, sorted by place.

    So their order does not depend on that of arrival: a sum of floats must not depend on who came first.

    `expected_length` gives the number of values that a frame must have, None where the receiver expects no such
    frame. The values of a segment are its parameters, decoded, of this `dtype`. A frame of another run or
    receiver or encoding, not expected, repeated, damaged or not finite is counted as refused and dropped.
    """
    taken: dict[tuple[int, ...], tuple[Frame, NDArray[Any]]] = {}
    for data in channel.collect(receiver):
        try:
            frame = decode(data, channel.key)
        except FrameError:
            # Who sent it cannot be read: counted on the receiver's own account.
            channel.refuse(receiver, receiver)
            continue
        place = (frame.kind, *frame[2:8])  # round, sender, receiver, replica, segment, count
        values = None
        if (
            (frame.run, frame.receiver) == (run, receiver)
            and place not in taken
            and frame.segment < frame.count
            and (length := expected_length(frame)) is not None
        ):
            values = _values(frame, length, codec, dtype)
        if values is None:
            channel.refuse(min(frame.sender, channel.server), receiver)
        else:
            taken[place] = frame, values
    return [taken[place] for place in sorted(taken)]


def _values(
    frame: Frame, length: int, codec: Codec, dtype: np.dtype[np.floating]
) -> NDArray[Any] | None:
    """The values of a frame, None where their number or one of themselves is wrong."""
    values: NDArray[Any] | None = frame.values
    if frame.kind == SEGMENT:
        values = codec.decode(frame, length, dtype)
    elif len(frame.values) != length:
        values = None
    if values is None or (length and not np.isfinite(values).all()):
        return None
    return values
