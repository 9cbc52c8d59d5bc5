"""Frames from attackers: whatever arrives, θ is as it would be without them."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.config.catalogue import METHODS
from rsm.errors import ConfigError
from rsm.exchange.channel import Channel
from rsm.exchange.frames import (
    HEADER_SIZE,
    SEGMENT,
    TAG_SIZE,
    Frame,
    FrameError,
    decode,
    encode,
    overhead,
)
from rsm.training.run import train

from ..methods.test_methods import AGENTS, COMPLETE, ring, theta, world
from ..rounds import hold
from ..training.run_folders import tables
from .fuzz_frames import ENCODINGS, FIELDS, GENUINE, KEY, fuzz, mutated, repaired

EXCHANGING = [name for name, traits in METHODS.items() if traits.exchanges]
KEYS = pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "key"])
Attack = Callable[[bytes, bytes], list[bytes]]


def poisoned(frame: Frame) -> Frame:
    """The same frame with other values, so that accepting it would be noticed."""
    return frame._replace(values=frame.values + np.float32(1))


def again(change: Callable[[Frame], Frame]) -> Attack:
    """The frame with something changed, checksum and HMAC right: a peer that is wrong, or from another run."""
    return lambda data, key: [encode(change(poisoned(decode(data, key))), key)]


def another_version(data: bytes, key: bytes) -> list[bytes]:
    strange = encode(poisoned(decode(data, key)), key)
    return [repaired(strange[:3] + b"\2" + strange[4:], overhead(key))]


def values(change: Callable[[np.ndarray], np.ndarray]) -> Attack:
    """The same with other values; requests have none."""

    def attack(data: bytes, key: bytes) -> list[bytes]:
        frame = decode(data, key)
        return (
            [encode(frame._replace(values=change(frame.values)), key)] if len(frame.values) else []
        )

    return attack


def with_nan(numbers: np.ndarray) -> np.ndarray:
    changed = numbers.copy()
    changed[-1] = np.nan
    return changed


def changed_byte(place: int) -> Attack:
    def attack(data: bytes, key: bytes) -> list[bytes]:
        changed = bytearray(data)
        changed[place % len(data)] ^= 1
        return [bytes(changed)]

    return attack


# What must be refused whoever sends it, with a key or without.
ATTACKS: dict[str, Attack] = {
    "noise": lambda data, key: [bytes(range(200)), b"", b"RSM", bytes(len(data))],
    "truncated": lambda data, key: [data[:-1], data[: HEADER_SIZE - 1], data[: len(data) // 2]],
    "oversized": lambda data, key: [data + b"\0", data + bytes(4), data * 2],
    "a changed byte of the header": changed_byte(9),
    "a changed byte of the end": changed_byte(-1),
    "another version": another_version,
    "another run": again(lambda frame: frame._replace(run=frame.run + 1)),
    "replayed from an earlier round": again(lambda frame: frame._replace(round=frame.round - 1)),
    "held back to a later round": again(lambda frame: frame._replace(round=frame.round + 1)),
    "for another receiver": again(
        lambda frame: frame._replace(receiver=(frame.receiver + 1) % AGENTS)
    ),
    "from nobody": again(lambda frame: frame._replace(sender=60_000)),
    "from itself": again(lambda frame: frame._replace(sender=frame.receiver)),
    "a replica not asked for": again(lambda frame: frame._replace(replica=200)),
    "a segment that cannot be": again(lambda frame: frame._replace(segment=frame.count)),
    "another kind": again(lambda frame: frame._replace(kind=1 - frame.kind)),
    "twice the precision": values(lambda numbers: numbers.astype(np.float64)),
    "one value more": values(lambda numbers: np.append(numbers, numbers[:1])),
    "one value less": values(lambda numbers: numbers[:-1]),
    "no values": values(lambda numbers: numbers[:0]),
    "not a number": values(with_nan),
    "infinite": values(lambda numbers: np.full_like(numbers, -np.inf)),
}


class Hostile(Channel):
    """A channel on which a stranger puts frames in front of (or behind) those of the peers."""

    def __init__(self, key: bytes, attack: Attack, first: bool = True) -> None:
        super().__init__(AGENTS, 0.0, np.random.default_rng(0), key)
        self.attack, self.first, self.injected = attack, first, 0

    def collect(self, receiver: int) -> list[bytes]:
        genuine = super().collect(receiver)
        strange = [forged for frame in genuine for forged in self.attack(frame, self.key)]
        self.injected += len(strange)
        return strange + genuine if self.first else genuine + strange


def after(method: str, channel: Channel) -> tuple[torch.Tensor, int]:
    """θ after a round over a channel, and how many frames were refused."""
    place, parameters = world(segments=4), theta()
    hold(method, parameters, place._replace(channel=channel, neighbours=COMPLETE))
    return parameters, channel.ledger.total("refused")


def undisturbed(method: str, key: bytes) -> torch.Tensor:
    return after(method, Channel(AGENTS, 0.0, np.random.default_rng(0), key))[0]


@KEYS
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("method", EXCHANGING)
def test_strange_frames_are_counted_and_change_nothing(
    method: str, attack: str, key: bytes
) -> None:
    channel = Hostile(key, ATTACKS[attack])
    parameters, refused = after(method, channel)
    assert torch.equal(parameters, undisturbed(method, key))
    assert refused == channel.injected > 0


@KEYS
@pytest.mark.parametrize("method", EXCHANGING)
def test_frame_that_comes_twice_counts_once(method: str, key: bytes) -> None:
    channel = Hostile(key, lambda data, _: [data, data], first=False)
    parameters, refused = after(method, channel)
    assert torch.equal(parameters, undisturbed(method, key))
    assert refused == channel.injected > 0


@pytest.mark.parametrize("method", EXCHANGING)
def test_order_of_arrival_changes_no_bit(method: str) -> None:
    class Shuffled(Channel):
        def collect(self, receiver: int) -> list[bytes]:
            return super().collect(receiver)[::-1]

    parameters, refused = after(method, Shuffled(AGENTS, 0.0, np.random.default_rng(0)))
    assert torch.equal(parameters, undisturbed(method, b"")) and not refused


def forger(data: bytes, key: bytes) -> list[bytes]:
    """Right in everything but the key: other values, checksum repaired; the tag copied, absent or guessed."""
    start, poison = overhead(key), np.full(1000, 1e6, dtype=np.float32).tobytes()
    forged = data[:start] + poison[: len(data) - start]
    copied = repaired(forged, start)
    if len(data) == start:  # a request: redirect it
        copied = repaired(data[: FIELDS.size - 9] + b"\1" + data[FIELDS.size - 8 :], start)
    frame = decode(data, key)
    return [copied, encode(frame), encode(frame, bytes(32)), encode(frame, key[:-1])]


@pytest.mark.parametrize("method", EXCHANGING)
def test_without_the_key_not_even_a_perfect_forgery_is_accepted(method: str) -> None:
    channel = Hostile(KEY, forger)
    parameters, refused = after(method, channel)
    assert torch.equal(parameters, undisturbed(method, KEY))
    assert refused == channel.injected > 0


def test_frames_of_agents_out_of_reach_are_refused() -> None:
    """On a ring, agent 3 is no neighbour of agent 0, whatever key it holds."""
    place, parameters = world(ring()), theta()
    strange = Frame(SEGMENT, 1, 1, 3, 0, 0, 0, 1, np.full(40, 9.0, dtype=np.float32))
    place.channel.deliver(encode(strange), 0)
    hold("average", parameters, place)
    assert place.channel.ledger.counts["refused"][3, 0] == 1
    assert float(parameters.abs().max()) < 5


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_get_another_exception_out_of_the_decoder(data: bytes, keyed: bool) -> None:
    key = KEY if keyed else b""
    for candidate in (data, repaired(b"RSM\1\1\1" + data, overhead(key))):
        try:
            frame = decode(candidate, key)
        except FrameError:
            continue
        assert frame.values.nbytes == len(candidate) - overhead(key) and not keyed


@given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
@settings(max_examples=500, deadline=None)
def test_no_changed_frame_is_taken_for_the_genuine_one(draw, keyed: bool, repair: bool) -> None:
    key = KEY if keyed else b""
    genuine = encode(GENUINE, key)
    data = bytes(mutated(genuine, draw))
    try:
        frame = decode(repaired(data, overhead(key)) if repair else data, key)
    except FrameError:
        return
    assert data == genuine or (repair and not keyed)
    assert frame.values.nbytes == len(data) - overhead(key)


def test_fuzzing_finds_nothing_and_reaches_every_check() -> None:
    outcomes = fuzz(20_000, seed=1)
    reasons = {"shorter than a header", "not a frame of this version", "unknown kind or dtype"}
    reasons |= {
        "wrong length",
        "wrong checksum",
        "wrong HMAC",
        "refused by the receiver",
        *(f"accepted: {encoding}" for encoding in ENCODINGS),
    }
    assert set(outcomes) == reasons


@KEYS
def test_what_a_frame_claims_allocates_nothing(key: bytes) -> None:
    fields = FIELDS.pack(b"RSM", 1, SEGMENT, 1, GENUINE.run, 9, 3, 1, 2, 0, 65_535, 2**32 - 4)
    claims = repaired(fields + bytes(4) + bytes(overhead(key) - HEADER_SIZE + 8), overhead(key))
    large = repaired(struct.pack("<I", 0) * 2_000_000, overhead(key))
    tracemalloc.start()
    try:
        for data in (claims, large, encode(GENUINE, key)):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            with contextlib.suppress(FrameError):
                decode(data, key)
            assert tracemalloc.get_traced_memory()[1] - before < 5_000
    finally:
        tracemalloc.stop()


def test_bytes_of_the_tag_are_counted_as_header() -> None:
    ledgers = []
    for key in (b"", KEY):
        channel = Channel(AGENTS, 0.0, np.random.default_rng(0), key)
        after("rsm", channel)
        ledgers.append(channel.ledger)
    plain, keyed = ledgers
    assert keyed.bytes_sent - plain.bytes_sent == TAG_SIZE * plain.total("messages")
    assert keyed.total("payload_bytes") == plain.total("payload_bytes")
    frames = plain.total("header_bytes") // HEADER_SIZE
    assert keyed.total("header_bytes") == frames * (HEADER_SIZE + TAG_SIZE)


def test_run_with_a_key_learns_the_same_and_never_writes_the_key_down(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny(), tmp_path / "plain")
    monkeypatch.setenv("RSM_FRAME_KEY", KEY.hex())
    monkeypatch.setattr("rsm.training.run.remove_checkpoints", lambda *_, **__: None)
    train(tiny(), tmp_path / "keyed")
    plain, keyed = tables(tmp_path / "plain"), tables(tmp_path / "keyed")
    assert keyed["zeta"].equals(plain["zeta"]) and keyed["rounds"]["refused"].sum() == 0
    extra = keyed["rounds"]["bytes_sent"] - plain["rounds"]["bytes_sent"]
    assert (extra == TAG_SIZE * plain["rounds"]["messages"]).all()
    assert (tmp_path / "keyed" / "checkpoint.pt").exists()
    for path in (tmp_path / "keyed").iterdir():
        content = path.read_bytes()
        assert KEY not in content and KEY.hex().encode() not in content, path.name
    manifest = json.loads((tmp_path / "keyed" / "manifest.json").read_text())
    assert manifest["authenticated_frames"] is True


def test_run_that_began_with_a_key_does_not_go_on_without(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSM_FRAME_KEY", KEY.hex())
    monkeypatch.setattr("rsm.training.run.remove_checkpoints", lambda *_, **__: None)
    train(tiny(), tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    monkeypatch.delenv("RSM_FRAME_KEY")
    with pytest.raises(ConfigError, match=r"RSM_FRAME_KEY: the run began with a key"):
        train(tiny(), tmp_path / "run")
