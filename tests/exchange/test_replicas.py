import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.exchange.channel import Channel
from rsm.exchange.frames import HEADER_SIZE, SEGMENT, Frame, encode
from rsm.exchange.replicas import Ask, Came, Post, Slot, gather
from rsm.exchange.segments import segment_slices

AGENTS, LENGTH = 5, 23
EVERYBODY = ~np.eye(AGENTS, dtype=bool)


def snapshot() -> np.ndarray:
    """Agent i has the value i everywhere."""
    return np.repeat(np.arange(AGENTS, dtype=np.float32)[:, None], LENGTH, axis=1)


def post_of(loss_rate: float = 0.0, seed: int = 0) -> Post:
    return Post(Channel(AGENTS, loss_rate, np.random.default_rng(seed)), run=1, round_=3)


def plan(segments: int, replicas: int, seed: int) -> list[list[list[int]]]:
    draw = np.random.default_rng(seed)
    return [
        [
            draw.permutation([j for j in range(AGENTS) if j != i])[:segments].tolist()
            for _ in range(replicas)
        ]
        for i in range(AGENTS)
    ]


def come(sources: list[list[list[int]]], post: Post, neighbours=EVERYBODY) -> Came:
    def answers(peer: int, request: Slot) -> bool:
        return bool(neighbours[peer, request.sender])

    asks = {receiver: Ask(replicas) for receiver, replicas in enumerate(sources)}
    held = snapshot().__getitem__
    return gather(asks, held, answers, post, LENGTH, np.dtype(np.float32))


OWN = torch.full((AGENTS, LENGTH), -1.0)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_every_parameter_comes_from_exactly_the_peer_that_was_asked(segments, replicas, seed):
    sources = plan(segments, replicas, seed)
    came = come(sources, post_of())
    assert came.asked.all() and not came.lost.any() and came.replicas == replicas
    for replica in range(replicas):
        joined = came.joined(replica, OWN)
        for receiver in range(AGENTS):
            for segment, part in enumerate(segment_slices(LENGTH, segments)):
                peer = sources[receiver][replica][segment]
                assert (joined[receiver, part] == peer).all()


def test_bytes_sent_are_requests_headers_and_k_times_theta_per_agent():
    post = post_of()
    come(plan(4, 3, 0), post)
    ledger = post.channel.ledger
    assert ledger.total("payload_bytes") == AGENTS * 3 * LENGTH * 4
    assert ledger.total("request_bytes") == AGENTS * 3 * 4 * HEADER_SIZE
    assert ledger.total("header_bytes") == AGENTS * 3 * 4 * HEADER_SIZE
    assert ledger.total("refused") == 0


def test_standing_order_is_answered_without_a_request():
    post = post_of()
    asks = {0: Ask([[1], [3]], standing=True)}
    came = gather(
        asks, snapshot().__getitem__, lambda *_: False, post, LENGTH, np.dtype(np.float32)
    )
    [(row, received)] = came.whole()
    assert row == 0 and [vector[0] for vector in received] == [1, 3]
    assert post.channel.ledger.total("request_bytes") == 0


def test_peer_that_holds_nothing_sends_nothing():
    post = post_of()
    asks = {0: Ask([[1], [3]], standing=True)}
    held = {1: None, 3: snapshot()[3]}
    came = gather(asks, held.get, lambda *_: False, post, LENGTH, np.dtype(np.float32))
    assert came.lost.tolist() == [[1], [0]]
    assert post.channel.ledger.total("messages") == 1


def test_lost_segment_keeps_the_agents_own_slice():
    came = come(plan(4, 3, 0), post_of(loss_rate=0.4))
    assert came.lost.sum() > 0
    for replica in range(3):
        own = came.joined(replica, OWN) == OWN
        slices = segment_slices(LENGTH, 4)
        missing = np.array([[bool(row[part].all()) for part in slices] for row in own])
        assert (missing.sum(axis=1) == came.lost[replica]).all()
        assert int(own.sum()) == sum(
            part.stop - part.start
            for row in missing
            for part, gap in zip(slices, row, strict=True)
            if gap
        )


def test_replica_that_was_not_asked_for_is_the_agents_own():
    came = come([[[1]], [], [[0], [3]], [], []], post_of())
    assert came.asked.tolist() == [
        [True, False, True, False, False],
        [False, False, True] + [False] * 2,
    ]
    second = came.joined(1, OWN)
    assert (second[2] == 3).all() and (second[[0, 1, 3, 4]] == -1).all()
    assert came.only(1).joined(0, OWN).equal(second)


def test_peer_answers_its_neighbours_only():
    neighbours = EVERYBODY.copy()
    neighbours[2, 1] = False
    post = post_of()
    came = come([[[1]], [[2]], [[0]], [[0]], [[0]]], post, neighbours)
    assert came.lost[0].tolist() == [0, 1, 0, 0, 0]
    assert post.channel.ledger.counts["refused"][1, 2] == 1


GOOD = Frame(SEGMENT, 1, 3, 1, 0, 0, 0, 1, np.ones(LENGTH, dtype=np.float32))
WRONG = {
    "run": GOOD._replace(run=2),
    "round": GOOD._replace(round=2),
    "receiver": GOOD._replace(receiver=2),
    "sender": GOOD._replace(sender=4),
    "replica": GOOD._replace(replica=1),
    "segment": GOOD._replace(segment=1),
    "count": GOOD._replace(count=2),
    "kind": GOOD._replace(kind=0),
    "length": GOOD._replace(values=np.ones(LENGTH + 1, dtype=np.float32)),
    "dtype": GOOD._replace(values=np.ones(LENGTH, dtype=np.float64)),
    "nan": GOOD._replace(values=np.full(LENGTH, np.nan, dtype=np.float32)),
    "infinite": GOOD._replace(values=np.full(LENGTH, np.inf, dtype=np.float32)),
}


def accepted(*frames: bytes) -> tuple[int, int]:
    """How many frames a receiver takes that expects `GOOD`, and how many it refuses."""
    post = post_of()
    for frame in frames:
        post.channel.send(frame, 1, 0)

    def expected(slot: Slot) -> int | None:
        return LENGTH if (slot.sender, slot.replica, slot.count) == (1, 0, 1) else None

    taken = post.receive(0, SEGMENT, expected, np.dtype(np.float32))
    return len(taken), post.channel.ledger.total("refused")


@pytest.mark.parametrize("what", WRONG)
def test_frame_that_was_not_expected_is_refused_and_counted(what):
    assert accepted(encode(WRONG[what])) == (0, 1)


def test_expected_frame_is_taken_once():
    assert accepted(encode(GOOD)) == (1, 0)
    assert accepted(encode(GOOD), encode(GOOD)) == (1, 1)
    assert accepted(b"noise", encode(GOOD)) == (1, 1)
