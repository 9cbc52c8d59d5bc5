"""The store: its location, its initial content, and errors in its address."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from rsm import tracking
from rsm.cli.parser import main
from rsm.config.run import RunConfig
from rsm.errors import ConfigError, RunError

from .conftest import STORE, STUDY, published, reader, write_run


def test_note_that_somebody_edited_is_kept() -> None:
    experiment = tracking.create_store(STUDY, "ours")
    reader().set_experiment_tag(experiment, "mlflow.note.content", "theirs")
    tracking.create_store(STUDY, "ours")
    assert reader().get_experiment(experiment).tags["mlflow.note.content"] == "theirs"


def test_the_store_is_sqlite_with_a_write_ahead_log_and_one_experiment() -> None:
    first = tracking.create_store(STUDY)
    assert tracking.create_store(STUDY) == first
    assert list(tracking.experiments()) == ["Default", STUDY]
    database = sqlite3.connect(STORE)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_the_environment_switches_to_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/elsewhere/other.db")
    tracking.publish(write_run(RunConfig()), STUDY)
    assert list(published(store="elsewhere/other.db")) == [RunConfig().run_id]
    assert not Path(STORE).exists()


def test_options_in_the_address_of_a_database_are_no_part_of_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db?timeout=30")
    tracking.create_store(STUDY)
    assert [file.name for file in Path.cwd().glob("own.db*") if "-" not in file.name] == ["own.db"]
    with contextlib.closing(sqlite3.connect("own.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_experiment_of_a_study_under_another_name() -> None:
    study = Path(__file__).parents[2] / "workflow/studies/ci.yaml"
    assert main(["store", "--study", str(study), "--set", "{name: pilot}"]) == 0
    assert list(tracking.experiments()) == ["Default", "pilot"]


@pytest.mark.parametrize(
    "uri", ["nonsense", "http://", "htp:/x", "file:///tmp/runs", "sqlite:///", "http://host:port"]
)
def test_a_malformed_address_is_one_line_and_leaves_nothing(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI") as error:
        tracking.create_store(STUDY)
    assert "\n" not in str(error.value)
    assert not Path("results").exists()


def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        RunError, match=r"127\.0\.0\.1: it does not answer \(Connection refused"
    ) as error:
        tracking.create_store(STUDY)
    assert "secret" not in str(error.value)
