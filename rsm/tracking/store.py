"""The MLflow store: where it is, who may write now, and the experiment of a study."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.tracking import views

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("results/mlflow")
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
# Names from command lines end up in paths and in queries of the store.
STUDY_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
NOTE = "mlflow.note.content"  # what the UI shows as the description


def tracking_uri() -> str:
    """Where runs are published; raises ConfigError where MLFLOW_TRACKING_URI cannot be one."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return f"sqlite:///{(STORE / 'mlflow.db').absolute()}"
    try:
        parts = urlsplit(uri)
        scheme, host = parts.scheme.split("+")[0], parts.hostname
        _ = parts.port
    except ValueError:
        scheme, host = "", None
    path_is_enough = (
        scheme == "sqlite" and uri.startswith("sqlite:///") and uri[10:] not in ("", ":memory:")
    )
    if scheme not in SCHEMES or not (host or path_is_enough):
        raise ConfigError(
            f"environment: MLFLOW_TRACKING_URI: {shown(uri)} is not allowed: expected http(s)://HOST, "
            "sqlite:///FILE, or postgresql://HOST/DATABASE"
        )
    return uri


def create_store(study: str, description: str = "") -> str:
    """Create the store and the experiment of `study` if need be; returns the experiment's id."""
    with locked_store(study):
        client = client_of_store()
        experiment = experiment_of(client, study)
        known = client.get_experiment(experiment).tags
        # A note may have been edited since; the views are ours.
        note = {} if NOTE in known else {NOTE: f"{views.HELP}\n\n{description}".strip()}
        for key, value in (note | views.tags()).items():
            if known.get(key) != value:
                client.set_experiment_tag(experiment, key, value)
        return experiment


def experiments() -> list[str]:
    """The names of the experiments in the store."""
    return sorted(str(found.name) for found in client_of_store().search_experiments())


def client_of_store() -> MlflowClient:
    """A client of the store, which is created or brought up to date where it is ours."""
    uri = tracking_uri()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(
        logging.CRITICAL
    )  # `locked_store` says it in a line
    if uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///").partition("?")[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers (the UI) and a writer at once
    return MlflowClient(uri)


def experiment_of(client: MlflowClient, study: str) -> str:
    """The experiment of a study, created if need be; raises ConfigError where no store answers."""
    from mlflow.exceptions import MlflowException

    try:
        known = client.get_experiment_by_name(study)
    except MlflowException:
        host = urlsplit(tracking_uri()).hostname or tracking_uri()  # the rest may hold a password
        raise ConfigError(
            f"environment: MLFLOW_TRACKING_URI: {host} does not answer as an MLflow store"
        ) from None
    if known is not None and known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    if known is not None:
        return str(known.experiment_id)
    # A server keeps artifacts where it was told to; a bare database has to be told here.
    served = tracking_uri().startswith("http")
    location = None if served else (STORE / "artifacts" / study).absolute().as_uri()
    kind = {"mlflow.experimentKind": "custom_model_development"}  # which pages the UI offers
    tags = kind | views.tags()
    return str(client.create_experiment(study, artifact_location=location, tags=tags))


@contextlib.contextmanager
def locked_store(study: str) -> Iterator[None]:
    """Hold the lock that makes publishing one at a time, across processes, and name what fails there.

    Raises RunError in place of whatever a database, a server or a disk can answer, and ConfigError for a
    study whose name would leave the folders of its experiment.
    """
    uri = tracking_uri()  # a mistake there leaves nothing behind
    if not STUDY_NAME.fullmatch(study):
        raise ConfigError(
            f"--study: {shown(study)} is not allowed: lower-case letters, digits and hyphens are expected"
        )
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        STORE.mkdir(parents=True, exist_ok=True)
        with (STORE / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except (OSError, sqlite3.Error, MlflowException, SQLAlchemyError, ImportError) as error:
        where = urlsplit(uri).hostname or uri  # the rest may hold a password
        told = re.split(r"\n\[SQL|\n\(Background", str(error))[0]
        reason = one_line(" ".join(told.split()))[:300] or type(error).__name__
        raise RunError(
            f"MLflow store {where}: {reason}; the run folders hold everything: "
            f"`rsm sync --study {study}` brings them over once the store works"
        ) from None
