"""Encodings: parameters of a segment ↔ the payload of its frame, in fewer bytes than float32 takes.

Payloads, little-endian, of a segment of n parameters:

- float32: the parameters.
- float16: the same, 2 bytes each. What is beyond ±65 504 becomes that.
- int8: a scale (float32), then n whole numbers in −127 … 127, 1 byte each.
- top-k: the version that the receiver holds (uint32), then the places (uint16, uint32 in segments of more than
  65 536) and the values (float32) of the k parameters that are farthest from it.

What is not a number, or infinite, stays that, so that the receiver refuses it whatever the encoding. These are
functions of arrays; who holds what is the business of rsm.exchange.codec.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Payload = NDArray[Any]

FLOAT, HALF, VERSION = np.dtype("<f4"), np.dtype("<f2"), np.dtype("<u4")
HALF_MAX = np.float32(np.finfo(np.float16).max)
LEVELS = 127  # of int8, on either side of 0
SCALE_MAX = np.float32(
    np.finfo(np.float32).max / (LEVELS + 1)
)  # whatever it multiplies stays finite


def to_float16(values: Values) -> NDArray[np.float16]:
    """`values: [n]` rounded to half precision, at most ±65 504 where they are finite."""
    if values.max() <= HALF_MAX and values.min() >= -HALF_MAX:  # false for NaN
        return values.astype(HALF)
    with np.errstate(over="ignore"):
        halves = values.astype(HALF)
    if not np.isfinite(halves).all():
        kept = np.isfinite(values)
        halves[kept] = np.clip(values[kept], -HALF_MAX, HALF_MAX)
    return halves


def from_float16(payload: Payload, length: int) -> Values | None:
    """The parameters `[length]` of a float16 payload, None for anything else."""
    if payload.dtype != HALF or len(payload) != length:
        return None
    return payload.astype(FLOAT)


def to_int8(values: Values, generator: np.random.Generator) -> NDArray[np.int8]:
    """Whole multiples of max |v| / 127, rounded up or down at random so that the mean is v.

    Stochastic rounding as in QSGD (Alistarh et al. 2017). Zeros stay zeros, and so do segments whose scale
    would be below the smallest float. Above 127 · 2¹²¹ or so, near the largest float, values are cut to that.
    """
    payload = np.empty(FLOAT.itemsize + len(values), dtype=np.int8)
    peak = np.abs(values).max()
    scale = peak / np.float32(LEVELS)
    if not 0 < scale < np.inf:  # nothing to round; what is not finite shows in the scale
        payload[:] = 0
        payload[: FLOAT.itemsize] = np.array([scale], FLOAT).view(np.int8)
        return payload
    scale = min(scale, SCALE_MAX)
    payload[: FLOAT.itemsize] = np.array([scale], FLOAT).view(np.int8)
    rounded = generator.random(len(values), dtype=np.float32)
    rounded += values / scale
    np.floor(rounded, out=rounded)
    np.clip(rounded, -LEVELS, LEVELS, out=rounded)  # the sum may have been rounded up to 128
    payload[FLOAT.itemsize :] = rounded
    return payload


def from_int8(payload: Payload, length: int) -> Values | None:
    """The parameters `[length]` of an int8 payload, None for anything else."""
    if payload.dtype != np.int8 or len(payload) != FLOAT.itemsize + length:
        return None
    scale = payload[: FLOAT.itemsize].view(FLOAT)[0]
    if not 0 <= scale <= SCALE_MAX:
        return None
    return np.multiply(payload[FLOAT.itemsize :], scale, dtype=FLOAT)


def amount(length: int, share: float) -> int:
    """k: how many of n parameters top-k sends, at least 1."""
    return max(1, round(share * length))


def topk_is_shorter(length: int, share: float) -> bool:
    """Whether the k parameters take fewer bytes than all n; not in segments of a few parameters."""
    one = _place_type(length).itemsize + FLOAT.itemsize
    return VERSION.itemsize + amount(length, share) * one < length * FLOAT.itemsize


def largest(differences: Values, count: int) -> NDArray[np.intp]:
    """Places of the `count` largest magnitudes, in order; of equal ones the first. NaN is the largest."""
    # The bits of floats without their sign are ordered as their magnitudes are, NaN last.
    bits = differences.view(np.int32) & 0x7FFF_FFFF
    threshold = np.partition(bits, len(bits) - count)[len(bits) - count]
    places = np.flatnonzero(bits >= threshold)
    if len(places) > count:
        chosen = bits > threshold
        chosen[np.flatnonzero(bits == threshold)[: count - chosen.sum()]] = True
        places = np.flatnonzero(chosen)
    return places


def to_topk(
    values: Values, held: Values, version: int, share: float
) -> tuple[NDArray[np.uint8], Values]:
    """Those k of `values: [n]` that are farthest from what the receiver holds, and what it then holds, `[n]`.

    To set them there is to add the k largest of the differences, without the rounding of a sum.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        places = largest(values - held, amount(len(values), share))
    parts = (np.array([version], VERSION), places.astype(_place_type(len(values))), values[places])
    changed = held.copy()
    changed[places] = values[places]
    return np.concatenate([part.view(np.uint8) for part in parts]), changed


def from_topk(payload: Payload, held: Values, version: int, share: float) -> Values | None:
    """What the receiver holds, `[n]`, with what a top-k payload changes; None for anything else.

    Refused are another version than the one held, and places that are not k of 0 … n − 1 in order.
    """
    count, kind = amount(len(held), share), _place_type(len(held))
    start = VERSION.itemsize + count * kind.itemsize
    if payload.dtype != np.uint8 or len(payload) != start + count * FLOAT.itemsize:
        return None
    places = payload[VERSION.itemsize : start].view(kind)
    if payload[: VERSION.itemsize].view(VERSION)[0] != version or places[-1] >= len(held):
        return None
    if not (places[1:] > places[:-1]).all():
        return None
    changed = held.copy()
    changed[places] = payload[start:].view(FLOAT)
    return changed


def _place_type(length: int) -> np.dtype[Any]:
    return np.dtype("<u2" if length <= 65_536 else "<u4")
