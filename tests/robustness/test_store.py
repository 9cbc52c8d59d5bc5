"""The MLflow store down, locked, read-only or gone while publishing: nothing is lost or duplicated."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from rsm import tracking
from rsm.cli.parser import main
from rsm.config.run import RunConfig
from rsm.errors import ConfigError, RunError
from rsm.tracking import store
from rsm.tracking.content import metrics, parameters

from ..stores import copied_stores  # noqa: F401
from ..tracking.conftest import (  # noqa: F401 (the fixture that gives each test a folder of its own)
    STORE,
    STUDY,
    _in_a_folder_of_its_own,
    history,
    published,
    write_run,
)
from ..workflow.conftest import Workflow, workflow  # noqa: F401
from ..workflow.test_snakefile import calls, stand_in  # noqa: F401
from .conftest import ROOT, mount


def assert_whole(runs: dict[str, Run], folders: list[Path], store: str = STORE) -> None:
    """Every number of every run folder is in the store, and nothing twice."""
    assert sorted(runs) == sorted(folder.name for folder in folders)
    for folder in folders:
        run = runs[folder.name]
        assert run.info.status in ("FINISHED", "FAILED")
        expected: dict[str, list[tuple[int, float]]] = {}
        for key, step, value in metrics(folder):
            expected.setdefault(key, []).append((step, value))
        assert history(run, store) == {key: sorted(points) for key, points in expected.items()}
        assert run.data.params == parameters(folder)


def one_line(arguments: list[str], capsys) -> str:
    """The line of a command that fails for reasons outside rsm; checks exit code 1."""
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


@pytest.mark.parametrize(
    "call",
    [("create_run", 2), ("log_batch", 2), ("log_artifact", 5), ("set_terminated", 2)],
    ids=lambda call: f"{call[0]} {call[1]}",
)
def test_publishing_that_stops_anywhere_is_made_whole_by_the_next_sync(
    call: tuple[str, int], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [write_run(RunConfig(seed=seed)) for seed in range(2)]
    name, number = call
    real, count = getattr(MlflowClient, name), 0

    def stops(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count >= number:
            raise ConnectionResetError(104, "Connection reset by peer")
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, name, stops)
        line = one_line(
            ["publish", str(folders[0]), "--study", STUDY, "--receipt", "r.json"], capsys
        )
    assert "Connection reset by peer" in line and f"rsm sync --study {STUDY}" in line
    assert not Path("r.json").exists(), "no receipt for what is not there"
    assert tracking.sync(STUDY) == "2 finished runs are in the MLflow store"
    assert_whole(published(), folders)


def folder_in_its_place(store: Path) -> None:
    store.unlink()
    store.mkdir()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "is a folder": (folder_in_its_place, "unable to open database file"),
    "is no database": (
        lambda store: store.write_bytes(b"not SQLite at all" * 99),
        "not a database",
    ),
    "is truncated": (lambda store: os.truncate(store, 5000), "malformed"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_store_is_one_line_and_a_new_one_gets_everything(how: str, capsys) -> None:
    folder = write_run(RunConfig())
    store.STORE.mkdir(parents=True)
    database = sqlite3.connect(STORE)
    database.execute("CREATE TABLE numbers (value)")
    database.executemany("INSERT INTO numbers VALUES (?)", [(i,) for i in range(5000)])
    database.commit()
    database.close()
    spoil, words = BROKEN[how]
    spoil(Path(STORE))
    line = one_line(["publish", str(folder), "--study", STUDY], capsys)
    assert words in line and "rsm sync" in line
    shutil.rmtree("results/mlflow")
    tracking.sync(STUDY)
    assert_whole(published(), [folder])


def test_file_in_place_of_the_folder_of_the_store_is_one_line(capsys) -> None:
    folder = write_run(RunConfig())
    Path("results/mlflow").write_text("in the way")
    assert "results/mlflow" in one_line(["publish", str(folder), "--study", STUDY], capsys)


def test_locked_store_is_one_line_and_nothing_is_lost(capsys) -> None:
    folders = [write_run(RunConfig(seed=seed)) for seed in range(2)]
    tracking.publish(folders[0], STUDY)
    other = sqlite3.connect(STORE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE held (value)")
    line = one_line(["publish", str(folders[1]), "--study", STUDY], capsys)
    assert "locked" in line and "rsm sync" in line
    other.rollback()
    other.close()
    tracking.sync(STUDY)
    assert_whole(published(), folders)


def test_read_only_store_is_one_line_and_nothing_is_lost(capsys, tmp_path: Path) -> None:
    folder = write_run(RunConfig())
    store.STORE.mkdir(parents=True)
    mount(tmp_path / store.STORE, "size=20m")
    try:
        (tmp_path / store.STORE / "lock").touch()
        mount(tmp_path / store.STORE, "remount,ro")
        line = one_line(["publish", str(folder), "--study", STUDY], capsys)
        assert "Read-only file system" in line and "rsm sync" in line
        mount(tmp_path / store.STORE, "remount,rw")
        tracking.sync(STUDY)
        assert_whole(published(), [folder])
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / store.STORE)], check=True)


EIGHT = """
import os, sys
from pathlib import Path
from rsm import tracking
import mlflow.store.tracking.sqlalchemy_store, mlflow.tracking
folders = [Path(name) for name in sys.argv[1:]]
children = []
for folder in folders:
    child = os.fork()
    if not child:
        code = 1
        try:
            tracking.publish(folder, "tiny")
            code = 0
        finally:
            os._exit(code)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(any(codes))
"""


def test_eight_publishers_at_once_on_a_store_that_is_not_there_yet_lose_nothing() -> None:
    folders = [write_run(RunConfig(seed=seed)) for seed in range(8)]
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, *map(str, folders)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert_whole(published(), folders)
    assert len({run.data.tags["mlflow.parentRunId"] for run in published().values()}) == 1


@pytest.mark.slow
def test_server_killed_in_mid_publish(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = [write_run(RunConfig(seed=seed)) for seed in range(3)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = tmp_path / "server.db"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--no-serve-artifacts", "--default-artifact-root", (tmp_path / "kept").as_uri()]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=quiet, start_new_session=True
        )
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        deadline = time.monotonic() + 600  # only for one that hangs
        while server.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60)
                break
            except OSError:
                time.sleep(0.2)
        tracking.publish(folders[0], STUDY)
        real = MlflowClient.log_batch

        def after_the_kill(*arguments: object, **options: object) -> object:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_batch", after_the_kill)
            line = one_line(["publish", str(folders[1]), "--study", STUDY], capsys)
        assert "127.0.0.1" in line
        # Down altogether: still one line.
        assert main(["publish", str(folders[2]), "--study", STUDY]) in (1, 2)
        (line,) = capsys.readouterr().err.splitlines()
        assert "does not answer" in line
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    # The same store by its file, as the server would find it when it is started again.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    tracking.sync(STUDY)
    assert_whole(published(store="server.db"), folders, "server.db")


def test_run_that_failed_before_its_first_episode_ended_is_published_as_failed(
    tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsm.sac.learner import Learner
    from rsm.training.run import train

    real, count = Learner.update, 0

    def breaks(self: Learner, *arguments: object) -> object:
        nonlocal count
        count += 1
        if count == 10:  # after a round, in the middle of the first episode that updates
            self.critics[3] = float("nan")
        return real(self, *arguments)

    monkeypatch.setattr(Learner, "update", breaks)
    config = tiny(sac={"learning_starts": 5})
    folder = Path("results", STUDY, "runs", config.run_id)
    content = train(config, folder)
    assert content["status"] == "failed"
    assert len(pd.read_parquet(folder / "rounds.parquet")) > 0
    assert not len(pd.read_parquet(folder / "episodes.parquet"))
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    assert run.info.status == "FAILED"
    assert_whole(published(), [folder])


@pytest.mark.parametrize("study", ["../up", "/tmp/x", "", ".", "a/b", "UP", "x' or '1'='1", "é"])
def test_name_of_a_study_cannot_leave_the_folder_of_the_store(study: str) -> None:
    folder = write_run(RunConfig())
    before = sorted(str(path) for path in Path.cwd().rglob("*"))
    for publish in (lambda: tracking.publish(folder, study), lambda: tracking.create_store(study)):
        with pytest.raises(ConfigError, match="--study: .* is not allowed"):
            publish()
    assert sorted(str(path) for path in Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("key", ["run_id", "configuration"])
@pytest.mark.parametrize("name", ["x' or tags.kind = 'configuration", "../../up", "", None, ["a"]])
def test_names_in_the_summary_of_a_stranger_are_not_used_in_queries(key: str, name: object) -> None:
    import json

    folder = write_run(RunConfig())
    content = json.loads((folder / "summary.json").read_text()) | {key: name}
    (folder / "summary.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=f"summary.json: {key}: .* is not allowed"):
        tracking.publish(folder, STUDY)
    assert not Path(STORE).exists()


@pytest.mark.parametrize("moment", ["yesterday", 5])
def test_time_that_is_none_is_named_and_keeps_no_other_run_out(moment: object, capsys) -> None:
    import json

    folders = [write_run(RunConfig(seed=seed)) for seed in (0, 1)]
    file = folders[0] / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"started": moment}))
    with pytest.raises(ConfigError, match=f"{folders[0].name}: cannot be read: "):
        tracking.publish(folders[0], STUDY)
    with pytest.raises(RunError, match="1 of 2 finished runs are in the MLflow store"):
        tracking.sync(STUDY)
    assert list(published()) == [folders[1].name]


def test_link_in_a_run_folder_is_not_published(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    folder = write_run(RunConfig())
    (folder / "policy.safetensors").unlink()
    (folder / "policy.safetensors").symlink_to(secret)
    with pytest.raises(ConfigError, match=r"policy\.safetensors: is not allowed: it is a link"):
        tracking.publish(folder, STUDY)
    pictures = tmp_path / "results" / STUDY / "figures"
    pictures.mkdir(parents=True)
    (pictures / "zeta.png").symlink_to(secret)
    with pytest.raises(ConfigError, match=r"zeta\.png: is not allowed: it is a link"):
        tracking.publish_results(STUDY, pictures.parent)


def test_folder_that_cannot_be_read_does_not_keep_the_others_from_the_store() -> None:
    folders = [write_run(RunConfig(seed=seed)) for seed in range(3)]
    (folders[1] / "rounds.parquet").write_bytes(b"not parquet")
    with pytest.raises(RunError, match="2 of 3 finished runs are in the MLflow store; .*seed1"):
        tracking.sync(STUDY)
    assert_whole(published(), [folders[0], folders[2]])


@pytest.mark.slow
def test_study_is_trained_drawn_and_reported_though_the_store_fails(stand_in: Workflow) -> None:  # noqa: F811
    entry = stand_in.folder / "rsm" / "__main__.py"
    failing = "options = parser.parse_args()\nif options.command == 'store': sys.exit(1)\n"
    entry.write_text(entry.read_text().replace("options = parser.parse_args()\n", failing))
    study = ["--config", "study=ci", "name=small", "seeds=[0]", "grid={methods: [human]}"]
    done = stand_in.snakemake("--cores", "2", *study)
    assert done.returncode != 0, "publishing failed, and Snakemake says so"
    made = {line.split()[0] for line in calls(stand_in)}
    assert {"train", "tables", "figures"} <= made and "publish" not in made
    results = stand_in.folder / "results/small"
    assert (results / "figures/zeta.png").is_file() and (results / "tables/main.csv").is_file()
    assert (results / "report.html").is_file()
    entry.write_text(entry.read_text().replace(failing, "options = parser.parse_args()\n"))
    done = stand_in.snakemake("--cores", "2", *study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {re.split(" ", line)[0] for line in calls(stand_in)} <= {
        *("store", "publish", "publish-results")
    }, "nothing is trained or drawn again"
