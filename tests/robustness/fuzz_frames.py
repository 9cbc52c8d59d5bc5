"""Random mutations of frames against the decoder and the receiver; a script, run by hand for a long time.

    python tests/robustness/fuzz_frames.py --frames 10000000 [--seed 0]

Half of the frames get a repaired checksum, so that what comes after it is reached; half of all are for a
receiver with a key, and each encoding of segments has its share. Stops at the first frame that raises anything
but FrameError, or that is accepted though it is not one the receiver asked for (with a key: not the genuine
one, bit for bit).
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.frames import (
    DTYPES,
    HEADER_SIZE,
    SEGMENT,
    Frame,
    FrameError,
    decode,
    encode,
    overhead,
)
from rsm.exchange.replicas import Post, Slot

KEY = bytes(range(32))
LENGTH = 12
FIELDS = struct.Struct("<3sBBBQIHHBHHI")
GENUINE = Frame(SEGMENT, 2**47 + 5, 9, 3, 1, 2, 0, 4, np.linspace(-1, 1, LENGTH, dtype=np.float32))
PLACE = (GENUINE.sender, GENUINE.receiver, GENUINE.segment, GENUINE.count)
ENCODINGS = ("float32", "float16", "int8", "topk:0.25")
EXTREMES = (0, 1, 2, 3, 127, 128, 255)


def repaired(data: bytes | bytearray, start: int) -> bytes:
    """The same bytes with a checksum that agrees, where there is room for one."""
    if len(data) < start:
        return bytes(data)
    checksum = zlib.crc32(data[: FIELDS.size], zlib.crc32(data[start:]))
    return bytes(data[: FIELDS.size]) + struct.pack("<I", checksum) + bytes(data[HEADER_SIZE:])


def mutated(genuine: bytes, draw: random.Random) -> bytearray:
    """A frame after one to four random changes."""
    data = bytearray(genuine)
    for _ in range(draw.randrange(1, 5)):
        what, place = draw.randrange(8), draw.randrange(len(data) + 1)
        if what == 0:
            del data[place:]
        elif what == 1:
            data += draw.randbytes(draw.choice((1, 4, 16, 200)))
        elif what == 2:
            data[place:place] = draw.randbytes(draw.randrange(1, 9))
        elif what == 3:
            del data[place : place + draw.randrange(1, 9)]
        elif what == 4 and len(data) >= 4:  # a length, a count or a float of another size
            place = min(place, len(data) - 4)
            data[place : place + 4] = draw.choice(
                (b"\xff" * 4, bytes(4), b"\0\0\xc0\x7f", b"\0\0\0\x80")
            )
        elif place < len(data):
            data[place] = (
                draw.choice(EXTREMES) if what == 5 else data[place] ^ 1 << draw.randrange(8)
            )
    if len(data) >= FIELDS.size and draw.random() < 0.5:  # a length that fits gets further
        struct.pack_into("<I", data, FIELDS.size - 4, max(len(data) - HEADER_SIZE, 0))
    return data


def fuzz(frames: int, seed: int) -> Counter[str]:
    """Outcomes by name; raises AssertionError at the first that must not be."""
    draw, outcomes = random.Random(seed), Counter[str]()
    receivers = [
        (encoding, key, *receiver(encoding, key)) for encoding in ENCODINGS for key in (b"", KEY)
    ]

    def expected(slot: Slot) -> int | None:
        asked = (GENUINE.sender, GENUINE.replica, GENUINE.segment, GENUINE.count)
        return LENGTH if slot == asked else None

    for number in range(frames):
        encoding, key, post, genuine, held = receivers[number % len(receivers)]
        data = bytes(mutated(genuine, draw))
        if draw.random() < 0.5:
            data = repaired(data, overhead(key))
        try:
            frame = decode(data, key)
        except FrameError as error:
            outcomes[str(error)] += 1
            continue
        assert not key or data == genuine, data.hex()
        fits = frame.values.nbytes == len(data) - overhead(key)
        assert fits and not frame.values.flags.owndata
        post.channel.deliver(data, GENUINE.receiver)
        taken = post.receive(GENUINE.receiver, SEGMENT, expected, DTYPES[1])
        for values in taken.values():
            fits = values.shape == (LENGTH,) and values.dtype == np.float32
            assert fits and np.isfinite(values).all(), data.hex()
            post.codec.load_state_dict(held)
        outcomes[f"accepted: {encoding}" if taken else "refused by the receiver"] += 1
    return outcomes


def receiver(encoding: str, key: bytes) -> tuple[Post, bytes, dict[str, Any]]:
    """Where frames arrive, the one that is asked for, and what its codec remembers before."""
    codec = Codec(encoding, np.random.default_rng(0))
    if codec.confirms:
        first = np.zeros(LENGTH, dtype=np.float32)
        codec.encode(first, PLACE, GENUINE.round - 1, 0)
        codec.keep(GENUINE._replace(round=GENUINE.round - 1, values=first), first)
    held = codec.state_dict()
    payload = codec.encode(GENUINE.values, PLACE, GENUINE.round, 2 * (GENUINE.round - 1))
    channel = Channel(5, 0.0, np.random.default_rng(0), key)
    post = Post(channel, GENUINE.run, GENUINE.round, codec)
    return post, encode(GENUINE._replace(values=payload), key), held


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tracemalloc.start()
    fuzz(2_000, options.seed)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    fuzz(2_000, options.seed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"largest allocation over 2000 frames: {(peak - before) / 1e3:.1f} kB")
    start = time.perf_counter()
    outcomes = fuzz(options.frames, options.seed)
    print(f"{options.frames} frames in {time.perf_counter() - start:.0f} s, none escaped:")
    for name, count in outcomes.most_common():
        print(f"{count:12}  {name}")


if __name__ == "__main__":
    main()
