import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm.config.exchanging import Communication
from rsm.exchange.channel import Channel
from rsm.exchange.delays import delay_of
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


# Senders, receivers, values of a frame, and s that pass before it is sent.
SENDINGS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 50), st.floats(0, 3)),
    min_size=1,
    max_size=30,
)
KINDS = ("none", "constant", "exponential", "lognormal")


def timed(kind: str, seed: int, bandwidth: float = math.inf, loss_rate: float = 0.0) -> Channel:
    delay = delay_of(Communication(delay=kind, delay_mean=2.0))
    draws = [np.random.default_rng([seed, node]) for node in range(4)]
    return Channel(3, loss_rate, draws, delay=delay, bandwidth=bandwidth)


@given(SENDINGS, st.sampled_from(KINDS), st.sampled_from([math.inf, 100.0]), st.integers(0, 99))
def test_bytes_sent_are_delivered_lost_or_in_flight_at_every_moment(sendings, kind, width, seed):
    channel, ledger = (made := timed(kind, seed, width, 0.3)), made.ledger
    for sender, receiver, values, wait in sendings:
        channel.advance(channel.now + wait)
        channel.send(frame_of(values), sender, receiver)
        fates = sum(int(fate.sum()) for fate in ledger.fates.values())
        assert ledger.bytes_sent == fates + channel.bytes_in_flight
    channel.advance(1e9)
    assert channel.bytes_in_flight == 0
    arrived = sum(len(frame) for node in channel.addressed for frame in channel.collect(node))
    assert arrived == ledger.fates["delivered_bytes"].sum()
    assert ledger.bytes_sent == arrived + ledger.fates["lost_bytes"].sum()


@given(SENDINGS, st.sampled_from(KINDS), st.integers(0, 99))
def test_no_frame_is_there_before_it_was_sent_and_has_passed_the_links(sendings, kind, seed):
    width, free = 100.0, [0.0] * 4
    channel = timed(kind, seed, width)
    for sender, receiver, values, wait in sendings:
        channel.advance(channel.now + wait)
        frame = frame_of(values)
        arrival = channel.send(frame, sender, receiver)
        begins = max(channel.now, free[sender], free[receiver])  # in order of sending
        free[sender] = free[receiver] = begins + len(frame) / width
        assert arrival >= free[sender] >= channel.now + len(frame) / width
        if kind == "constant":
            assert arrival == pytest.approx(free[sender] + 2)
        channel.advance(math.nextafter(arrival, -math.inf))
        assert frame not in channel.collect(receiver)
        channel.advance(arrival)
        assert channel.collect(receiver) == [frame]


@pytest.mark.parametrize("kind", KINDS)
def test_delays_have_their_mean(kind):
    delay, draw = delay_of(Communication(delay=kind, delay_mean=2.0)), np.random.default_rng(0)
    draws = [delay(draw) for _ in range(20_000)]
    assert np.mean(draws) == pytest.approx(0 if kind == "none" else 2, rel=0.03)
    assert min(draws) >= 0


def test_restored_channel_delivers_the_frames_in_flight_at_the_same_times():
    channel, other = timed("lognormal", 0, 500.0, 0.2), timed("lognormal", 1, 500.0, 0.2)
    for number in range(40):
        channel.advance(number / 10)
        channel.send(frame_of(number % 7), number % 3, (number + 1) % 4)
    for node in channel.addressed:
        channel.collect(node)
    other.load_state_dict(channel.state_dict())
    assert channel.bytes_in_flight == other.bytes_in_flight > 0
    seen = []
    for one in (channel, other):
        times = []
        one.send(frame_of(3), 1, 2)
        while (due := one.next_arrival) < math.inf:
            one.advance(due)
            times.append((due, [one.collect(node) for node in range(4)]))
        seen.append(times)
    assert seen[0] == seen[1]


def test_what_one_node_draws_depends_on_nobody_else():
    alone, among = timed("exponential", 3), timed("exponential", 3)
    arrivals = [alone.send(frame_of(1), 0, 1) for _ in range(5)]
    for expected in arrivals:
        among.send(frame_of(1), 1, 2)
        assert among.send(frame_of(1), 0, 1) == expected


def test_frame_for_a_node_whose_radio_is_off_is_lost():
    channel = timed("constant", 0)
    channel.send(frame_of(1), 0, 1)
    channel.present = np.array([True, False, True])
    channel.advance(10)
    assert channel.ledger.total("lost") == 1 and not channel.addressed
