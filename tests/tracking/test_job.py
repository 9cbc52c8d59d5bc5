"""A job that logs itself to a real MLflow server, which is killed while the run trains."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from rsm import tracking
from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig

from ..training.run_folders import tables
from .conftest import ROOT, STUDY

# After its second episode the run waits for the test; it has written its tables then.
PAUSED = """
import sys, time
from pathlib import Path
from rsm.cli.parser import main
from rsm.runs import live
from rsm.training.loop import Training
live.TABLES_EVERY_S, live.COST = 0.0, 1.0
train_episode = Training.train_episode
def paused(run):
    while run.episode == 2 and not Path("go").exists():
        time.sleep(0.1)
    return train_episode(run)
Training.train_episode = paused
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server on a store that exists, and how to kill it."""
    store = f"sqlite:///{tmp_path}/server.db"
    MlflowClient(store).create_experiment("first")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--artifacts-destination", str(tmp_path / "artifacts")],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
    yield f"http://127.0.0.1:{port}", kill
    kill()


def until(there: Callable[[], object]) -> None:
    """Wait until it is there."""
    end = time.monotonic() + 400
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.5)


def arguments(config: RunConfig, place: str) -> tuple[list[str], Path]:
    """Of `rsm train`, and the folder that it writes."""
    file, folder = Path(f"{place}.yaml"), Path("results", place, "runs", config.run_id)
    file.write_text(dump_yaml(config))
    return ["train", "--config", str(file), "--out", str(folder)], folder


@pytest.mark.slow
def test_server_killed_while_a_job_logs_itself_costs_neither_a_bit_nor_the_exit_code(
    server: tuple[str, Callable[[], None]], tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    address, kill = server
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    plain, alone = arguments(tiny(), "alone")
    subprocess.run([sys.executable, "-m", "rsm", *plain], env=environment, check=True)
    logging, folder = arguments(tiny(tracking={"live": True}), STUDY)
    job = subprocess.Popen(
        [sys.executable, "-c", PAUSED, *logging],
        env=environment | {"MLFLOW_TRACKING_URI": address},
        stderr=subprocess.PIPE,
        text=True,
    )
    reader = MlflowClient(f"sqlite:///{tmp_path}/server.db")

    def under_way() -> bool:
        experiment = reader.get_experiment_by_name(STUDY)
        runs = reader.search_runs([experiment.experiment_id]) if experiment else []
        return any(run.data.metrics and run.info.status == "RUNNING" for run in runs)

    until(under_way)
    kill()
    Path("go").touch()
    _, said = job.communicate(timeout=300)
    assert job.returncode == 0, said
    for name, table in tables(alone).items():
        assert table.equals(tables(folder)[name]), name
    assert (alone / "policy.safetensors").read_bytes() == (
        folder / "policy.safetensors"
    ).read_bytes()
    tracking.publish(folder, STUDY)  # elsewhere: nothing of it is lost


def test_job_that_cannot_log_itself_says_why_and_trains(
    tiny: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    from rsm.tracking.job import logged_live

    config = tiny(tracking={"live": True})
    with logged_live(config, Path("results", STUDY, "runs", config.run_id)):
        pass
    assert "tracking.live: MLFLOW_TRACKING_URI names no server" in capsys.readouterr().err
    with logged_live(config, Path("elsewhere")):
        pass
    assert "must be results/STUDY/runs/RUN_ID" in capsys.readouterr().err
    assert config.settings_hash == tiny().settings_hash
