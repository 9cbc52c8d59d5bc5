"""Encodings in rounds: what crosses, what each end holds, after losses, refusals and a resumption too."""

import io

import numpy as np
import pytest
import torch

from rsm.config.catalogue import METHODS
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.frames import HEADER_SIZE, SEGMENT, Frame, encode
from rsm.exchange.replicas import Ask, Post, gather
from rsm.mixing.rules import Verdict

from ..rounds import Place, hold, place_of

AGENTS, LENGTH = 4, 200
FLOAT = np.dtype(np.float32)
EVERYBODY = ~np.eye(AGENTS, dtype=bool)
ENCODINGS = ("float16", "int8", "topk:0.1")


class Lossy(Channel):
    """Loses the frames that a test wants lost, by the number of the frame."""

    def __init__(self, lost: set[int] = frozenset()) -> None:
        super().__init__(AGENTS, 0.0, np.random.default_rng(0))
        self.lost, self.number, self.sizes = lost, 0, []

    def deliver(self, frame: bytes, receiver: int) -> None:
        self.number += 1
        self.sizes.append(len(frame) - HEADER_SIZE)
        if self.number not in self.lost:
            super().deliver(frame, receiver)


def ask_agent_1(held: np.ndarray, channel: Channel, codec: Codec, round_: int) -> np.ndarray | None:
    """Agent 0 asks agent 1, which holds `held`, for everything."""
    post = Post(channel, 1, round_, codec)
    asks = {0: Ask([[1]])}
    came = gather(asks, lambda _: held, lambda *_: True, post, len(held), FLOAT)
    return came.segments[0][0][0]


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=LENGTH).astype(np.float32)


def test_request_says_what_is_held_and_the_answer_is_what_differs_most():
    channel, codec, theta = Lossy(), Codec("topk:0.1"), vector(0)
    assert (ask_agent_1(theta, channel, codec, 1) == theta).all()
    theta = theta + np.linspace(0, 1, LENGTH, dtype=np.float32)
    second = ask_agent_1(theta, channel, codec, 2)
    assert (second[-20:] == theta[-20:]).all() and (second[:-20] == vector(0)[:-20]).all()
    assert channel.sizes == [4, 4 * LENGTH, 4, 4 + 20 * 6]
    for round_ in range(3, 12):  # error feedback: what was not sent is sent later
        last = ask_agent_1(theta, channel, codec, round_)
    assert (last == theta).all()
    assert channel.ledger.total("refused") == 0


@pytest.mark.parametrize("lost", [3, 4], ids=["request", "answer"])
def test_after_a_lost_answer_the_whole_segment_is_sent(lost):
    channel, codec = Lossy({lost}), Codec("topk:0.1")
    ask_agent_1(vector(0), channel, codec, 1)
    assert ask_agent_1(vector(1), channel, codec, 2) is None
    third = ask_agent_1(vector(2), channel, codec, 3)
    whole = lost == 4  # nobody sent anything where the request was lost
    assert (third == vector(2)).all() == whole
    assert channel.sizes[-1] == (4 * LENGTH if whole else 4 + 20 * 6)
    expected = vector(0)
    places = np.argsort(-np.abs(vector(2) - vector(0)))[:20]
    expected[places] = vector(2)[places]
    assert whole or (third == expected).all()


def test_peer_with_numbers_that_are_not_finite_is_refused_until_it_has_others():
    for encoding in ENCODINGS:
        channel, codec, sick = Lossy(), Codec(encoding), vector(0)
        ask_agent_1(vector(0), channel, codec, 1)
        sick[7] = np.nan
        assert ask_agent_1(sick, channel, codec, 2) is None
        assert channel.ledger.total("refused") == 1
        third = ask_agent_1(vector(0), channel, codec, 3)
        np.testing.assert_allclose(third, vector(0), atol=0.03)


def test_newcomer_holds_nothing_and_nobody_takes_a_change_of_what_it_does_not_hold():
    channel, codec = Lossy(), Codec("topk:0.1")
    ask_agent_1(vector(0), channel, codec, 1)
    codec.forget(0)
    assert (ask_agent_1(vector(1), channel, codec, 2) == vector(1)).all()
    codec.forget(1)
    assert (ask_agent_1(vector(2), channel, codec, 3) == vector(2)).all()
    stranger = Frame(SEGMENT, 1, 4, 1, 0, 0, 0, 1, np.zeros(4 + 20 * 6, dtype=np.uint8))
    channel.send(encode(stranger), 1, 0)
    post = Post(channel, 1, 4, codec)
    assert not post.receive(0, SEGMENT, lambda _: LENGTH, FLOAT)


def judge(current: torch.Tensor, referential: torch.Tensor) -> Verdict:
    """Mixes everything half way."""
    one = torch.ones(AGENTS)
    return Verdict(one, one, one, one, one, one / 2, one > 0, one < 0)


def place(encoding: str, loss_rate: float = 0.0, seed: int = 0) -> Place:
    world = place_of(EVERYBODY, judge, loss_rate=loss_rate, segments=2, replicas=2, seed=seed)
    codec = Codec(encoding, np.random.default_rng(seed), world.channel.server)
    return world._replace(codec=codec)


def after(rounds: range, method: str, world: Place, theta: torch.Tensor) -> torch.Tensor:
    """Parameters after rounds between which everybody learns a little."""
    theta = theta.clone()
    for round_ in rounds:
        theta += 0.01 * torch.randn(theta.shape, generator=torch.Generator().manual_seed(round_))
        hold(method, theta, world._replace(round=round_))
    return theta


START = torch.randn(1, LENGTH, generator=torch.Generator().manual_seed(0)).repeat(AGENTS, 1)
EXCHANGING = [name for name, traits in METHODS.items() if traits.exchanges]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("method", EXCHANGING)
def test_every_method_agrees_with_float32_on_fewer_bytes_and_refuses_nothing(method, encoding):
    plain, world = place("float32"), place(encoding)
    exact = after(range(1, 9), method, plain, START)
    found = after(range(1, 9), method, world, START)
    assert float((found - exact).abs().max()) < 0.15
    assert float((found - exact).abs().mean()) < 0.04
    ledger = world.channel.ledger
    assert ledger.total("payload_bytes") < 0.52 * plain.channel.ledger.total("payload_bytes")
    assert ledger.total("refused") == 0


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("method", ["average", "fmarl", "rsm"])
def test_losses_refuse_nothing_and_a_resumed_exchange_gives_the_same_bits(method, encoding):
    worlds = [place(encoding, loss_rate=0.3) for _ in range(2)]
    halves = [after(range(1, 6), method, world, START) for world in worlds]
    saved = io.BytesIO()
    torch.save(worlds[0].codec.state_dict(), saved)
    resumed = place(encoding, seed=1).codec
    resumed.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    worlds[0] = worlds[0]._replace(codec=resumed)
    ends = [after(range(6, 11), method, *rest) for rest in zip(worlds, halves, strict=True)]
    assert torch.equal(*ends) and bool(torch.isfinite(ends[0]).all())
    ledgers = [world.channel.ledger for world in worlds]
    assert ledgers[0].bytes_sent == ledgers[1].bytes_sent
    assert ledgers[0].total("lost") > 0 and ledgers[0].total("refused") == 0


def test_what_fmarl_does_not_send_an_agent_keeps_and_in_the_end_all_agree():
    """Between an agent and the server both directions change one copy: nobody is pulled twice."""
    world = place("topk:0.1")
    theta = START + 0.01 * torch.randn(AGENTS, LENGTH, generator=torch.Generator().manual_seed(9))
    hold("fmarl", theta, world)
    learnt = torch.zeros_like(theta)
    learnt[:, :20] = torch.randn(AGENTS, 20, generator=torch.Generator().manual_seed(1))
    learnt[:, 20:] = 0.001
    moved = theta + learnt
    expected, small = moved[:, :20].mean(dim=0), moved[:, 100:].clone()
    hold("fmarl", moved, world._replace(round=2))
    torch.testing.assert_close(moved[:, :20], expected.repeat(AGENTS, 1), atol=0.03, rtol=0)
    torch.testing.assert_close(moved[:, 100:], small, atol=0.03, rtol=0)
    mean = moved.mean(dim=0)
    for round_ in range(3, 40):
        hold("fmarl", moved, world._replace(round=round_))
    assert float(moved.std(dim=0).max()) < 1e-5
    # Agents that hear of a mean in different rounds move it a little.
    torch.testing.assert_close(moved, mean.repeat(AGENTS, 1), atol=0.02, rtol=0)
