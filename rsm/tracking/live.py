"""Runs under way in MLflow: their curves so far, in runs of status RUNNING that the finished ones replace.

A run that ended without a result is KILLED here. Such a run has no `content`, so that publishing takes neither
for a finished one.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.config.run import RunConfig, load_run
from rsm.errors import ConfigError, RunError, one_line
from rsm.runs.files import PARTIAL
from rsm.runs.partial import read_partial
from rsm.runs.status import sign_of_life
from rsm.tracking.content import curves, parameters
from rsm.tracking.models import delete_run
from rsm.tracking.publishing import publish_all
from rsm.tracking.runs import SOURCE, find, is_whole, log
from rsm.tracking.store import NOTE, client_of_store, experiment_of, locked_store, serves
from rsm.tracking.tags import seed_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

EVERY_S = 15.0  # between two looks at the run folders
LIVE = "tags.live = 'true'"
SUMMARY = "summary.json"  # in the folder of a run that ended


class LiveStudy:
    """The run folders of one study, brought to the store at every `look`."""

    def __init__(self, study: str, only: str | None = None) -> None:
        """`only` is the run that a job logs itself; what has finished is then left to others."""
        self.study, self.only = study, only
        self.folder = Path("results", study, "runs")
        self._under_way: dict[str, LiveRun] = {}
        self._settled: set[str] | None = None  # runs of which there is nothing new to say

    def look(self, now: float | None = None) -> None:
        """Bring what is new; raises RunError where the store fails, ConfigError for a damaged folder."""
        folders, refused = self._folders(), None
        if self._settled is None:
            self._settled = self._known()
        finished = [
            folder
            for folder in folders
            if folder.name not in self._settled and (folder / SUMMARY).is_file()
        ]
        for folder in folders:
            if folder not in finished and sign_of_life(folder, now) is not None:
                try:
                    self._follow(folder)
                except ConfigError as error:
                    refused = error
        for run_id in [*self._under_way]:
            folder = self.folder / run_id
            if folder not in finished and sign_of_life(folder, now) is None:
                self._end(run_id, folder)
        if finished and self.only is None:
            self._publish(finished)
        if refused is not None:
            raise refused

    def end(self) -> None:
        """To be called at the end: a run that its process left without a result is not under way any more."""
        for run_id in [*self._under_way]:
            folder = self.folder / run_id
            # A job that logs itself has ended, however fresh its last sign of life is.
            if self.only is not None or sign_of_life(folder) is None:
                self._end(run_id, folder)

    def _publish(self, finished: list[Path]) -> None:
        """Replace what was live by the finished runs; those whose folders are damaged are not tried again."""
        refused = None
        try:
            publish_all(finished, self.study)
        except ConfigError as error:
            refused = error
        for folder in finished:
            self._under_way.pop(folder.name, None)
            self._settled = {*(self._settled or ()), folder.name}
        if refused is not None:
            raise refused

    def _folders(self) -> list[Path]:
        if self.only is not None:
            return [self.folder / self.only]
        return sorted(file.parent for file in self.folder.glob("*/config.yaml"))

    def _known(self) -> set[str]:
        """Runs whose result the store has. What it has of runs under way is of a process that is gone."""
        with locked_store(self.study):
            client = client_of_store()
            experiment = experiment_of(client, self.study)
            condition = "tags.kind = 'seed'"
            if self.only is not None:
                condition += f" and tags.run_id = '{self.only}'"
            found = find(client, experiment, condition)
            for run in found:
                under_way = run.data.tags.get("live") == "true" and run.info.status == "RUNNING"
                if under_way and self._is_ours(run.data.tags["run_id"]):
                    client.set_terminated(run.info.run_id, "KILLED")
        return {run.data.tags["run_id"] for run in found if is_whole(run)}

    def _is_ours(self, run_id: str) -> bool:
        """Whether this process follows the run; a job that logs itself is left alone."""
        if self.only is not None:
            return run_id == self.only
        folder = self.folder / run_id
        if sign_of_life(folder) is None:
            return True
        try:
            return not (load_run(folder / "config.yaml").tracking.live and serves())
        except ConfigError:
            return True

    def _follow(self, folder: Path) -> None:
        run = self._under_way.get(folder.name)
        if run is None:
            if not self._is_ours(folder.name):
                return
            run = self._under_way[folder.name] = LiveRun(self.study, folder)
            if self._settled is not None:  # trained anew
                self._settled.discard(folder.name)
        run.look()

    def _end(self, run_id: str, folder: Path) -> None:
        run = self._under_way.pop(run_id)
        if not (folder / SUMMARY).is_file():
            run.killed()


class LiveRun:
    """One run under way and what the store has of it."""

    def __init__(self, study: str, folder: Path) -> None:
        self.study, self.folder = study, folder
        self._number: str | None = None  # in the store
        self._logged: Counter[str] = Counter()  # points of each metric
        self._read_ns = 0  # when the tables were written that were read last

    def look(self) -> None:
        """Log the points that are new in the tables; a run that began anew is logged anew."""
        try:
            written = os.stat(self.folder / PARTIAL).st_mtime_ns
        except OSError:
            return
        if written == self._read_ns or (tables := read_partial(self.folder)) is None:
            return
        config = load_run(self.folder / "config.yaml")
        try:
            points = curves(tables, config.evaluation.episodes)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{self.folder}: {PARTIAL}: cannot be read: {one_line(error)}"
            ) from None
        there = Counter(point.key for point in points)
        # Where the store fails in between, all of it is logged anew.
        number, self._number = self._number, None
        with locked_store(self.study):
            client = client_of_store()
            if number is None or any(there[key] < self._logged[key] for key in self._logged):
                number, self._logged = self._create(client, config), Counter()
            seen: Counter[str] = Counter()
            new = []
            for point in points:
                seen[point.key] += 1
                if seen[point.key] > self._logged[point.key]:
                    new.append(point)
            log(client, number, {}, new, written // 1_000_000)
        self._number, self._logged, self._read_ns = number, there, written

    def killed(self) -> None:
        """Its process ended without a result."""
        if self._number is not None:
            with locked_store(self.study):
                client_of_store().set_terminated(self._number, "KILLED")

    def _create(self, client: MlflowClient, config: RunConfig) -> str:
        """A run of status RUNNING in place of those that former attempts left."""
        experiment = experiment_of(client, self.study)
        for run in find(client, experiment, f"{LIVE} and tags.run_id = '{config.run_id}'"):
            delete_run(client, run)
        settings = parameters(self.folder)
        facts = config.axes | {
            "method": config.method,
            "scenario": config.traffic.scenario,
            "run_id": config.run_id,
            "configuration": config.configuration,
            "seed": config.seed,
            "settings_hash": config.settings_hash,
        }
        tags = seed_tags(facts, settings) | SOURCE | {"live": "true"}
        tags[NOTE] = (
            f"Seed {config.seed} of `{config.configuration}`, **in progress**: its curves so far. "
            "The finished run will replace it."
        )
        began = int(os.stat(self.folder / "config.yaml").st_mtime * 1000)
        number: str = client.create_run(
            experiment, start_time=began, tags=tags, run_name=config.run_id
        ).info.run_id
        log(client, number, settings, [], 0)
        return number


def follow(
    studies: Callable[[], list[str]],
    only: str | None = None,
    pid: int | None = None,
    every_s: float | None = None,
) -> None:
    """Look at the studies again and again until interrupted, or until the process `pid` has ended.

    A store that fails is said once on standard error, and tried again at the next look. With `only`, the run of
    that name alone.
    """
    known: dict[str, LiveStudy] = {}
    said, next_look = dict[str, str](), 0.0
    every = EVERY_S if every_s is None else every_s
    try:
        while pid is None or _lives(pid):
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + every
                for name in studies():
                    if name not in known:
                        known[name] = LiveStudy(name, only)
                    said[name] = _tried(known[name].look, said.get(name, ""))
            time.sleep(min(1.0, every))
    finally:
        for name, study in known.items():
            _tried(study.end, said.get(name, ""))


def _tried(act: Callable[[], None], said: str) -> str:
    """Do it, and say on standard error why it failed unless that was `said` last; returns what was."""
    try:
        act()
    except (RunError, ConfigError) as error:
        if str(error) != said:
            print(f"rsm: live: {error}", file=sys.stderr, flush=True)
        return str(error)
    return ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
