"""A job that brings its own curves to an MLflow server while it trains (`tracking.live`).

A process of its own does so, `rsm sync --live --run`, which reads what the run writes anyway. So neither MLflow
nor a server that is slow, gone or wrong can touch the numbers of a run, its duration or its exit code.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rsm.config.run import RunConfig
from rsm.errors import ConfigError
from rsm.tracking.store import STUDY_NAME, serves

LEAVE_S = 5.0  # that it may take to end after the run


@contextlib.contextmanager
def logged_live(config: RunConfig, folder: Path) -> Iterator[None]:
    """Context of a run that logs itself; without `tracking.live` nothing happens.

    Where it cannot be, a line on standard error says why.
    """
    process = _started(config, folder) if config.tracking.live and config.learns else None
    try:
        yield
    finally:
        if process is not None:
            _end(process, config.run_id)


def _started(config: RunConfig, folder: Path) -> subprocess.Popen[str] | None:
    path = folder.absolute()
    study = path.parents[1].name if len(path.parents) > 3 else ""
    shape = (path.name, path.parents[0].name, path.parents[2].name) if study else ()
    try:
        if shape != (config.run_id, "runs", "results") or not STUDY_NAME.fullmatch(study):
            raise ConfigError("the run folder must be results/STUDY/runs/RUN_ID")
        if not serves():
            raise ConfigError("MLFLOW_TRACKING_URI names no server; `rsm sync --live` needs none")
        command = [sys.executable, "-m", "rsm", "sync", "--live", "--pid", str(os.getpid())]
        return subprocess.Popen(
            [*command, "--study", study, "--run", config.run_id],
            cwd=path.parents[3],
            env={"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
            | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    except (ConfigError, OSError) as error:
        print(f"{config.run_id}: tracking.live: {error}", file=sys.stderr, flush=True)
        return None


def _end(process: subprocess.Popen[str], run_id: str) -> None:
    """End it, and tell what it said last: it speaks where the server failed, and then once."""
    process.terminate()
    try:
        _, said = process.communicate(timeout=LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith("rsm: live: ")]
    if lines:
        print(
            f"{run_id}: tracking.live: {lines[-1].removeprefix('rsm: live: ')}",
            file=sys.stderr,
            flush=True,
        )
