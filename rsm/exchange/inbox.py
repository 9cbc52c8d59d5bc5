"""A node's mail at one instant, of whatever kind and round: each frame is taken or refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rsm.exchange.channel import Channel
from rsm.exchange.frames import Frame, FrameError, decode


def mail(
    channel: Channel, receiver: int, run: int, expected_length: Callable[[Frame], int | None]
) -> list[Frame]:
    """The frames that a node takes of what has arrived, in an order that does not depend on their arrival.

    `expected_length` gives the number of values that a frame must have, None where the receiver expects no such
    frame. A frame of another run or receiver, not expected, repeated, damaged or not finite is counted as
    refused and dropped.
    """
    taken: dict[tuple[int, ...], Frame] = {}
    for data in channel.collect(receiver):
        try:
            frame = decode(data, channel.key)
        except FrameError:
            # Who sent it cannot be read: counted on the receiver's own account.
            channel.refuse(receiver, receiver)
            continue
        place = (frame.kind, *frame[2:8])  # round, sender, receiver, replica, segment, count
        right = (
            (frame.run, frame.receiver) == (run, receiver)
            and place not in taken
            and frame.segment < frame.count
            and len(frame.values) == expected_length(frame)
            and bool(np.isfinite(frame.values).all())
        )
        if right:
            taken[place] = frame
        else:
            channel.refuse(min(frame.sender, channel.server), receiver)
    return [taken[place] for place in sorted(taken)]
