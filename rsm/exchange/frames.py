"""Frames: the bytes that cross between agents. A fixed header, then the parameters of one segment.

How parameters are encoded, `rsm.exchange.encodings` says; a frame knows the type of its numbers alone.
Header, little-endian: magic, version, kind, dtype, run tag, round, sender, receiver, replica, segment
index, segment count, payload length, CRC-32 of the payload and then all of this. The checksum notices
accidents. Where a key is configured (`frame_key`) an HMAC-SHA-256 over the whole frame follows the
checksum: only who holds the key can make, change or redirect a frame.
"""

from __future__ import annotations

import hmac
import os
import re
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsm.errors import ConfigError

MAGIC = b"RSM"
VERSION = 1
REQUEST, SEGMENT, QUESTION, ANSWER = range(4)
# float32 and float64 as they are, float16, int8 and top-k payloads, and the version that a request carries.
DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in enumerate(("<f4", "<f8", "<f2", "i1", "u1", "<u4"), start=1)
}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

_FIELDS = struct.Struct("<3sBBBQIHHBHHI")
_CHECKSUM = struct.Struct("<I")
HEADER_SIZE = _FIELDS.size + _CHECKSUM.size
TAG_SIZE = 32  # bytes of the HMAC, part of the header where a key is configured
KEY_VARIABLE = "RSM_FRAME_KEY"


class FrameError(ValueError):
    """Bytes that are not a frame, with the reason."""


class Frame(NamedTuple):
    """A request for a segment (empty values), the segment itself, a question to a juror, or the answer."""

    kind: int  # REQUEST, SEGMENT, QUESTION or ANSWER
    run: int  # tag of the run, 64 bits
    round: int
    sender: int
    receiver: int
    replica: int
    segment: int  # index
    count: int  # type: ignore[assignment]  # P, segments of the replica
    values: NDArray[Any]


NO_VALUES: NDArray[Any] = np.empty(0, dtype=DTYPES[1])


def frame_key() -> bytes:
    """The key of RSM_FRAME_KEY, empty where none is configured; raises ConfigError, without the value.

    It comes from the environment and is written nowhere: a setting would end up in run folders and MLflow.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if text and not (re.fullmatch("[0-9a-fA-F]{32,256}", text) and len(text) % 2 == 0):
        raise ConfigError(
            f"environment: {KEY_VARIABLE}: its value ({len(text)} characters, not shown) is not allowed: "
            "an even number of 32 to 256 hexadecimal digits is expected, such as `openssl rand -hex 32` gives"
        )
    return bytes.fromhex(text)


def overhead(key: bytes) -> int:
    """Bytes of a frame that are not parameters."""
    return HEADER_SIZE + (TAG_SIZE if key else 0)


def kind_of(data: bytes) -> int:
    """The kind that an encoded frame names."""
    return data[4]  # after magic and version


def checksum_of(values: NDArray[Any]) -> int:
    """CRC-32 of a payload alone: a sender of one segment to many computes it once."""
    return zlib.crc32(_bytes(values))


def encode(frame: Frame, key: bytes = b"", checksum: int | None = None) -> bytes:
    """The frame as bytes, authenticated if there is a key; values are of one of DTYPES.

    `checksum` is that of the values where the caller has it already.
    """
    payload = _bytes(frame.values)
    if checksum is None:
        checksum = zlib.crc32(payload)
    fields = _FIELDS.pack(
        MAGIC,
        VERSION,
        frame.kind,
        DTYPE_CODES[frame.values.dtype],
        frame.run,
        frame.round,
        frame.sender,
        frame.receiver,
        frame.replica,
        frame.segment,
        frame.count,
        len(payload),
    )
    header = fields + _CHECKSUM.pack(zlib.crc32(fields, checksum))
    if key:
        header += _tag(key, header, payload)
    return b"".join((header, payload))


def decode(data: bytes, key: bytes = b"") -> Frame:
    """The frame in `data`, its values a view of it; raises FrameError for anything else.

    Allocates nothing that depends on what `data` claims; values are read after checksum and HMAC agree.
    """
    start = overhead(key)
    if len(data) < start:
        raise FrameError("shorter than a header")
    fields = _FIELDS.unpack_from(data)
    magic, version, kind, code, length = *fields[:4], fields[-1]
    if magic != MAGIC or version != VERSION:
        raise FrameError("not a frame of this version")
    if kind > ANSWER or code not in DTYPES:
        raise FrameError("unknown kind or dtype")
    dtype = DTYPES[code]
    if length != len(data) - start or length % dtype.itemsize:
        raise FrameError("wrong length")
    payload = memoryview(data)[start:]
    (checksum,) = _CHECKSUM.unpack_from(data, _FIELDS.size)
    if checksum != zlib.crc32(data[: _FIELDS.size], zlib.crc32(payload)):
        raise FrameError("wrong checksum")
    if key:
        tag = _tag(key, data[:HEADER_SIZE], payload)
        if not hmac.compare_digest(data[HEADER_SIZE:start], tag):
            raise FrameError("wrong HMAC")
    return Frame._make((kind, *fields[4:-1], np.frombuffer(payload, dtype)))


def _bytes(values: NDArray[Any]) -> memoryview:
    view: memoryview[int] = np.ascontiguousarray(values).data.cast("B")
    return view


def _tag(key: bytes, header: bytes, payload: memoryview) -> bytes:
    """HMAC of a whole frame."""
    code = hmac.new(key, header, "sha256")
    code.update(payload)
    return code.digest()
