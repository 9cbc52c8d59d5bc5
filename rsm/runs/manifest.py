"""The manifest of a run: versions, machine and times, which a reader needs to check or repeat it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rsm import __version__
from rsm.config.run import RunConfig
from rsm.config.shipped import checkout, shipped
from rsm.runs.machine import Usage, cpu_capability, cpu_name

_CODE = (":/", ":(exclude,top)results")  # results are not part of the code
PACKAGES = ("torch", "numpy", "libsumo", "eclipse-sumo", "networkx", "pyarrow", "pydantic")


def manifest(config: RunConfig, device: str = "cpu", gpu: str | None = None) -> dict[str, Any]:
    """Versions, commit, machine, seed, settings hash and time (UTC) of a run that begins now.

    To be called before the run: the source tree may have changed when it ends. `device` is where its tensors
    live, `gpu` the name of a GPU, None for the processor. What git cannot tell (no git, no checkout) is None.
    """
    import torch

    return {
        "run_id": config.run_id,
        "settings_hash": config.settings_hash,
        "seed": config.seed,
        **installation(gpu),
        "device": device,
        "torch_threads": torch.get_num_threads(),
        "authenticated_frames": bool(os.environ.get("RSM_FRAME_KEY")),
        "started": _now(),
    }


def installation(gpu: str | None = None) -> dict[str, Any]:
    """The part of a manifest that is the same for all runs: versions, commit and machine."""
    changes = git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return {
        "rsm": __version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "constraints_sha256": _constraints_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {
            "cpu": cpu_name(),
            "capability": cpu_capability(),  # results depend on it bitwise, as on versions and seed
            "gpu": gpu,
            "system": platform.platform(),
        },
    }


def ended(resumed: int, used: Usage) -> dict[str, Any]:
    """Entries known only at the end of a run, which is now: the time (UTC), how often it was resumed,
    and what it `used`, all attempts together, as far as checkpoints tell.
    """
    return {
        "ended": _now(),
        "resumed": resumed,
        "cpu_s": round(used.cpu_s, 2),
        "peak_memory_mb": round(used.peak_memory_mb, 1),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    """The version of the loaded module: another copy may precede the installed one on the path."""
    module = sys.modules.get(package)
    if package == "libsumo" and module is not None:
        return str(module.getVersion()[1]).removeprefix("SUMO ")
    found = getattr(module, "__version__", None)
    if isinstance(found, str):
        return found
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """What git says of this source tree; None where it is no checkout of its own.

    An environment may lie in the checkout of something else, whose commit says nothing of us; and whoever
    calls us may have set GIT_DIR, as hooks do.
    """
    if (root := checkout()) is None or not (root / ".git").exists():
        return None
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _constraints_hash() -> str | None:
    path = shipped("constraints.txt")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
