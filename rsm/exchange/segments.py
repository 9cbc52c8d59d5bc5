"""Segments: contiguous, near-equal slices of a parameter vector that cover it exactly once."""

from __future__ import annotations

import functools
import itertools

from rsm.errors import ConfigError


@functools.lru_cache(maxsize=256)
def segment_slices(length: int, segments: int) -> tuple[slice, ...]:
    """P slices of `range(length)`; the first `length % P` are one longer. Raises ConfigError if P > length."""
    if not 1 <= segments <= length:
        raise ConfigError(
            f"communication.segments: {segments} is not allowed: "
            f"1 to {length} (the parameters that an agent shares)"
        )
    base, longer = divmod(length, segments)
    ends = [base * p + min(p, longer) for p in range(segments + 1)]
    return tuple(slice(start, end) for start, end in itertools.pairwise(ends))
