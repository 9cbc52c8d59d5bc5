"""Frames: the bytes that cross between agents. A fixed header, then the parameters of one segment.

Header, little-endian: magic, version, kind, dtype, run tag, round, sender, receiver, replica, segment
index, segment count, payload length, CRC-32 of all the rest of the frame.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC = b"RSM"
VERSION = 1
REQUEST, SEGMENT = 0, 1
DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8")}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

_FIELDS = struct.Struct("<3sBBBQIHHBHHI")
_CHECKSUM = struct.Struct("<I")
HEADER_SIZE = _FIELDS.size + _CHECKSUM.size


class FrameError(ValueError):
    """Bytes that are not a frame, with the reason."""


class Frame(NamedTuple):
    """A request for a segment (empty values) or the segment itself."""

    kind: int  # REQUEST or SEGMENT
    run: int  # tag of the run, 64 bits
    round: int
    sender: int
    receiver: int
    replica: int
    segment: int  # index
    count: int  # P, segments of the replica
    values: NDArray[np.floating]


NO_VALUES = np.empty(0, dtype=DTYPES[1])


def encode(frame: Frame) -> bytes:
    """The frame as bytes; values are float32 or float64."""
    payload = memoryview(np.ascontiguousarray(frame.values)).cast("B")
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
    checksum = zlib.crc32(payload, zlib.crc32(fields))
    return b"".join((fields, _CHECKSUM.pack(checksum), payload))


def decode(data: bytes) -> Frame:
    """The frame in `data`, its values a view of it; raises FrameError for anything else."""
    if len(data) < HEADER_SIZE:
        raise FrameError("shorter than a header")
    magic, version, kind, code, *numbers, length = _FIELDS.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise FrameError("not a frame of this version")
    if kind not in (REQUEST, SEGMENT) or code not in DTYPES:
        raise FrameError("unknown kind or dtype")
    dtype = DTYPES[code]
    if length != len(data) - HEADER_SIZE or length % dtype.itemsize:
        raise FrameError("wrong length")
    payload = memoryview(data)[HEADER_SIZE:]
    (checksum,) = _CHECKSUM.unpack_from(data, _FIELDS.size)
    if checksum != zlib.crc32(payload, zlib.crc32(memoryview(data)[: _FIELDS.size])):
        raise FrameError("wrong checksum")
    run, round_, sender, receiver, replica, segment, count = numbers
    values = np.frombuffer(payload, dtype)
    return Frame(kind, run, round_, sender, receiver, replica, segment, count, values)
