"""The MLflow store: its address, its lock, and the experiment of a study."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.tracking import locations, views

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("results/mlflow")
OURS = STORE / "mlflow.db"
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
# Names from command lines end up in paths and in queries of the store.
STUDY_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
# What flock answers where the file system has none, as Lustre without the mount option `flock`.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
NOTE = "mlflow.note.content"  # what the UI shows as the description


def ours() -> bool:
    """Whether the store is that of this checkout, and not one that MLFLOW_TRACKING_URI names."""
    return not os.environ.get("MLFLOW_TRACKING_URI", "").strip()


def tracking_uri() -> str:
    """Where runs are published; raises ConfigError where MLFLOW_TRACKING_URI cannot be one."""
    if ours():
        # In the address of a database "?" begins options and cannot be escaped: below a folder with one in its
        # name the relative path is used.
        return f"sqlite:///{OURS if '?' in str(OURS.absolute()) else OURS.absolute()}"
    uri = os.environ["MLFLOW_TRACKING_URI"].strip()
    try:
        parts = urlsplit(uri)
        scheme, host = parts.scheme.split("+")[0], parts.hostname
        _ = parts.port
    except ValueError:
        scheme, host = "", None
    file, mark, options = uri.removeprefix("sqlite:///").partition("?")
    path_is_enough = (
        scheme == "sqlite" and uri.startswith("sqlite:///") and file not in ("", ":memory:")
    )
    if path_is_enough and mark and not all("=" in option for option in options.split("&")):
        raise ConfigError(
            f"environment: MLFLOW_TRACKING_URI: {shown(uri)} is not allowed: '?' begins options there "
            "(sqlite:///FILE?timeout=30), so that it cannot be in the name of a folder or file"
        )
    if scheme not in SCHEMES or not (host or path_is_enough):
        raise ConfigError(
            f"environment: MLFLOW_TRACKING_URI: {shown(uri)} is not allowed: expected http(s)://HOST, "
            "sqlite:///FILE, or postgresql://HOST/DATABASE"
        )
    return uri


def serves() -> bool:
    """Whether the store is a server, which keeps artifacts itself and takes many writers at once."""
    return tracking_uri().startswith("http")


def database_file() -> Path | None:
    """The file of the store where it is SQLite, else None."""
    if ours():
        return OURS
    uri = tracking_uri()
    sqlite = uri.startswith("sqlite:///")
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if sqlite else None


def create_store(study: str, description: str = "", axes: Sequence[str] = views.AXES) -> str:
    """Create the store and the experiment of `study` if need be; returns the experiment's id.

    `axes` are the tags by which its runs differ, which its views show.
    """
    with locked_store(study):
        client = client_of_store()
        experiment = experiment_of(client, study)
        known = client.get_experiment(experiment).tags
        # A note may have been edited since; the views are ours.
        note = {} if NOTE in known else {NOTE: f"{views.HELP} {description}".strip()}
        for key, value in (note | views.tags(axes)).items():
            if known.get(key) != value:
                client.set_experiment_tag(experiment, key, value)
        return experiment


def experiments() -> dict[str, str]:
    """The experiments in the store: name to id, sorted by name."""
    found = client_of_store().search_experiments()
    return dict(sorted((str(known.name), str(known.experiment_id)) for known in found))


def client_of_store() -> MlflowClient:
    """A client of the store, which is created or brought up to date where it is ours."""
    uri = tracking_uri()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    # `locked_store` reports its errors in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    file = database_file()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers (the UI) and a writer at once
    return MlflowClient(uri)


def experiment_of(client: MlflowClient, study: str) -> str:
    """The id of the experiment of a study, which is created if need be."""
    known = client.get_experiment_by_name(study)
    if known is not None and known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    if known is not None:
        return str(known.experiment_id)
    # A server knows its own place for artifacts; for a bare database it is given here: beside the file,
    # so that checkouts which share a database do not depend on each other.
    file = database_file() or OURS
    location = None if serves() else (file.parent / "artifacts" / study).absolute().as_uri()
    kind = {"mlflow.experimentKind": "custom_model_development"}  # which pages the UI offers
    tags = kind | views.tags()
    return str(client.create_experiment(study, artifact_location=location, tags=tags))


@contextlib.contextmanager
def locked_store(study: str) -> Iterator[None]:
    """Hold the lock that makes publishing one at a time, across processes, and name what fails there.

    Raises RunError in place of whatever a database, a server or a disk can answer, and ConfigError for a
    study whose name would leave the folders of its experiment, and in a folder that is no checkout.
    """
    tracking_uri()  # checked first, so that a mistake there leaves nothing behind
    if not STUDY_NAME.fullmatch(study):
        raise ConfigError(
            f"--study: {shown(study)} is not allowed: lower-case letters, digits and hyphens are expected"
        )
    if ours() and not (STORE.parent.is_dir() or Path("Snakefile").is_file()):
        raise ConfigError(
            f"{one_line(Path.cwd())}: has no results/ and no Snakefile: go to the checkout, where the MLflow "
            "store is, or name one by MLFLOW_TRACKING_URI"
        )
    with (
        failures_named(f"`rsm sync --study {study}` publishes them once the store works"),
        _lock(),
    ):
        if ours():
            locations.repair(OURS)
        yield


@contextlib.contextmanager
def failures_named(advice: str) -> Iterator[None]:
    """Raise RunError, one line without a password, for any failure of a store."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OSError, sqlite3.Error, MlflowException, SQLAlchemyError, ImportError) as error:
        uri = tracking_uri()
        where = urlsplit(uri).hostname or uri  # the rest may hold a password
        raise RunError(
            f"MLflow store {one_line(where)}: {unanswered(error)}; the run folders hold everything: {advice}"
        ) from None


def unanswered(error: Exception) -> str:
    """What a database, a server or a disk answered, in a line without addresses that hold a password."""
    told = re.split(r"\n\[SQL|\n\(Background", str(error))[0]
    told = re.sub(r"//[^/@\s]*@", "//", " ".join(told.split()))
    if refused := re.search(r"failed with error code (\d{3})\b.*?(?:Response body: (.*))?$", told):
        body = re.sub(r"<[^>]*>|['\"]", " ", refused[2] or "")
        told = f"it answers with status {refused[1]}: {' '.join(body.split())}".removesuffix(": ")
    elif "failed with exception" in told:
        cause = re.search(r"\[Errno -?\d+\] ([^'\")]*)", told)
        told = f"it does not answer ({cause[1] if cause else told.rpartition('exception ')[2]})"
    return one_line(told)[:300] or type(error).__name__


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock of this checkout.

    Without it two publishers still leave no duplicates (`keep_first`), and a database has locks of its own. So
    publishing continues on a file system without locks. Raises OSError where our store cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            if ours() or STORE.parent.is_dir():
                STORE.mkdir(parents=True, exist_ok=True)
                fcntl.flock(held.enter_context((STORE / "lock").open("w")), fcntl.LOCK_EX)
        except OSError as error:
            if ours() and error.errno not in NO_LOCKS:
                raise
        yield
