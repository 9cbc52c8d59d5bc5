"""The machine of a run: its processor, how many cores may be used, and what a process has used of it."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import platform
import re
import resource
import sys
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
PROCESS = Path("/proc/self/status")


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_capability() -> str:
    """The instruction set that torch uses, such as AVX2; rounding depends on it.

    It is that of the processor, unless ATEN_CPU_CAPABILITY asks for an older one.
    """
    import torch  # here, so that `rsm doctor` can name the processor where torch is broken

    return str(torch.backends.cpu.get_cpu_capability())


class Usage(NamedTuple):
    """CPU time (s) of all threads and peak memory (MB) of a process, or of several attempts at one run."""

    cpu_s: float
    peak_memory_mb: float

    def and_then(self, later: Usage) -> Usage:
        """Of an attempt and of the one that went on from its checkpoint."""
        return Usage(self.cpu_s + later.cpu_s, max(self.peak_memory_mb, later.peak_memory_mb))


def usage() -> Usage:
    """Of this process since it began."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # The number above counts the process that started this one, too.
    with contextlib.suppress(OSError, StopIteration):
        lines = PROCESS.read_text().splitlines()
        peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return Usage(used.ru_utime + used.ru_stime, peak / 1e6)


def usable_cores() -> int:
    """Cores that this process may use: by its affinity and, in a container, by the quota of its cgroup."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.floor(min(affine or 1, cpu_quota())))


def cpu_quota(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float:
    """CPU quota, in cores, of the cgroup of this process and those above it; ∞ without a limit.

    Both versions of cgroups: `cpu.max`, and `cpu.cfs_quota_us` with its period.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    quotas = [math.inf]
    for line in ["0::/", "1:cpu:/", *lines]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        mounts = [root] if not controllers else [root / name for name in (controllers, "cpu")]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in mounts:
            folder = mount / path.strip("/")
            while folder == mount or mount in folder.parents:
                quotas.append(_quota(folder))
                folder = folder.parent
    return min(quotas)


def _quota(folder: Path) -> float:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
    except (OSError, ValueError):
        return math.inf
    limited = re.fullmatch("[0-9]+", quota) and re.fullmatch("[1-9][0-9]*", period)
    return int(quota) / int(period) if limited and int(quota) else math.inf


def too_many_cores(asked: int | None) -> str | None:
    """What to tell somebody who asked for more cores than there are; None where there are enough.

    `snakemake --cores all` counts those of the whole machine, whatever part of it a container has.
    """
    usable = usable_cores()
    if asked is None or asked <= usable:
        return None
    return (
        f"--cores: {asked} were asked for, but only {usable} may be used here (affinity, or the quota of a "
        f"container): at most {usable} jobs run at once"
    )


def search_less_for_garbage() -> None:
    """Let Python look for reference cycles less often, in this process.

    The libraries make a million objects that stay, as planning does with thousands of jobs. To search them over
    and over costs half a second of every start, and a fifth of the time of planning.
    """
    gc.set_threshold(100_000, 50, 50)
