"""Runs under way: their curves so far in real SQLite stores, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run

from rsm import tracking
from rsm.config.run import RunConfig
from rsm.runs.files import PARTIAL, PROGRESS, write_json
from rsm.runs.partial import CURVES, write_partial
from rsm.runs.recorder import Recorder
from rsm.runs.schema import TABLES
from rsm.tracking import LiveStudy, live

from .conftest import ROOT, STUDY, history, published, reader, write_run


def under_way(config: RunConfig, episodes: int) -> Path:
    """The folder of a run that trains and has recorded so many episodes."""
    folder, recorder = write_run(config), Recorder()
    for name in set(CURVES) & set(TABLES):
        table = pd.read_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.parquet").unlink()
        if "episode" in table and name != "evaluations":
            table = table[table["episode"] <= episodes]
        recorder.add(name, *table.to_dict("records"))
    for name in ("exchange.parquet", "summary.json", "manifest.json", "policy.safetensors"):
        (folder / name).unlink(missing_ok=True)
    write_partial(folder, recorder)
    about = {"settings_hash": config.settings_hash, "episodes": 3, "episode_s": 1.0}
    write_json(folder / PROGRESS, about | {"episode": episodes})
    return folder


def finish(config: RunConfig) -> None:
    folder = write_run(config)
    for name in (PROGRESS, PARTIAL):
        (folder / name).unlink()


def statuses(condition: str = "") -> list[str]:
    experiment = reader().get_experiment_by_name(STUDY).experiment_id
    found = reader().search_runs([experiment], filter_string=condition)
    return sorted(run.info.status for run in found)


def only() -> Run:
    [run] = published().values()
    return run


def test_curves_of_a_run_grow_while_it_trains_and_the_finished_run_replaces_them() -> None:
    config, study = RunConfig(), LiveStudy(STUDY)
    study.look()
    assert published() == {}, "nothing has begun"
    under_way(config, 1)
    study.look()
    first = only()
    assert first.info.status == "RUNNING" and first.data.tags["method"] == "rsm"
    assert first.data.params["sac.batch_size"] == "256"
    assert [step for step, _ in history(first)["episode/return"]] == [100]
    under_way(config, 2)
    study.look()
    second = only()
    assert second.info.run_id == first.info.run_id
    assert [step for step, _ in history(second)["episode/return"]] == [100, 200]
    assert history(second)["comm/messages"] == [(200, 30.0)]
    finish(config)
    study.look()
    last = only()
    assert last.info.status == "FINISHED" and "live" not in last.data.tags
    assert last.data.metrics["final/return"] == 0.25
    found = history(last)
    assert all(found[key][: len(points)] == points for key, points in history(second).items())
    study.look()
    assert only().info.run_id == last.info.run_id, "published once"


def test_killed_run_is_killed_in_the_store_until_another_attempt_replaces_it() -> None:
    config, study = RunConfig(), LiveStudy(STUDY)
    folder = under_way(config, 2)
    study.look()
    study.look(now=(folder / PROGRESS).stat().st_mtime + 1000.0)  # silent: SIGKILL
    assert (only().info.status, statuses("tags.kind = 'configuration'")) == ("KILLED", [])
    under_way(config, 1)  # begun anew
    study.look()
    assert only().info.status == "RUNNING"
    assert [step for step, _ in history(only())["episode/return"]] == [100]
    (folder / PROGRESS).unlink()  # told to stop
    study.look()
    assert only().info.status == "KILLED"
    finish_after_all = write_run(config)
    tracking.publish(finish_after_all, STUDY)
    assert statuses("tags.kind = 'seed'") == ["FINISHED"]


def test_second_process_takes_over_and_leaves_what_has_finished_alone() -> None:
    done, running = RunConfig(seed=0), RunConfig(seed=1)
    tracking.publish(write_run(done), STUDY)
    under_way(running, 1)
    LiveStudy(STUDY).look()
    before = published()
    LiveStudy(STUDY).look()  # as `make ui` started again
    after = published()
    assert before[done.run_id].info.run_id == after[done.run_id].info.run_id
    assert {run.info.status for run in after.values()} == {"FINISHED", "RUNNING"}


def test_damaged_tables_are_said_once_and_keep_no_other_run_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = under_way(RunConfig(seed=0), 1)
    under_way(RunConfig(seed=1), 1)
    with zipfile.ZipFile(folder / PARTIAL, "w"):
        pass  # without tables
    looks: list[int] = []

    def studies() -> list[str]:
        looks.append(1)
        if len(looks) > 3:
            raise KeyboardInterrupt
        return [STUDY]

    with pytest.raises(KeyboardInterrupt):
        live.follow(studies, every_s=0.0)
    assert capsys.readouterr().err.count("partial.zip: cannot be read") == 1
    assert list(published()) == [RunConfig(seed=1).run_id]


def test_following_ends_with_the_process_that_asked_for_it() -> None:
    under_way(RunConfig(), 1)
    asked = subprocess.Popen([sys.executable, "-c", ""])
    asked.wait()
    command = [sys.executable, "-m", "rsm", "sync", "--live", "--pid", str(asked.pid)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
