"""Where the numbers come from: code, versions, machines, seeds and time, from the manifests of the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from rsm.config.study import Study

_Manifest = dict[str, Any]


def provenance(
    study: Study, manifests: Sequence[_Manifest], runs: pd.DataFrame
) -> list[tuple[str, str]]:
    """Name and value; a value that runs differ in is given with the number of runs that have it.

    `manifests` are those of runs that ended, `runs` is runs.csv; both may be empty.
    """
    seeds = sorted({config.seed for config in study.runs().values()})
    found = [("Seeds", ", ".join(map(str, seeds)))]
    for name, value in _TOLD.items():
        counts = Counter(text for one in manifests if (text := value(one)) is not None)
        several = len(counts) > 1
        words = [f"{text} ({number} runs)" if several else text for text, number in counts.items()]
        if words:
            found.append((name, "; ".join(words)))
    return found + _time(manifests, runs)


def _commit(one: _Manifest) -> str | None:
    commit = one.get("commit")
    if not commit:
        return None
    return f"{str(commit)[:12]}{' with uncommitted changes' if one.get('dirty') else ''}"


def _packages(one: _Manifest) -> str | None:
    found = one.get("packages") or {}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version) or None


def _machine(*names: str) -> Callable[[_Manifest], str | None]:
    def value(one: _Manifest) -> str | None:
        machine = one.get("machine") or {}
        return ", ".join(str(machine[name]) for name in names if machine.get(name)) or None

    return value


def _top(name: str) -> Callable[[_Manifest], str | None]:
    return lambda one: str(one[name]) if one.get(name) is not None else None


_TOLD: dict[str, Callable[[_Manifest], str | None]] = {
    "Commit": _commit,
    "rsm": _top("rsm"),
    "Python": _top("python"),
    "Packages": _packages,
    "constraints.txt (SHA-256)": _top("constraints_sha256"),
    "Processor": _machine("cpu", "capability"),
    "GPU": _machine("gpu"),
    "System": _machine("system"),
    "Device": _top("device"),
    "Threads of a run": _top("torch_threads"),
}


def _time(manifests: Sequence[_Manifest], runs: pd.DataFrame) -> list[tuple[str, str]]:
    began = [str(one["started"]) for one in manifests if one.get("started")]
    ended = [str(one["ended"]) for one in manifests if one.get("ended")]
    found = []
    if began and ended:
        found.append(("First run began, last run ended", f"{min(began)}, {max(ended)}"))
    if "wall_s" in runs and runs["wall_s"].notna().any():
        hours = runs["wall_s"].sum() / 3600
        text = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
        found.append(("Wall time of all runs together", text))
    resumed = sum(int(one.get("resumed") or 0) for one in manifests)
    return [*found, ("Resumed from a checkpoint", f"{resumed} times")] if resumed else found
