"""`rsm doctor`: does the installation match the pinned versions and work, and if not, what to do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from rsm.config.shipped import checkout, shipped
from rsm.errors import ConfigError, obstacle, one_line, shown

# Nothing that may be broken (torch above all) is imported at the top: a failed import is a finding.
DISK_GB = 5  # more than the study `quick` and its store need
CACHE_GB = 0.1  # for a road network and SUMO's temporary files
PINS = ("constraints.txt", "constraints-torch.txt")
SETUP = (
    "run `make setup`"
    if checkout()
    else "run `{}`".format(
        " && ".join(f"pip install --no-deps -r {shipped(name)}" for name in PINS)
    )
)


class Finding(NamedTuple):
    """One thing examined; without advice, all is well."""

    what: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Everything examined, in the order in which it is printed."""
    return [
        *python(),
        *packages(),
        *learning(),
        *simulator(),
        *machine(),
        *environment(),
        *store(),
    ]


def as_lines(findings: Sequence[Finding]) -> str:
    """A line for each finding, and below a problem what to do about it."""
    lines = []
    for finding in findings:
        lines.append(f"{'PROBLEM' if finding.advice else 'ok':8}{finding.what}: {finding.found}")
        if finding.advice:
            lines.append(f"{'':8}→ {finding.advice}")
    return "\n".join(lines)


def python() -> Iterator[Finding]:
    """The interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    right = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding("Python", found, "" if right else "use Python 3.11: make setup PYTHON=python3.11")


def packages() -> Iterator[Finding]:
    """Installed versions against the pinned ones."""
    text = ""
    for name in PINS:
        if not shipped(name).is_file():
            yield Finding(name, "missing", "install rsm again, or run from a checkout")
            return
        text += shipped(name).read_text(encoding="utf-8")
    pins = {canonical(name): pin for name, pin in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)}
    advice = f"{SETUP} (it installs the pinned versions)"
    try:
        names = direct()
    except PackageNotFoundError:
        yield Finding("packages", "unknown: rsm runs from its sources and is not installed", advice)
        return
    for name in names:
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            yield Finding(name, "not installed", advice)
            continue
        pin = pins.get(name, found).split("+")[0]
        yield Finding(name, found, "" if found == pin else f"pinned is {pin}: {advice}")


def direct() -> list[str]:
    """The packages that rsm itself asks for; raises PackageNotFoundError where rsm is not installed."""
    asked = (line for line in requires("rsm") or () if "extra ==" not in line)
    return [canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in asked]


def canonical(name: str) -> str:
    """The normalised name of a package: PyYAML and pyyaml are the same."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def learning() -> Iterator[Finding]:
    """Can torch be loaded, and does it compute?"""
    try:
        import torch

        product = torch.ones(2, 3) @ torch.ones(3, 2)
        right = bool((product == 3).all())
        yield Finding("torch computes", "yes" if right else "wrongly", "" if right else SETUP)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        yield Finding("torch computes", _line(error), SETUP)


def simulator() -> Iterator[Finding]:
    """SUMO in this process, netconvert beside it, and ten steps of traffic on a road it built."""
    try:
        from rsm.traffic.simulation import import_libsumo

        yield Finding("libsumo", import_libsumo().getVersion()[1])
    except (ConfigError, ImportError, OSError) as error:
        yield Finding("libsumo", _line(error), SETUP)
    try:
        from rsm.traffic.netconvert import netconvert_binary

        command = str(netconvert_binary())
        done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30)
        first = done.stdout.partition("\n")[0]
        yield Finding("netconvert", first, "" if done.returncode == 0 else SETUP)
    except (ConfigError, ImportError, OSError, subprocess.TimeoutExpired) as error:
        yield Finding("netconvert", _line(error), SETUP)
    try:
        from rsm.config.learning import Traffic
        from rsm.traffic.environment import TrafficEnv

        with TrafficEnv(Traffic(horizon=10)) as env:
            env.reset(0)
            while not env.step(None).over:
                pass
        yield Finding("traffic", "ten steps driven")
    except (ConfigError, ImportError, OSError, RuntimeError, ElementTree.ParseError) as error:
        advice = f"remove {cache()} and try again, or {SETUP}"
        yield Finding("traffic", _line(error), advice)


def machine() -> Iterator[Finding]:
    """Processor, threads and disk."""
    from rsm.runs.machine import cpu_name, usable_cores

    yield Finding("processor", f"{cpu_name()}, {usable_cores()} usable cores")
    yield from capability()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        threads = os.environ.get(name, "1")
        advice = (
            "" if threads == "1" else f"unset {name}: a job has one thread, jobs run side by side"
        )
        if advice or name == "OMP_NUM_THREADS":
            yield Finding(f"threads of a job ({name})", shown(threads)[1:-1], advice)
    here, temporary = Path.cwd(), Path(tempfile.gettempdir())
    for what, folder, wanted in (
        ("disk here", here, DISK_GB),
        ("disk for temporary files", temporary, CACHE_GB),
    ):
        free = shutil.disk_usage(folder).free / 1e9
        advice = (
            "" if free >= wanted else f"{wanted:g} GB are needed: free some, or use another disk"
        )
        yield Finding(what, f"{free:.1f} GB free in {folder}", advice)
    yield from home()
    writable = os.access(here, os.W_OK)
    advice = "" if writable else "run from a folder with write permission"
    yield Finding("working folder", "writable" if writable else "read-only", advice)


def home() -> Iterator[Finding]:
    """The folder below which Snakemake keeps a cache, unless a profile here tells it not to.

    Where it cannot be written Snakemake ends with a traceback, before it reads the Snakefile.
    """
    asked = os.environ.get("XDG_CACHE_HOME")
    folder = Path(asked or "~/.cache")
    with contextlib.suppress(RuntimeError):  # no home at all
        folder = folder.expanduser()
    advice = f"export XDG_CACHE_HOME={Path.cwd() / '.snakemake/cache'}"
    reason = "" if Path("profiles/default/config.yaml").is_file() else obstacle(folder)
    yield Finding(
        "cache of Snakemake",
        f"{folder}{f' ({reason})' if reason else ''}",
        advice if reason else "",
    )


def capability() -> Iterator[Finding]:
    """The processor's instructions, against those that the runs here were made with."""
    what = "instructions of the processor"
    try:
        from rsm.runs.machine import cpu_capability

        found = cpu_capability()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        yield Finding(what, _line(error), SETUP)
        return
    others: dict[str, int] = {}
    for path in Path("results").glob("*/runs/*/manifest.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            made_with = json.loads(path.read_text(encoding="utf-8"))["machine"]["capability"]
            if made_with != found:
                others[str(made_with)] = others.get(str(made_with), 0) + 1
    told = f"{found} (results are reproducible bit by bit only on these)"
    for name, count in others.items():
        told += f"; {count} runs here were made with {one_line(name)}: their results differ bitwise"
    asked = os.environ.get("ATEN_CPU_CAPABILITY")
    yield Finding(what, told, "unset ATEN_CPU_CAPABILITY" if asked else "")


def environment() -> Iterator[Finding]:
    """Environment variables of rsm, except that of the store."""
    try:
        from rsm.traffic.netconvert import cache_folder

        yield Finding("cache of road networks", str(cache_folder()))
    except (ConfigError, ImportError, OSError) as error:
        yield Finding(
            "cache of road networks",
            _line(error),
            "set RSM_CACHE to a folder with write permission",
        )
    try:
        from rsm.exchange.frames import frame_key

        found = (
            "frames are authenticated" if frame_key() else "not set: frames carry a checksum only"
        )
        yield Finding("RSM_FRAME_KEY", found)
    except (ConfigError, ImportError) as error:
        yield Finding("RSM_FRAME_KEY", _line(error), "unset it, or correct it")


def store() -> Iterator[Finding]:
    """The MLflow store, if there is one already."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri and not Path("results/mlflow/mlflow.db").exists():
        yield Finding("MLflow store", "none yet: a study creates it")
        return
    from rsm.tracking import experiments, moved, unanswered

    try:
        yield Finding("MLflow store", f"experiments: {', '.join(experiments()) or 'none'}")
    except Exception as error:  # any failure of a store or server is a finding, not a crash
        advice = "check MLFLOW_TRACKING_URI, or move results/mlflow away and `rsm sync` a new store"
        yield Finding("MLflow store", unanswered(error), advice)
        return
    if not uri and (elsewhere := len(moved(Path("results/mlflow/mlflow.db")))):
        found = f"{elsewhere} addresses point outside this checkout, which was moved or copied"
        yield Finding(
            "MLflow artifacts", found, "`rsm sync --study NAME` or `rsm ui` corrects them"
        )


def cache() -> str:
    """Where road networks are kept, for a message."""
    try:
        from rsm.traffic.netconvert import cache_folder

        return str(cache_folder())
    except (ConfigError, ImportError, OSError):
        return "the cache of road networks"


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
