"""Checkpoints of a run and its final policy: written atomically, guarded, never pickled code.

`checkpoint.pt` lies in the run folder while a run is under way, its predecessor beside it as
`checkpoint.previous.pt`. Both are gone when the run is finished; `policy.safetensors` stays.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from rsm.config import ConfigError
from rsm.records import write_bytes

CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
POLICY = "policy.safetensors"
_DIGEST = hashlib.sha256().digest_size


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


def load_checkpoint(folder: Path, settings_hash: str) -> dict[str, Any] | None:
    """The latest whole checkpoint of these settings, None where there is none.

    A damaged file is passed over for its predecessor; a checkpoint of other settings is refused, so that the
    run starts afresh. Both are said on standard error.
    """
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if content[:_DIGEST] != hashlib.sha256(content[_DIGEST:]).digest():
            print(f"{path}: damaged checkpoint, passed over", file=sys.stderr)
            continue
        try:
            loaded = torch.load(io.BytesIO(content[_DIGEST:]), weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            print(f"{path}: unreadable checkpoint, passed over: {error}", file=sys.stderr)
            continue
        if loaded["settings_hash"] != settings_hash:
            print(
                f"{path}: made with other settings ({loaded['settings_hash']}, not {settings_hash}): refused",
                file=sys.stderr,
            )
            continue
        state: dict[str, Any] = loaded["state"]
        return state
    return None


def remove_checkpoints(folder: Path) -> None:
    """What a finished run no longer needs."""
    for name in (CURRENT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def save_policy(folder: Path, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
    """Write the final parameters; `facts` are kept as metadata of the file."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(folder / POLICY, save(content, metadata=facts))


def load_policy(folder: Path) -> dict[str, Tensor]:
    """The final parameters of a finished run; raises ConfigError where there are none."""
    try:
        return load((folder / POLICY).read_bytes())
    except OSError as error:
        raise ConfigError(f"{folder / POLICY}: cannot be read: {error.strerror}") from None
