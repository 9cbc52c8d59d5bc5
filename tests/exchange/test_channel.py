import numpy as np
import pytest

from rsm.exchange.channel import Channel
from rsm.exchange.frames import (
    ANSWER,
    HEADER_SIZE,
    QUESTION,
    REQUEST,
    SEGMENT,
    Frame,
    encode,
)


def frame_of(values: int, kind: int = SEGMENT) -> bytes:
    return encode(Frame(kind, 1, 1, 0, 0, 0, 0, 1, np.ones(values, dtype=np.float32)))


def test_ledger_counts_the_bytes_of_every_frame_per_directed_pair():
    channel = Channel(3, 0.0, np.random.default_rng(0))
    frames = [
        frame_of(0, REQUEST),
        frame_of(10),
        frame_of(2),
        frame_of(5, QUESTION),
        frame_of(1, ANSWER),
    ]
    pairs = [(0, 1), (1, 0), (2, 3), (0, 2), (2, 0)]
    for frame, (sender, receiver) in zip(frames, pairs, strict=True):
        channel.send(frame, sender, receiver)
    assert channel.ledger.bytes_sent == sum(map(len, frames))
    assert channel.ledger.total("payload_bytes") == 48
    assert channel.ledger.total("request_bytes") == HEADER_SIZE
    assert channel.ledger.total("header_bytes") == 2 * HEADER_SIZE
    assert channel.ledger.bytes_per_pair[1, 0] == HEADER_SIZE + 40
    assert channel.ledger.total("question_bytes") == 2 * HEADER_SIZE + 24
    assert channel.collect(0) == [frames[1], frames[4]] and channel.collect(0) == []
    assert channel.collect(channel.server) == [frames[2]]


def test_lost_frames_are_paid_for_and_do_not_arrive():
    channel = Channel(2, 0.3, np.random.default_rng(0))
    for _ in range(2000):
        channel.send(frame_of(1), 0, 1)
    lost = channel.ledger.total("lost")
    assert len(channel.collect(1)) == 2000 - lost
    assert 0.25 < lost / 2000 < 0.35
    assert channel.ledger.bytes_sent == 2000 * (HEADER_SIZE + 4)


def test_busiest_node_of_a_central_exchange_is_the_server():
    channel = Channel(4, 0.0, np.random.default_rng(0))
    assert np.isnan(channel.ledger.heaviest_share)
    for agent in range(4):
        channel.send(frame_of(1), agent, channel.server)
        channel.send(frame_of(1), channel.server, agent)
    assert channel.ledger.heaviest_share == 1.0


def test_difference_of_ledgers_is_what_came_between():
    channel = Channel(2, 0.0, np.random.default_rng(0))
    channel.send(bytes(100), 0, 1)
    before = channel.ledger.copy()
    channel.send(bytes(60), 1, 0)
    assert channel.ledger.since(before).bytes_sent == 60
    assert before.bytes_sent == 100


def test_restored_channel_loses_the_same_frames():
    def losses(channel: Channel) -> int:
        for _ in range(50):
            channel.send(bytes(100), 0, 1)
        return channel.ledger.total("lost")

    channel, other = (Channel(2, 0.5, np.random.default_rng(seed)) for seed in (0, 1))
    losses(channel)
    other.load_state_dict(channel.state_dict())
    assert losses(channel) == losses(other)
    assert channel.ledger.bytes_sent == other.ledger.bytes_sent == pytest.approx(10_000)
