"""The state of a study, from its run folders and logs alone, on whatever machine the runs train.

It loads neither pandas nor torch nor the models of settings: a thousand runs take it a tenth of a second.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rsm.errors import one_line
from rsm.runs.files import PROGRESS, read_json
from rsm.runs.outcome import last_words
from rsm.runs.planned import Planned

# A run without progress for the time of so many episodes, and at least so long, is considered dead.
SILENT_EPISODES, SILENT_S = 10, 120.0
UNDER_WAY = r"episode [0-9]+/[0-9]+ "  # lines in the log of a run without errors
SILENT_AT_FIRST_S = 900.0  # before the first episode its duration is unknown


@dataclass(frozen=True)
class Running:
    """A run under way, as its last sign of life says."""

    run_id: str
    episode: int
    episodes: int
    episode_return: float | None
    acceptance_rate: float | None
    bytes_sent: int | None
    left_s: float | None  # None before the first episode


@dataclass
class Status:
    """The runs of a study by state, and the time that is left of it."""

    total: int
    done: int = 0
    running: list[Running] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # run id → reason
    queued: list[str] = field(default_factory=list)
    stopped: int = 0  # of the queued: begun, and interrupted or killed
    left_s: float | None = None  # None where it is unknown

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.running or self.queued)


def status(runs: Mapping[str, Planned], results: Path, now: float | None = None) -> Status:
    """The state of the runs of a study, whose folders lie in `results/runs` and logs in `results/logs`.

    A folder of other settings is that of a run yet to come. `now` is the time in seconds since the epoch.
    """
    now = time.time() if now is None else now
    found = Status(len(runs))
    took: list[tuple[Planned, float]] = []  # seconds that a whole run takes
    for run_id, run in runs.items():
        folder = results / "runs" / run_id
        summary, wanted = read_json(folder / "summary.json"), run.settings_hash
        if summary is not None and summary.get("settings_hash") == wanted:
            if summary.get("status") != "finished":
                found.failed[run_id] = one_line(summary.get("reason") or "no reason given")
                continue
            if not run.learns or summary.get("episodes") == run.episodes:
                found.done += 1
                took.append((run, float(summary.get("wall_s") or 0.0)))
                continue
        sign = read_json(folder / PROGRESS)
        if sign is not None and sign.get("settings_hash") == wanted:
            age, per_episode = _age(folder / PROGRESS, now), sign.get("episode_s")
            if age <= _patience(per_episode):
                found.running.append(_running(run_id, sign, age))
                if per_episode:
                    took.append((run, per_episode * run.episodes))
                continue
            found.stopped += 1
        elif summary is None and (reason := last_words(results / "logs" / f"{run_id}.log")):
            if not re.search(UNDER_WAY, reason):
                found.failed[run_id] = f"could not run: {reason}"
                continue
            found.stopped += 1
        found.queued.append(run_id)
    found.left_s = _left(found, [runs[run_id] for run_id in found.queued], took)
    return found


def sign_of_life(folder: Path, now: float | None = None) -> dict[str, Any] | None:
    """The progress of the run that a process trains in the folder; None where none does, or it is silent."""
    sign = read_json(folder / PROGRESS)
    now = time.time() if now is None else now
    alive = sign is not None and _age(folder / PROGRESS, now) <= _patience(sign.get("episode_s"))
    return sign if alive else None


def _age(path: Path, now: float) -> float:
    try:
        return max(0.0, now - os.stat(path).st_mtime)
    except OSError:  # it has just ended
        return 0.0


def _patience(per_episode: float | None) -> float:
    return max(SILENT_S, SILENT_EPISODES * per_episode) if per_episode else SILENT_AT_FIRST_S


def _running(run_id: str, sign: dict[str, Any], age: float) -> Running:
    episode, episodes, per_episode = sign["episode"], sign["episodes"], sign.get("episode_s")
    left = None if per_episode is None else max(0.0, per_episode * (episodes - episode) - age)
    return Running(
        run_id,
        episode,
        episodes,
        sign.get("return"),
        sign.get("acceptance_rate"),
        sign.get("bytes_sent"),
        left,
    )


def _left(
    found: Status, queued: Iterable[Planned], took: list[tuple[Planned, float]]
) -> float | None:
    """Seconds until the study is done with as many runs at once as now; 0.0 where nothing is left.

    A run takes as long as those of its configuration did, else of its method, else as all that learn.
    """
    if found.over:
        return 0.0
    times: dict[object, list[float]] = defaultdict(list)
    for planned, seconds in took:
        for kind in (planned.configuration, (planned.method,), planned.learns):
            times[kind].append(seconds)
    left = [run.left_s for run in found.running]
    for planned in queued:
        kinds = (planned.configuration, (planned.method,), planned.learns)
        known = next((times[kind] for kind in kinds if kind in times), None)
        left.append(fmean(known) if known else None)
    known_left = [seconds for seconds in left if seconds is not None]
    if not known_left:
        return None
    # A run of unknown duration is assumed to take as long as the others.
    whole = fmean(known_left) * len(left)
    longest = max((run.left_s or 0.0 for run in found.running), default=0.0)
    return max(whole / max(1, len(found.running)), longest)


def duration(seconds: float | None) -> str:
    """A time in words: `40 s`, `12 min`, `3 h 20 min`, `2 d 5 h`."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def headline(study: str, found: Status) -> str:
    """The whole study in one line."""
    words = [f"{found.done} of {found.total} runs done"]
    if found.running:
        words.append(f"{len(found.running)} running")
    if found.failed:
        words.append(f"{len(found.failed)} failed")
    if found.queued:
        stopped = f" ({found.stopped} stopped midway)" if found.stopped else ""
        words.append(f"{len(found.queued)} queued{stopped}")
    left = "" if found.over else f"; time left: {duration(found.left_s)}"
    return f"{study}: {', '.join(words)}{left}"
