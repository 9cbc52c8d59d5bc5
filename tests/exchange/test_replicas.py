import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.exchange.channel import Channel
from rsm.exchange.frames import HEADER_SIZE, SEGMENT, Frame, encode
from rsm.exchange.replicas import Post, gather_replicas
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


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_every_parameter_comes_from_exactly_the_peer_that_was_asked(segments, replicas, seed):
    sources = plan(segments, replicas, seed)
    gathered = gather_replicas(snapshot(), sources, replicas, EVERYBODY, post_of())
    assert gathered.arrived.all() and not gathered.lost.any()
    for receiver in range(AGENTS):
        for replica in range(replicas):
            for segment, part in enumerate(segment_slices(LENGTH, segments)):
                peer = sources[receiver][replica][segment]
                assert (gathered.values[replica, receiver, part] == peer).all()


def test_bytes_sent_are_requests_headers_and_k_times_theta_per_agent():
    post = post_of()
    gather_replicas(snapshot(), plan(4, 3, 0), 3, EVERYBODY, post)
    ledger = post.channel.ledger
    assert ledger.total("payload_bytes") == AGENTS * 3 * LENGTH * 4
    assert ledger.total("request_bytes") == AGENTS * 3 * 4 * HEADER_SIZE
    assert ledger.total("header_bytes") == AGENTS * 3 * 4 * HEADER_SIZE
    assert ledger.total("refused") == 0


def test_lost_segment_keeps_the_agents_own_slice():
    gathered = gather_replicas(snapshot(), plan(4, 3, 0), 3, EVERYBODY, post_of(loss_rate=0.4))
    own = gathered.values == snapshot()[None]
    assert gathered.lost.sum() > 0
    assert (own == ~gathered.arrived).all()
    slices = segment_slices(LENGTH, 4)
    missing = [[[not a[part].all() for part in slices] for a in k] for k in gathered.arrived]
    assert (np.sum(missing, axis=2) == gathered.lost).all()


def test_peer_answers_its_neighbours_only():
    neighbours = EVERYBODY.copy()
    neighbours[2, 1] = False
    sources = [[[1]], [[2]], [[0]], [[0]], [[0]]]
    post = post_of()
    gathered = gather_replicas(snapshot(), sources, 1, neighbours, post)
    assert gathered.lost[0].tolist() == [0, 1, 0, 0, 0]
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

    def expected(frame: Frame) -> int | None:
        return LENGTH if (frame.sender, frame.replica, frame.count) == (1, 0, 1) else None

    taken = post.receive(0, SEGMENT, expected, np.dtype(np.float32))
    return len(taken), post.channel.ledger.total("refused")


@pytest.mark.parametrize("what", WRONG)
def test_frame_that_was_not_expected_is_refused_and_counted(what):
    assert accepted(encode(WRONG[what])) == (0, 1)


def test_expected_frame_is_taken_once():
    assert accepted(encode(GOOD)) == (1, 0)
    assert accepted(encode(GOOD), encode(GOOD)) == (1, 1)
    assert accepted(b"noise", encode(GOOD)) == (1, 1)
