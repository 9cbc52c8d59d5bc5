"""Addresses of pages in MLflow, which without them opens a page for language models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from rsm.errors import ConfigError
from rsm.runs.files import parse_json
from rsm.tracking import locations
from rsm.tracking.store import OURS, experiments, failures_named, ours, tracking_uri

HOST, PORT = "127.0.0.1", 5000  # where `rsm ui` shows a store that has no server


def runs_page(experiment: str) -> str:
    """The table of the runs of an experiment (an id), as of MLflow 3.17."""
    parts = urlsplit(tracking_uri())
    server = f"http://{HOST}:{PORT}"
    if parts.scheme in ("http", "https"):
        place = parts.netloc.rpartition("@")[2]  # the rest may hold a password
        server = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
    return f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def published_page(receipts: Path) -> str | None:
    """The page of the runs that a receipt of `rsm publish` is of; None where no receipt can be read."""
    for file in sorted(receipts.glob("runs-*.json")):
        try:
            receipt = parse_json(file.read_text(encoding="utf-8"))
            return runs_page(str(receipt["runs"][0]["experiment_id"]))
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return None


def show() -> None:
    """Print the page of every study, and become MLflow's UI where the store has no server of its own.

    Beside it `rsm sync --live` brings the runs under way.

    Raises ConfigError where there is no store yet, RunError where it does not answer.
    """
    if ours() and not OURS.is_file():
        raise ConfigError(
            f"ui: {OURS} is not there yet: run `make reproduce` first, in the checkout"
        )
    with failures_named("`rsm sync --study NAME` makes a new store"):
        if ours():
            locations.repair(OURS)
        found = experiments()
    for study, experiment in found.items():
        if study != "Default":
            print(f"{study}: {runs_page(experiment)}", flush=True)
    uri = tracking_uri()
    if urlsplit(uri).scheme in ("http", "https"):
        return
    # In the environment: the address may hold a password, and others can read our arguments.
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": uri}
    environment.pop("MLFLOW_TRACKING_URI", None)
    # Seven processes that evaluate language models, of which there are none here.
    environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # MLflow's own affair, said by each of its processes.
    environment.setdefault("PYTHONWARNINGS", "ignore:starlette.middleware.wsgi is deprecated")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(PORT)]
    # Runs under way are shown as long as this process, which the page becomes, lives.
    live = [sys.executable, "-m", "rsm", "sync", "--live", "--pid", str(os.getpid())]
    subprocess.Popen(live, stdin=subprocess.DEVNULL)
    os.execve(sys.executable, command, environment)
