"""An MLflow server with PostgreSQL, used by MLFLOW_TRACKING_URI alone; both run on loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from rsm.cli.parser import main
from rsm.config.run import POLICY, RunConfig
from rsm.tracking.folders import FILES
from rsm.tracking.models import models_of
from rsm.training.run import train

from ..stores import copied_stores  # noqa: F401
from ..tracking.conftest import (  # noqa: F401 (the fixture that gives each test a folder of its own)
    STORE,
    STUDY,
    _in_a_folder_of_its_own,
    configuration_of,
    everything,
    published,
    reader,
    write_run,
)
from .conftest import ROOT
from .test_store import assert_whole

NAME = "server.example"  # what the recipe calls SERVER

pytestmark = pytest.mark.slow


def binaries() -> Path:
    """Where PostgreSQL's programs are, the newest; skips where they are not, unless they have to be."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: float(file.parts[-3])
    )
    if found:
        return found[-1].parent
    if os.environ.get("RSM_POSTGRESQL") == "required":
        pytest.fail("RSM_POSTGRESQL=required, and PostgreSQL is not installed")
    pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(ready: Callable[[], object], process: subprocess.Popen, log: Path) -> None:
    """Ask until it answers; fails with the log of a process that ended, or did not answer in time."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, psycopg2.OperationalError):
            ready()
            return
        time.sleep(0.2)
    pytest.fail(f"it does not answer:\n{log.read_text()[-3000:]}")


@contextlib.contextmanager
def running(process: subprocess.Popen, stop: signal.Signals) -> Iterator[None]:
    """End a process and its children with the block."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, stop)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a PostgreSQL of its own; it listens on loopback only and asks for a password."""
    programs = binaries()
    # Not below pytest's folder: PostgreSQL refuses root, and nobody else may look in there.
    folder = Path(tempfile.mkdtemp(prefix="rsm-postgresql-"))
    user: dict[str, object] = {}
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    password, port, data = secrets.token_hex(16), free_port(), folder / "data"
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    try:
        make = [programs / "initdb", "-D", data, "-U", "rsm", "--auth", "scram-sha-256"]
        make += ["--pwfile", folder / "password", "--no-sync", "--locale", "C", "-E", "UTF8"]
        done = subprocess.run(make, cwd=folder, capture_output=True, text=True, **user)
        assert done.returncode == 0, done.stderr
        (folder / "password").unlink()
        command = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port)]
        command += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
        log = folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command, cwd=folder, stdout=file, stderr=file, start_new_session=True, **user
            )
        with running(process, signal.SIGINT):
            place = f"127.0.0.1:{port}/postgres"
            wait_for(
                lambda: psycopg2.connect(f"postgresql://rsm:{password}@{place}").close(),
                process,
                log,
            )
            yield f"postgresql+psycopg2://rsm:{password}@{place}"
    finally:
        shutil.rmtree(folder)


def recipe(port: int, artifacts: Path) -> tuple[str, list[str]]:
    """The variable with the database, and the command, of the page; for this port, folder and NAME."""
    page = (ROOT / "docs/how-to/mlflow.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```\n(MLFLOW_BACKEND_STORE_URI=.*?)```", page, re.DOTALL)
    for word, ours in (("5000", str(port)), ("SERVER", NAME), ("FOLDER", artifacts.as_uri())):
        block = block.replace(word, ours)
    setting, program, *words = shlex.split(block.replace("\\\n", " "))
    assert program == "mlflow"
    return setting.partition("=")[0], [sys.executable, "-m", "mlflow", *words, "--workers", "2"]


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server as docs/how-to/mlflow.md says to start one."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    variable, command = recipe(port, folder / "artifacts")
    environment = os.environ | {variable: database, "DO_NOT_TRACK": "1"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=file, env=environment, start_new_session=True
        )
    with running(process, signal.SIGKILL):  # a normal stop would wait for half a minute
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: urllib.request.urlopen(f"{address}/health", timeout=2), process, log)
        yield address


@pytest.fixture(autouse=True)
def _with_the_study_beside_its_runs(_in_a_folder_of_its_own: None) -> None:  # noqa: F811
    file = Path("results", STUDY, "study.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(
        f"{{name: {STUDY}, description: A study., seeds: [0, 1], grid: {{methods: [rsm, human]}}}}"
    )


def start(address: str, *arguments: object, folder: Path | None = None) -> subprocess.Popen:
    """Start `rsm <arguments>` with nothing but the address."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": address}
    return subprocess.Popen(
        [sys.executable, "-m", "rsm", *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(address: str, *arguments: object) -> None:
    """Run `rsm <arguments>` to its end, in this process: starting one takes longer than most commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        assert main([str(word) for word in arguments]) == 0


@pytest.mark.parametrize("origin", [None, "http://{}"], ids=["rsm", "a browser"])
def test_server_of_the_recipe_answers_by_its_name_and_by_no_other(
    server: str, origin: str | None
) -> None:
    port = server.rpartition(":")[2]

    def status(name: str) -> int:
        headers = {"Host": f"{name}:{port}", "Content-Type": "application/json"}
        if origin is not None:
            headers["Origin"] = origin.format(headers["Host"])
        asked = urllib.request.Request(
            f"{server}/api/2.0/mlflow/experiments/search", b'{"max_results": 5}', headers
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return int(refusal.code)

    assert status(NAME) == 200
    assert status("other.example") == 403


def test_real_runs_are_on_the_server_as_in_their_folders_and_as_in_sqlite(
    server: str, tiny, tmp_path: Path
) -> None:
    folders = []
    for config in (tiny(seed=0), tiny(seed=1), tiny(method="human")):
        folders.append(Path("results", STUDY, "runs", config.run_id))
        train(config, folders[-1])
    for name in ("figures/zeta.png", "figures/zeta.csv", "tables/main.html"):
        file = Path("results", STUDY, name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    # As Snakemake calls them; the last in the order that a cluster may happen to take.
    run(server, "store", "--study", f"results/{STUDY}/study.yaml")
    for folder in (folders[2], folders[1], folders[0]):
        run(server, "publish", folder, "--study", STUDY)
    run(server, "publish-results", "--study", f"results/{STUDY}/study.yaml")
    assert not Path(STORE).exists(), "nothing went to the store of this checkout"

    runs = published(store=server)
    assert_whole(runs, folders, server)
    client = reader(server)
    for folder in folders:
        kept = client.download_artifacts(
            runs[folder.name].info.run_id, "", str(tmp_path / folder.name)
        )
        files = [file for file in folder.iterdir() if file.name in FILES and file.name != POLICY]
        assert len(files) >= 7
        for file in files:
            assert Path(kept, file.name).read_bytes() == file.read_bytes(), file.name
        models = models_of(runs[folder.name])
        assert len(models) == (folder / POLICY).is_file()
        for model in models:
            place = client.get_logged_model(model).artifact_location
            kept = get_artifact_repository(place, server).download_artifacts(POLICY, str(tmp_path))
            assert Path(kept).read_bytes() == (folder / POLICY).read_bytes()
    of_the_server = everything(server)

    assert main(["sync", "--study", STUDY]) == 0
    assert everything() == of_the_server
    run(server, "sync", "--study", STUDY)
    assert everything(server) == of_the_server, "published again, nothing is there twice"
    assert {run.info.run_id for run in published(store=server).values()} == {
        run.info.run_id for run in runs.values()
    }


def test_publishers_at_once_in_two_checkouts_leave_one_of_everything(
    server: str, tmp_path: Path
) -> None:
    folders = [write_run(RunConfig(method="average", seed=seed)) for seed in range(2)]
    other = tmp_path / "other"
    shutil.copytree("results", other / "results")
    # Two of them share the lock of a checkout, the other two that of the other.
    both = [
        start(server, "publish", folder, "--study", "at-once", folder=place)
        for place in (tmp_path, other)
        for folder in folders
    ]
    for process in both:
        _, complaints = process.communicate(timeout=300)
        # One that took over what another had under way leaves a line to that one.
        assert process.returncode in (0, 1) and len(complaints.splitlines()) <= 1, complaints
    for folder in folders:
        run(server, "publish", folder, "--study", "at-once")
    assert_whole(published("at-once", server), folders, server)
    parent = configuration_of("at-once", server).info.run_id
    below = {run.data.tags["mlflow.parentRunId"] for run in published("at-once", server).values()}
    assert below == {parent}


def test_address_of_the_database_itself_works_too(database: str) -> None:
    folder = write_run(RunConfig(method="fmarl"))
    run(database, "publish", folder, "--study", "direct")
    assert_whole(published("direct", database), [folder], database)
