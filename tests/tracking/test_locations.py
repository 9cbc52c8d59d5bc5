"""Where the store is: moved checkouts, folders with odd names, shared stores, wrong folders."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from errno import EIO, ENOLCK, EOPNOTSUPP
from pathlib import Path

import pytest

from rsm import tracking
from rsm.cli.parser import main
from rsm.config.run import RunConfig
from rsm.errors import ConfigError, RunError
from rsm.tracking import store

from .conftest import ROOT, STORE, STUDY, published, reader, write_run


def files_of(run_id: str, store: str = STORE) -> set[str]:
    """Artifacts of a published run, as the store finds them."""
    run = published(store=store)[run_id]
    return {file.path for file in reader(store).list_artifacts(run.info.run_id)}


def test_moved_checkout_finds_its_artifacts_and_does_not_make_the_former_folder_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir("before")
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    whole = files_of(RunConfig().run_id)
    shutil.move("results", "../after/results")
    monkeypatch.chdir(tmp_path / "after")
    assert files_of(RunConfig().run_id) == set()
    main(["doctor"])
    assert "point outside this checkout" in capsys.readouterr().out
    write_run(RunConfig(seed=1))
    tracking.sync(STUDY)
    assert files_of(RunConfig().run_id) == files_of(RunConfig(seed=1).run_id) == whole
    assert list((tmp_path / "before").iterdir()) == []
    main(["doctor"])
    assert "point outside this checkout" not in capsys.readouterr().out


def test_copied_checkout_leaves_the_files_of_the_original_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "original").mkdir()
    monkeypatch.chdir("original")
    tracking.publish(write_run(RunConfig()), STUDY)
    before = sorted(str(path) for path in Path().rglob("*"))
    shutil.copytree("results", tmp_path / "copy/results")
    monkeypatch.chdir(tmp_path / "copy")
    tracking.publish(write_run(RunConfig(), final_return=0.5), STUDY)
    monkeypatch.chdir(tmp_path / "original")
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_run_whose_artifacts_are_lost_is_not_counted_as_there() -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    whole = files_of(RunConfig().run_id)
    shutil.rmtree("results/mlflow/artifacts")
    tracking.sync(STUDY)
    assert files_of(RunConfig().run_id) == whole


@pytest.mark.parametrize("name", ["a?b", "a#b%20c d&e;é"])
def test_name_of_a_checkout_is_no_part_of_an_address(name: str, tmp_path: Path) -> None:
    checkout = tmp_path / "parent" / name
    checkout.mkdir(parents=True)
    folder = write_run(RunConfig())
    shutil.move("results", checkout / "results")
    # In a process of its own: MLflow keeps connections by address.
    command = [sys.executable, "-m", "rsm", "publish", str(folder), "--study", STUDY]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "parent").iterdir()) == [checkout]
    assert (checkout / STORE).is_file() and sorted(p.name for p in checkout.iterdir()) == [
        "results"
    ]
    kept = list((checkout / "results/mlflow/artifacts").rglob("summary.json"))
    assert len(kept) == 1


def test_question_mark_in_the_name_of_a_given_database_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/a?b/own.db")
    with pytest.raises(ConfigError, match=r"is not allowed: '\?' begins options"):
        tracking.create_store(STUDY)
    assert not (tmp_path / "a").exists()


def test_artifacts_of_a_given_database_file_lie_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared/own.db")
    tracking.publish(write_run(RunConfig()), STUDY)
    assert list((tmp_path / "shared/artifacts" / STUDY).rglob("summary.json"))
    assert not Path("results/mlflow/artifacts").exists()


@pytest.mark.parametrize("command", ["publish", "store", "sync", "ui"])
def test_wrong_folder_is_named_and_nothing_is_written_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    folder = write_run(RunConfig()).absolute()
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    monkeypatch.chdir(wrong)
    ci = str(ROOT / "workflow/studies/ci.yaml")
    words = {"publish": [str(folder), "--study", STUDY], "ui": []}
    assert main([command, *words.get(command, ["--study", ci])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "checkout" in line or "results/ci/runs holds no finished run" in line
    assert list(wrong.iterdir()) == []


def test_another_run_of_the_same_id_is_replaced_with_a_word(capsys) -> None:
    folder = write_run(RunConfig())
    assert tracking.publish(folder, STUDY)["replaced"] == []
    tracking.publish(folder, STUDY)
    assert capsys.readouterr().err == "", "the same run is no other"
    receipt = tracking.publish(write_run(RunConfig(), final_return=0.5), STUDY)
    (line,) = capsys.readouterr().err.splitlines()
    assert "the store had another run of this id" in line and "commit abc" in line
    assert receipt["replaced"] == [f"settings {RunConfig().settings_hash}, commit abc"]
    write_run(RunConfig(), final_return=0.6)
    assert tracking.sync(STUDY).endswith("; 1 of them replaced others of the same id")


@pytest.mark.parametrize("reason", [ENOLCK, EOPNOTSUPP])
def test_file_system_without_locks_does_not_stop_publishing(
    reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    tracking.publish(write_run(RunConfig()), STUDY)
    assert list(published()) == [RunConfig().run_id]


def test_lock_that_fails_stops_publishing_to_our_own_store_and_to_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def flock(*_: object) -> None:
        raise OSError(EIO, os.strerror(EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = write_run(RunConfig())
    with pytest.raises(RunError, match="Input/output error"):
        tracking.publish(folder, STUDY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")
    tracking.publish(folder, STUDY)
    assert list(published(store="own.db")) == [RunConfig().run_id]


def test_publishing_elsewhere_from_a_folder_without_results_writes_nothing_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_run(RunConfig()).absolute()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")
    tracking.publish(folder, STUDY)
    assert list(Path().iterdir()) == []
    assert store.database_file() == tmp_path / "own.db"
