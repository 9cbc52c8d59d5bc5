"""Checkpoints of a run: written atomically, protected by a checksum, free of pickled code.

`checkpoint.pt` lies in the run folder while a run is under way, its predecessor beside it as
`checkpoint.previous.pt`. Both are gone when the run is finished, unless
`training.keep_checkpoint` keeps the last.
At every moment one of the two is whole, whenever the process is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rsm.runs.files import CURRENT, PREVIOUS, write_bytes

COST = 0.02  # share of the wall time that writing checkpoints may take
_DIGEST = hashlib.sha256().digest_size


class Pace:
    """Decides when a checkpoint is due: all of them, the next included, take at most a share of the time.

    The next one is assumed to cost as much as the most expensive so far, the first one nothing. A small run
    thus saves after nearly every episode, one with a large replay or on a slow disk less often. Results do not
    depend on when checkpoints are written.
    """

    def __init__(self, share: float | None = None) -> None:
        self._share = COST if share is None else share
        self._start, self._spent, self._dearest = time.perf_counter(), 0.0, 0.0

    @property
    def due(self) -> bool:
        """Has enough time passed?"""
        return self._spent + self._dearest <= self._share * (time.perf_counter() - self._start)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Context in which a checkpoint is written and its duration measured."""
        start = time.perf_counter()
        yield
        cost = time.perf_counter() - start
        self._spent, self._dearest = self._spent + cost, max(self._dearest, cost)


def save_checkpoint(folder: Path, state: dict[str, Any], settings_hash: str) -> None:
    """Write a checkpoint: the SHA-256 of the rest, then tensors and plain values only."""
    buffer = io.BytesIO()
    buffer.write(bytes(_DIGEST))
    torch.save({"settings_hash": settings_hash, "state": state}, buffer)
    content = buffer.getbuffer()
    content[:_DIGEST] = hashlib.sha256(content[_DIGEST:]).digest()
    current = folder / CURRENT
    if current.exists():
        os.replace(current, folder / PREVIOUS)
    write_bytes(current, content)


class Checkpoint(NamedTuple):
    """What was loaded, and the name of its file."""

    state: dict[str, Any]
    name: str


def load_checkpoint(folder: Path, settings_hash: str) -> Checkpoint | None:
    """The latest intact checkpoint of these settings; None where there is none.

    A damaged file is removed (it must not take the place of its predecessor when the next one is written) and
    ignored; one that cannot be read or is of other settings is ignored too, but stays until `prefer`
    says that another is used. All of it is said on standard error.
    """
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if content[:_DIGEST] != hashlib.sha256(content[_DIGEST:]).digest():
            print(f"{path}: damaged checkpoint, ignored", file=sys.stderr)
            path.unlink()
            continue
        try:
            loaded = torch.load(
                io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True
            )
            made_with, state = str(loaded["settings_hash"]), dict(loaded["state"])
        except (
            pickle.UnpicklingError,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            EOFError,
        ) as error:
            reason = str(error).partition("\n")[0]
            print(f"{path}: unreadable checkpoint, ignored: {reason}", file=sys.stderr)
            continue
        if made_with != settings_hash:
            print(
                f"{path}: made with other settings ({made_with}, not {settings_hash}): refused",
                file=sys.stderr,
            )
            continue
        return Checkpoint(state, name)
    return None


def prefer(folder: Path, used: Checkpoint) -> None:
    """Remove the checkpoints that were ignored in favour of `used`, or the next save could restore them."""
    if used.name == PREVIOUS:
        (folder / CURRENT).unlink(missing_ok=True)


def remove_checkpoints(folder: Path, but: str = "") -> None:
    """Remove the checkpoints of a finished run, except the one named `but`."""
    for name in {CURRENT, PREVIOUS} - {but}:
        (folder / name).unlink(missing_ok=True)
