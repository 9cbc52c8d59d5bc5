"""`rsm doctor`: is this machine and environment what the pins say, and what to do where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from rsm.config import ConfigError
from rsm.manifest import ROOT, cpu_name

DISK_GB = 5  # room that a `quick` study and its store are sure to find enough
DIRECT = ("torch", "snakemake", "mlflow", "pandas", "numpy", "libsumo", "eclipse-sumo", "pydantic")


class Finding(NamedTuple):
    """One thing examined; without advice, all is well."""

    what: str
    found: str
    advice: str = ""


def examine() -> int:
    """Print a line for everything examined; 1 if anything needs attention, else 0."""
    findings = [*python(), *packages(), *simulator(), *machine(), *store()]
    for finding in findings:
        print(f"{'PROBLEM' if finding.advice else 'ok':8}{finding.what}: {finding.found}")
        if finding.advice:
            print(f"{'':8}→ {finding.advice}")
    return int(any(finding.advice for finding in findings))


def python() -> Iterator[Finding]:
    """The interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    right = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding("Python", found, "" if right else "use Python 3.11: make setup PYTHON=python3.11")


def packages() -> Iterator[Finding]:
    """Installed versions against constraints.txt."""
    path = ROOT / "constraints.txt"
    if not path.is_file():
        yield Finding("constraints.txt", "missing", "run from a checkout of the repository")
        return
    pins = dict(
        line.split("==", 1)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    advice = "run `make setup` (it installs the pinned versions)"
    for name in DIRECT:
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            yield Finding(name, "not installed", advice)
            continue
        pin = pins.get(name, found).split("+")[0]
        yield Finding(name, found, "" if found == pin else f"pinned is {pin}: {advice}")


def simulator() -> Iterator[Finding]:
    """SUMO in this process, and netconvert beside it."""
    try:
        import libsumo

        yield Finding("libsumo", libsumo.getVersion()[1])
    except ImportError as error:
        yield Finding("libsumo", str(error), "run `make setup`")
    try:
        from rsm.traffic.networks import netconvert_binary

        command = str(netconvert_binary())
        done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30)
        first = done.stdout.partition("\n")[0]
        yield Finding("netconvert", first, "" if done.returncode == 0 else "run `make setup`")
    except (ConfigError, OSError, subprocess.TimeoutExpired) as error:
        yield Finding("netconvert", str(error), "run `make setup`")


def machine() -> Iterator[Finding]:
    """Processor, threads and disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processor", f"{cpu_name()}, {cores} cores for us")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    advice = "" if threads in ("", "1") else "unset OMP_NUM_THREADS: jobs run side by side"
    yield Finding("threads of a job", threads or "1", advice)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    advice = "" if free >= DISK_GB else f"a study wants {DISK_GB} GB: free some, or move results/"
    yield Finding("disk", f"{free:.0f} GB free here", advice)
    writable = os.access(Path.cwd(), os.W_OK)
    advice = "" if writable else "run from a folder that you may write"
    yield Finding("working folder", "writable" if writable else "read-only", advice)


def store() -> Iterator[Finding]:
    """The MLflow store, if there is one already."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri is None and not Path("results/mlflow/mlflow.db").exists():
        yield Finding("MLflow store", "none yet: a study creates it")
        return
    from rsm.tracking import experiments

    try:
        yield Finding("MLflow store", f"experiments: {', '.join(experiments()) or 'none'}")
    except Exception as error:  # whatever a store or a server can answer is a finding, not a crash
        reason = str(error).partition("\n")[0]
        yield Finding(
            "MLflow store", reason, "check MLFLOW_TRACKING_URI, or `rsm sync` a new store"
        )
