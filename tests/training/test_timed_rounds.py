"""Laws of rounds that take simulated time, for every method: in step, and each agent in its own time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.config.catalogue import METHODS
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.frames import SEGMENT, Frame, decode, encode
from rsm.exchange.ledger import COUNTERS
from rsm.exchange.replicas import Slot
from rsm.training.clock import Clock
from rsm.training.open_round import OpenRound
from rsm.training.server import Server

from ..rounds import hold, place_of
from ..timed import World, by_both, world_of

AGENTS, LENGTH = 6, 41
EXCHANGING = [name for name, traits in METHODS.items() if traits.exchanges]
CASES = [*((name, False) for name in EXCHANGING), ("rsm", True)]  # method, whether jurors judge
DELAYS = {"delay": "exponential", "delay_mean": 0.7, "bandwidth": 20_000.0}


def theta(seed: int = 3) -> torch.Tensor:
    return torch.randn(AGENTS, LENGTH, generator=torch.Generator().manual_seed(seed))


def graph(name: str) -> np.ndarray:
    matrix = np.zeros((AGENTS, AGENTS), dtype=bool)
    for agent in range(AGENTS):
        following = (agent + 1) % AGENTS
        matrix[agent, following] = matrix[following, agent] = True
    if name == "complete":
        matrix[:] = True
    if name == "one-way":  # whom agent i hears does not hear agent i
        matrix = np.triu(matrix)
        matrix[-1, 0], matrix[0, -1] = True, False
    if name == "islands":  # three, a pair, and one alone
        matrix[:] = False
        matrix[:3, :3] = matrix[3, 4] = matrix[4, 3] = True
    np.fill_diagonal(matrix, False)
    return matrix


COMPLETE = graph("complete")


class Logged(Channel):
    """A channel that remembers when each frame was sent, and loses those that it is told to."""

    def __init__(self, *args, loses=lambda frame: False, **changes) -> None:
        super().__init__(*args, **changes)
        self.loses, self.log = loses, list[tuple[float, Frame]]()

    def send(self, frame: bytes, sender: int, receiver: int) -> float:
        self.log.append((self.now, decode(frame)))
        self._loss_rate = float(self.loses(decode(frame)))
        return super().send(frame, sender, receiver)


@pytest.mark.parametrize(
    ("topology", "encoding"),
    [
        ("complete", "float32"),
        ("ring", "float32"),
        ("islands", "float32"),
        ("one-way", "float32"),
        ("complete", "float16"),
        ("complete", "int8"),
    ],
)
@pytest.mark.parametrize("method", EXCHANGING)
def test_rounds_without_delay_give_the_bits_of_rounds_that_take_no_time(method, topology, encoding):
    """Both modes: the same clock, nothing on its way, and everybody begins at once."""
    plain, neighbours = theta(), graph(topology)
    codec = Codec(encoding, np.random.default_rng(0), AGENTS)
    place = place_of(neighbours, by_both, generator=np.random.default_rng(7))._replace(codec=codec)
    worlds = [
        world_of(
            method,
            theta(),
            neighbours,
            mode=mode,
            sources=np.random.default_rng(7),
            encoding=encoding,
        )
        for mode in ("synchronous", "asynchronous")
    ]
    in_step, own_time = worlds
    for number in (1, 2, 3):
        trace = hold(method, plain, place._replace(round=number))
        in_step.trace.clear(), own_time.trace.clear()
        assert in_step.round_in_step(number, number) == number
        own_time.decision(number, updated=False)
        for world in worlds:
            assert torch.equal(world.theta, plain)
            assert world.trace == [row | {"round": number} for row in trace]
    ledgers = [place.channel.ledger, in_step.channel.ledger]
    assert [[ledger.total(name) for name in COUNTERS] for ledger in ledgers[:1]] == [
        [ledger.total(name) for name in COUNTERS] for ledger in ledgers[1:]
    ]
    assert own_time.channel.ledger.total("payload_bytes") == ledgers[0].total("payload_bytes")


def test_jurors_without_delay_say_the_same_in_both_modes():
    in_step = world_of("rsm", theta(), COMPLETE, jury=True)
    own_time = world_of("rsm", theta(), COMPLETE, jury=True, mode="asynchronous")
    for number in (1, 2, 3):
        in_step.round_in_step(number, number)
        own_time.decision(number, updated=False)
    assert torch.equal(in_step.theta, own_time.theta) and in_step.trace == own_time.trace
    assert {row["outcome"] for row in in_step.trace} == {"accepted", "rejected"}
    assert all(len(row["jurors"]) > 0 and row["question_age"] == 0 for row in in_step.trace)


def test_jurors_who_prepare_for_what_is_on_its_way_say_the_same_in_fewer_goes():
    def went(prepare: bool) -> tuple[World, list[int]]:
        world = world_of("rsm", theta(), COMPLETE, jury=True, mode="asynchronous", **DELAYS)
        clock, goes = world.parties.clock, []

        def said(jurors, questions):
            goes.append(len(jurors))
            return type(clock.peers).said(clock.peers, jurors, questions)

        clock.peers.said = said
        for now in range(1, 24):
            view = world.view
            if prepare:
                clock.prepare(now, view)
            clock.run_until(now, view, before=True)
            world.decision(now)
        return world, goes

    (plain, singly), (world, together) = went(False), went(True)
    assert torch.equal(world.theta, plain.theta) and world.trace == plain.trace
    assert len(world.trace) > 20 and len(together) < len(singly) / 2
    assert sum(together) >= sum(singly), (
        "a question that is late or refused is worked out for nothing"
    )


@given(st.sampled_from(EXCHANGING), st.integers(0, 999), st.floats(0.3, 4.0))
@settings(max_examples=60)
def test_round_that_timed_out_equals_one_with_those_frames_lost(method, seed, timeout):
    taken = set()
    take, hear = OpenRound.take, Server.hear

    def noting_take(self, frame):
        taken.add((self.agent, frame.sender, frame.replica, frame.segment))
        take(self, frame)

    def noting_hear(self, agent, number, values):
        taken.add((AGENTS, agent, 0, 0))
        hear(self, agent, number, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenRound, "take", noting_take)
        patch.setattr(Server, "hear", noting_hear)
        late = world_of(
            method,
            theta(),
            COMPLETE,
            seed,
            sources=np.random.default_rng(seed),
            timeout=timeout,
            **DELAYS,
        )
        ends = late.round_in_step(10.0, 1)
    assert 10 < ends <= 10 + timeout

    def lost(frame: Frame) -> bool:
        # The plain round numbers uploads to the server by agent.
        replica = 0 if frame.receiver == AGENTS else frame.replica
        place = (frame.receiver, frame.sender, replica, frame.segment)
        return frame.kind == SEGMENT and place not in taken

    channel = Logged(AGENTS, 0.0, np.random.default_rng(0), loses=lost)
    place = place_of(COMPLETE, by_both, generator=np.random.default_rng(seed))
    plain = theta()
    trace = hold(method, plain, place._replace(channel=channel))
    assert torch.equal(late.theta, plain)
    zetas = [(row["agent"], row["replica"], row["zeta"], row["lost_segments"]) for row in trace]
    assert zetas == [
        (row["agent"], row["replica"], row["zeta"], row["lost_segments"]) for row in late.trace
    ]
    if ends == 10 + timeout:
        assert channel.ledger.total("lost") > 0


@pytest.mark.parametrize(("method", "jury"), CASES)
def test_any_order_of_arrival_gives_the_same_bits(method, jury):
    """The same frames, all in time, in three orders: whatever the delays, nobody learns of them."""
    for mode in ("synchronous", "asynchronous"):
        if method == "fmarl" and mode == "asynchronous":
            continue  # a server that answers at once does so with whom it has heard by then
        thetas, orders = [], []
        for seed in (1, 2, 3):
            draws = [np.random.default_rng([seed, node]) for node in range(AGENTS + 1)]
            channel = Logged(AGENTS, 0.0, draws, delay=lambda draw: draw.random())
            world = world_of(
                method, theta(), COMPLETE, jury=jury, mode=mode, channel=channel, timeout=50
            )
            for number in (1, 2):
                if mode == "synchronous":
                    world.round_in_step(50.0 * number, number)
                else:
                    for wait in (
                        0,
                        3,
                        6,
                        9,
                        12,
                        15,
                        18,
                    ):  # one replica, or its jurors, after another
                        due = None if wait == 0 else []
                        world.decision(50.0 * number + wait, due, updated=wait == 0)
            assert channel.bytes_in_flight == 0 and not world.parties.clock.open
            thetas.append(world.theta)
            orders.append([frame.sender for _, frame in channel.log])
        assert torch.equal(thetas[0], thetas[1]) and torch.equal(thetas[0], thetas[2])
        if method != "fmarl" and (jury or mode == "asynchronous"):
            assert orders[0] != orders[1]


def run_asynchronously(world: World, until: int = 40, step: float = 0.5) -> torch.Tensor:
    for number in range(until):
        world.decision(number * step)
    return world.theta


@given(st.booleans(), st.integers(0, 99), st.sampled_from(["synchronous", "asynchronous"]))
@settings(max_examples=20)
def test_ages_are_those_of_the_frames_that_were_sent(jury, seed, mode):
    draws = [np.random.default_rng([seed, node]) for node in range(AGENTS + 1)]
    channel = Logged(AGENTS, 0.0, draws, delay=lambda draw: draw.exponential(0.7))
    world = world_of("rsm", theta(), COMPLETE, jury=jury, mode=mode, channel=channel)
    sent = {}
    rows = 0
    for number in range(30):
        now, updates = 0.5 * number, number + 1
        if mode == "synchronous":
            if now < channel.now:
                continue
            now, updates = world.round_in_step(now, number + 1), 0
        else:
            world.decision(now)
        for time, frame in channel.log:
            place = (frame.round, frame.receiver, Slot(frame.sender, *frame[5:8]))
            if frame.kind == SEGMENT:
                sent.setdefault(place, time)
        for row in world.trace[rows:]:
            count = len(row["sources"])
            for p, (peer, age, made) in enumerate(
                zip(row["sources"], row["segment_ages"], row["segment_updates"], strict=True)
            ):
                if age is None:
                    assert made is None
                    continue
                left = sent[row["round"], row["agent"], Slot(peer, row["replica"] - 1, p, count)]
                assert age >= 0
                if jury and mode == "synchronous":
                    assert left + age <= now + 1e-9  # judged within the round
                else:
                    assert age == pytest.approx(now - left)
                # It answers before the update of an instant, unless the request came at that instant.
                assert made == (0 if not updates else updates - (np.ceil(left / 0.5)))
            gaps = sum(age is None for age in row["segment_ages"])
            assert gaps == row["lost_segments"]
            if row["question_age"] is not None:
                assert (
                    0 <= row["question_age"] <= min(a for a in row["segment_ages"] if a is not None)
                )
        rows = len(world.trace)
    assert rows > 15


class Haunted(Logged):
    """A channel on which strangers put old frames, and forged ones, before and behind those of the peers."""

    def collect(self, receiver: int) -> list[bytes]:
        genuine = super().collect(receiver)
        old = [encode(frame) for _, frame in self.log[-400:-200:7] if frame.receiver == receiver]
        fresh = [decode(data) for data in genuine]
        changes = [
            {"run": 2},
            {"round": 10_000},
            {"sender": 60_000},
            {"sender": receiver},
            {"receiver": receiver + 1},
            {"replica": 250},
        ]
        # What would be another's request is refused as such only where it asks for something else.
        forged = [
            encode(frame._replace(**change))
            for frame in fresh
            for change in changes
            if not (frame.kind in (0, 2) and "round" in change)
            if not (receiver == AGENTS and ("round" in change))
        ]
        return old + forged + genuine + genuine + old


@pytest.mark.parametrize(("method", "jury"), CASES)
def test_nothing_of_another_run_round_or_sender_is_taken_however_late(method, jury):
    thetas = []
    for kind in (Logged, Haunted):
        draws = [np.random.default_rng([5, node]) for node in range(AGENTS + 1)]
        channel = kind(AGENTS, 0.0, draws, delay=lambda draw: draw.exponential(0.7))
        world = world_of(method, theta(), COMPLETE, jury=jury, mode="asynchronous", channel=channel)
        thetas.append(run_asynchronously(world))
        refused = channel.ledger.total("refused")
    assert torch.equal(*thetas) and refused > 100


@pytest.mark.parametrize(("method", "jury"), CASES)
def test_state_with_frames_in_flight_goes_on_to_the_same_bits(method, jury):
    changes = {"jury": jury, "mode": "asynchronous", "loss_rate": 0.1, **DELAYS}
    whole, first, second = (world_of(method, theta(), COMPLETE, **changes) for _ in range(3))
    for number in range(40):
        whole.decision(number / 2)
    for number in range(13):
        first.decision(number / 2)
    assert first.channel.bytes_in_flight > 0 and first.parties.clock.open
    second.channel.load_state_dict(first.channel.state_dict())
    second.parties.clock.load_state_dict(first.parties.clock.state_dict())
    second.own_time.numbers = list(first.own_time.numbers)
    second.theta.copy_(first.theta)
    second.updates[:] = first.updates
    for agent in range(AGENTS):  # what is no part of the clock
        state = first.contexts(agent).generator.bit_generator.state
        second.contexts(agent).generator.bit_generator.state = state
    if jury:
        for other, draw in zip(
            second.parties.clock.peers.draws, first.parties.clock.peers.draws, strict=True
        ):
            other.bit_generator.state = draw.bit_generator.state
    for number in range(13, 40):
        second.decision(number / 2)
    assert torch.equal(second.theta, whole.theta)
    assert second.channel.ledger.bytes_sent == whole.channel.ledger.bytes_sent


def test_central_server_answers_at_once_with_the_mean_of_everybodys_latest():
    world, before = world_of("fmarl", theta(), COMPLETE, mode="asynchronous"), theta()
    world.decision(1.0, [0], updated=False)
    assert torch.equal(world.theta, before)  # nobody else has been heard
    world.decision(2.0, [1], updated=False)
    torch.testing.assert_close(world.theta[1], (before[0] + before[1]) / 2)
    assert torch.equal(world.theta[0], before[0])
    world.decision(3.0, [0], updated=False)
    torch.testing.assert_close(world.theta[0], (before[0] + before[1]) / 2)
    world.decision(4.0, [2], updated=False)  # nobody has sent what it made of the answers
    torch.testing.assert_close(world.theta[2], before[:3].mean(dim=0))


def test_nobody_waits_for_a_peer_that_does_not_answer():
    """All from agent 0 is lost: replicas with it are mixed at the timeout, the others when they are in."""
    lost = Logged(AGENTS, 0.0, np.random.default_rng(0), loses=lambda frame: frame.sender == 0)
    world = world_of(
        "rsm", theta(), COMPLETE, mode="asynchronous", channel=lost, segments=2, timeout=5.0
    )
    mixed_at = {}
    for now in range(8):
        rows = len(world.trace)
        world.decision(float(now), range(1, AGENTS) if now == 0 else [], updated=False)
        for row in world.trace[rows:]:
            mixed_at[row["agent"], row["replica"]] = now
            assert row["lost_segments"] == (0 in row["sources"])
            assert now == (5 if 0 in row["sources"] else 0)
    assert len(mixed_at) == 3 * (AGENTS - 1) and set(mixed_at.values()) == {0, 5}


def test_synchronous_round_ends_with_its_last_frame_or_the_timeout():
    constant = {"delay": "constant", "delay_mean": 1.0}
    for method, trips in (("average", 1), ("segment-average", 2), ("fmarl", 2)):
        world = world_of(method, theta(), COMPLETE, **constant)
        assert world.round_in_step(100.0, 1) == 100 + trips
    world = world_of("rsm", theta(), COMPLETE, jury=True, timeout=60.0, **constant)
    assert world.round_in_step(100.0, 1) == 100 + 2 + 3 * 2  # K = 3 questions, one after another
    world = world_of("average", theta(), COMPLETE, loss_rate=0.2, **constant)
    assert world.round_in_step(100.0, 1) == 105  # nobody knows that a frame is lost


def test_links_of_a_central_server_are_a_queue():
    size = len(encode(Frame(SEGMENT, 1, 1, 0, 0, 0, 0, 1, np.zeros(LENGTH, dtype=np.float32))))
    world = world_of("fmarl", theta(), COMPLETE, bandwidth=float(size), timeout=100.0)
    # One frame a second through the server: all uploads, then all answers.
    assert world.round_in_step(0.0, 1) == pytest.approx(2 * AGENTS)


def test_clock_takes_no_frame_that_nobody_waits_for():
    clock = Clock(Channel(2, 0.0, np.random.default_rng(0)), 1, 3, np.dtype(np.float32), 3)
    values = np.ones(3, dtype=np.float32)
    clock.channel.send(encode(Frame(SEGMENT, 1, 1, 0, 1, 0, 0, 1, values)), 0, 1)
    clock.instant(world_of("rsm", theta(), COMPLETE).view)
    assert clock.channel.ledger.total("refused") == 1
