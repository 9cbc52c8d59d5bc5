"""Run folders into frames: nothing is dropped silently, nothing foreign is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from rsm.analysis.load import IDENTITY, Runs
from rsm.errors import ConfigError
from rsm.runs.schema import TABLES

from .conftest import load_study_runs

ONE = {"methods": ["rsm", "human"], "topologies": ["ring"], "segments": [4], "rules": ["fixed"]}


def test_every_run_of_the_study_has_a_row_in_its_order(runs: Runs) -> None:
    assert set(runs.index["run_id"]) == {path.name for path in runs.folder.iterdir()}
    assert runs.index["run_id"].iloc[0] == "independent-seed0"
    assert (runs.index["status"] == "finished").all()
    assert runs.missing == ()
    assert runs.failed == {}


@pytest.mark.parametrize("table", TABLES)
def test_tables_carry_the_identity_of_their_run(runs: Runs, table: str) -> None:
    frame = runs.table(table)
    assert list(frame.columns) == [*IDENTITY, *TABLES[table]]


def test_rows_stay_with_the_run_that_wrote_them(runs: Runs, results: Path) -> None:
    frame = runs.table("rounds", columns=["round", "payload_bytes"])
    own = pd.read_parquet(results / "runs" / "fmarl-seed1" / "rounds.parquet")
    loaded = frame[frame["run_id"] == "fmarl-seed1"]
    assert loaded["payload_bytes"].tolist() == own["payload_bytes"].tolist()
    assert set(loaded["method"]) == {"fmarl"}
    assert set(loaded["seed"]) == {1}


def test_controls_have_evaluations_and_nothing_else(runs: Runs) -> None:
    human = runs.index[runs.index["method"] == "human"]
    assert len(runs.table("evaluations", human))
    assert runs.table("rounds", human).empty


def test_missing_and_failed_runs_are_listed(make: Callable[..., Path]) -> None:
    results = make(failed=("rsm-fixed-ring-p4-k3-seed1",), **ONE)
    (results / "runs" / "human-seed2" / "summary.json").unlink()
    shutil.rmtree(results / "runs" / "human-seed0")
    runs = load_study_runs(results)
    assert len(runs.index) == 6
    assert runs.failed == {"rsm-fixed-ring-p4-k3-seed1": "SUMO stopped"}
    assert runs.missing == ("human-seed0", "human-seed2")
    assert len(runs.finished) == 3


def test_a_run_with_other_settings_is_refused(make: Callable[..., Path]) -> None:
    results = make(**ONE)
    path = results / "runs" / "human-seed0" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settings_hash": "0123456789ab"}))
    with pytest.raises(ConfigError, match=r"human-seed0.*settings_hash: '0123456789ab'"):
        load_study_runs(results)


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "running"}'])
def test_a_broken_summary_is_refused(make: Callable[..., Path], content: str) -> None:
    results = make(**ONE)
    (results / "runs" / "human-seed0" / "summary.json").write_text(content)
    with pytest.raises(ConfigError, match=r"human-seed0/summary\.json"):
        load_study_runs(results)


def test_a_broken_table_is_named(make: Callable[..., Path]) -> None:
    results = make(**ONE)
    (results / "runs" / "human-seed0" / "evaluations.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"human-seed0/evaluations\.parquet: cannot be read"):
        load_study_runs(results).table("evaluations")
