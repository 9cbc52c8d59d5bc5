"""The manifest of a run: everything around it that a reader needs to believe or repeat it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rsm import __version__
from rsm.config.run import RunConfig
from rsm.config.shipped import checkout, shipped

_CODE = (":/", ":(exclude,top)results")  # what studies write says nothing of the code
PACKAGES = ("torch", "numpy", "libsumo", "eclipse-sumo", "networkx", "pyarrow", "pydantic")


def manifest(config: RunConfig, device: str = "cpu", gpu: str | None = None) -> dict[str, Any]:
    """Versions, commit, machine, seed, settings hash and time (UTC) of a run that begins now.

    To be asked before the run: the tree may be another when it ends. `device` is where its tensors live, `gpu`
    the name of that, None for the processor. What git does not say (no git, no checkout) is None.
    """
    import torch  # here, so that `rsm doctor` can name the processor where torch is broken

    changes = git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return {
        "run_id": config.run_id,
        "settings_hash": config.settings_hash,
        "seed": config.seed,
        "rsm": __version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "constraints_sha256": _constraints_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {"cpu": cpu_name(), "gpu": gpu, "system": platform.platform()},
        "device": device,
        "torch_threads": torch.get_num_threads(),
        "authenticated_frames": bool(os.environ.get("RSM_FRAME_KEY")),
        "started": _now(),
    }


def ended(resumed: int) -> dict[str, Any]:
    """What is known of a run only when it ends, that is now: the time (UTC), and how often it was resumed."""
    return {"ended": _now(), "resumed": resumed}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """What git says of the source tree; None outside a checkout."""
    if (root := checkout()) is None:  # an installed package may lie in a tree of somebody else
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _constraints_hash() -> str | None:
    path = shipped("constraints.txt")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
