"""MLflow: the numbers of finished run folders, for browsing.

A run folder is the source of truth. Publishing copies it into a store, whole and idempotently: a run
that is there with the same content is left alone, one that is there in part or with other content is
replaced. The default store is SQLite below `results/mlflow/`; MLFLOW_TRACKING_URI names a server.

An experiment per study. Its runs have the tag `kind`: `seed` for a run folder, `cell` for the parent of
the seeds of a cell, made anew whenever a seed changes, and `results` for the figures and tables.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd
import yaml

from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.records import TABLES
from rsm.tracking import views
from rsm.tracking.content import (
    OF_A_CELL,
    PREVIEWS,
    TAGS,
    Point,
    cell_metrics,
    cell_note,
    metrics,
    parameters,
    seed_note,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STORE = Path("results/mlflow")
LAYOUT = 3  # of what is published of a folder; raise it, and the next publish replaces older runs
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
FILES = (
    "config.yaml",
    "manifest.json",
    *(f"{table}.parquet" for table in TABLES),
    "summary.json",
    "policy.safetensors",
)
RESULTS = ("figures", "tables")  # folders of a study
# Names from files and command lines end up in paths and in queries of the store.
STUDY_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
RUN_NAME = re.compile("[a-z0-9][a-z0-9.+-]{0,199}")
NOTE = "mlflow.note.content"  # what the UI shows as the description
PARENT = "mlflow.parentRunId"
SOURCE = {"mlflow.source.name": "rsm", "mlflow.source.type": "LOCAL"}
RESULTS_NOTE = (
    "Figures (the PNG opens under *Artifacts*; PDF, and the data as CSV, beside it) and tables (start "
    "with `tables/main.html`) over all runs of the study."
)
METRICS_PER_CALL = 1000  # limits of MLflow's API
PARAMS_PER_CALL = 100


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
    with _store(study):
        client = _client()
        experiment = _experiment(client, study)
        known = client.get_experiment(experiment).tags
        # A note may have been edited since; the views are ours.
        note = {} if NOTE in known else {NOTE: f"{views.HELP}\n\n{description}".strip()}
        for key, value in (note | views.tags()).items():
            if known.get(key) != value:
                client.set_experiment_tag(experiment, key, value)
        return experiment


def experiments() -> list[str]:
    """The names of the experiments in the store."""
    return sorted(str(found.name) for found in _client().search_experiments())


def publish(run_dir: Path, study: str) -> dict[str, Any]:
    """Publish a finished run folder; returns a receipt of what the store now holds.

    Raises ConfigError where the folder does not hold a finished run, RunError where the store fails: what
    it holds of the run by then is unfinished there, and replaced at the next attempt.
    """
    receipt = _publish(run_dir, study)
    with _store(study):
        client = _client()
        _sum_up(client, receipt["experiment_id"], _summary(run_dir)["cell"])
    return receipt


def publish_results(study: str, results: Path) -> dict[str, Any]:
    """Publish the figures and tables of a study as one run, the former one replaced; returns a receipt.

    Raises ConfigError where the study has neither yet.
    """
    files = _plain(sorted(file for name in RESULTS for file in (results / name).glob("*.*")))
    if not files:
        raise ConfigError(f"study: {shown(study)}: {results} holds no figures or tables yet")
    content = _digest(files)
    with _store(study):
        client = _client()
        experiment = _experiment(client, study)
        condition = "tags.kind = 'results'"
        number = _kept(client, _find(client, experiment, condition), content)
        if number is None:
            tags = {"kind": "results", "content": content, NOTE: RESULTS_NOTE} | SOURCE
            drawn = int(max(file.stat().st_mtime for file in files) * 1000)
            run = client.create_run(
                experiment, start_time=drawn, tags=tags, run_name="figures and tables"
            )
            number = run.info.run_id
            for file in files:
                client.log_artifact(number, str(file), artifact_path=file.parent.name)
            client.set_terminated(number, status="FINISHED", end_time=drawn)
            number = _only(client, _find(client, experiment, condition), content) or number
    return {"study": study, "files": len(files), "content": content, "mlflow_run_id": number}


def sync(study: str, description: str = "") -> str:
    """Publish every finished run folder of `study`: rebuilds a store that was wiped.

    Returns a line on what was done. Raises ConfigError where the study has no finished run, RunError where
    the store fails and, after all others are published, where a folder cannot be read.
    """
    folders = sorted(file.parent for file in Path("results", study, "runs").glob("*/summary.json"))
    if not folders:
        raise ConfigError(f"study: {shown(study)}: results/{study}/runs holds no finished run")
    experiment = create_store(study, description)
    unreadable, cells = [], set()
    for folder in folders:
        try:
            _publish(folder, study)
            cells.add(_summary(folder)["cell"])
        except ConfigError as error:
            unreadable.append(str(error))
    for cell in sorted(cells):
        with _store(study):
            _sum_up(_client(), experiment, cell)
    if unreadable:
        raise RunError(
            f"{len(folders) - len(unreadable)} of {len(folders)} finished runs are in the MLflow store; "
            f"{unreadable[0]}"
        )
    results = folders[0].parent.parent
    if any((results / name).is_dir() for name in RESULTS):
        publish_results(study, results)
    return f"{len(folders)} finished runs are in the MLflow store"


def content_hash(run_dir: Path) -> str:
    """Sixteen hex digits of the published files of a run folder: same files, same hash."""
    return _digest(_files(run_dir))


def _publish(run_dir: Path, study: str) -> dict[str, Any]:
    """Publish a run folder; its cell is not summed up."""
    summary, manifest = _summary(run_dir), _read(run_dir, "manifest.json")
    content = content_hash(run_dir)
    try:
        settings, points = parameters(run_dir), metrics(run_dir)
    except (OSError, ValueError, LookupError, AttributeError, yaml.YAMLError) as error:
        reason = one_line(str(error).partition("\n")[0])
        raise ConfigError(f"{run_dir}: cannot be read: {reason}") from None
    with _store(study):
        client = _client()
        experiment = _experiment(client, study)
        condition = f"tags.run_id = '{summary['run_id']}'"
        number = _kept(client, _find(client, experiment, condition), content)
        if number is None:
            facts = (summary, manifest, content)
            number = _create(client, experiment, *facts, settings, points, run_dir)
            number = _only(client, _find(client, experiment, condition), content) or number
    return {
        "study": study,
        "run_id": summary["run_id"],
        "settings_hash": summary["settings_hash"],
        "content": content,
        "experiment_id": experiment,
        "mlflow_run_id": number,
    }


def _cell_settings(settings: dict[str, str]) -> str:
    """Twelve hex digits of the settings without the seed: what the seeds of a cell have in common."""
    shared = {key: value for key, value in settings.items() if key != "seed"}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"layout {LAYOUT}".encode())
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _create(
    client: MlflowClient,
    experiment: str,
    summary: dict[str, Any],
    manifest: dict[str, Any],
    content: str,
    settings: dict[str, str],
    points: list[Point],
    run_dir: Path,
) -> str:
    """Publish a run that is not there; its status stays RUNNING until all of it is."""
    start, end = (_milliseconds(manifest.get(key)) for key in ("started", "ended"))
    tags = {key: str(summary[key]) for key in TAGS if summary.get(key) is not None}
    tags |= {key: str(summary[key]) for key in ("run_id", "cell", "seed", "settings_hash")}
    commit = str(manifest.get("commit") or "unknown")
    tags |= {"kind": "seed", "commit": commit, "content": content, NOTE: seed_note(summary)}
    tags["cell_settings"] = _cell_settings(settings)
    tags |= SOURCE | {"mlflow.source.git.commit": commit}
    number: str = client.create_run(
        experiment, start_time=start, tags=tags, run_name=summary["run_id"]
    ).info.run_id
    _log(client, number, settings, points, end or 0)
    for file in _files(run_dir):
        client.log_artifact(number, str(file))
    with tempfile.TemporaryDirectory() as folder:
        for table in PREVIEWS:
            file = Path(folder, f"{table}.csv")
            pd.read_parquet(run_dir / f"{table}.parquet").to_csv(file, index=False)
            client.log_artifact(number, str(file), artifact_path="preview")
    status = "FAILED" if summary.get("status") == "failed" else "FINISHED"
    client.set_terminated(number, status=status, end_time=end)
    return number


def _log(
    client: MlflowClient, number: str, settings: dict[str, str], points: list[Point], when: int
) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(key, value) for key, value in settings.items()]
    for first in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(number, params=params[first : first + PARAMS_PER_CALL])
    values = [Metric(key, value, when, step) for key, step, value in points]
    for first in range(0, len(values), METRICS_PER_CALL):
        client.log_batch(number, metrics=values[first : first + METRICS_PER_CALL])


def _sum_up(client: MlflowClient, experiment: str, cell: str) -> None:
    """Give the published seeds of a cell a parent run that holds their numbers together.

    Seeds whose other settings differ, by an override or an older study of that name, do not belong
    together: each setting has a parent of its own, as long as it has seeds.
    """
    condition = f"tags.cell = '{cell}' and tags.kind = "
    together: dict[str, list[Run]] = {}
    for run in _find(client, experiment, condition + "'seed'"):
        if _whole(run):
            together.setdefault(run.data.tags["cell_settings"], []).append(run)
    parents: dict[str, list[Run]] = {}
    for run in _find(client, experiment, condition + "'cell'"):
        parents.setdefault(run.data.tags.get("cell_settings", ""), []).append(run)
    for settings in parents.keys() - together.keys():
        _kept(client, parents[settings], "")
    for settings, seeds in together.items():
        seeds.sort(key=lambda run: int(run.data.tags["seed"]))
        digest = hashlib.sha256(" ".join(run.data.tags["content"] for run in seeds).encode())
        content = digest.hexdigest()[:16]
        number = _kept(client, parents.get(settings, []), content)
        if number is None:
            number = _create_parent(client, experiment, cell, content, seeds)
            mine = f"{condition}'cell' and tags.cell_settings = '{settings}'"
            number = _only(client, _find(client, experiment, mine), content) or number
        for run in seeds:
            if run.data.tags.get(PARENT) != number:
                client.set_tag(run.info.run_id, PARENT, number)


def _create_parent(
    client: MlflowClient, experiment: str, cell: str, content: str, seeds: list[Run]
) -> str:
    finished = [run for run in seeds if run.info.status == "FINISHED"]
    curves = {
        key: [
            sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
            for run in finished
        ]
        for key in OF_A_CELL
    }
    points = cell_metrics([run.data.metrics for run in finished], curves)
    shared = set.intersection(*(set(run.data.params.items()) for run in seeds))
    ranked = [(run.data.tags["seed"], run.data.metrics) for run in finished]
    ranked.sort(key=lambda seed: -seed[1].get("final/return", float("-inf")))
    failed = [run.data.tags["seed"] for run in seeds if run not in finished]
    tags = {key: value for key, value in seeds[0].data.tags.items() if key in TAGS}
    tags |= {"kind": "cell", "cell": cell, "content": content, NOTE: cell_note(ranked, failed)}
    tags["cell_settings"] = seeds[0].data.tags["cell_settings"]
    tags |= {"seeds": " ".join(run.data.tags["seed"] for run in seeds)} | SOURCE
    if ranked:
        tags["best_seed"] = ranked[0][0]
    start = min(run.info.start_time for run in seeds)
    end = max(run.info.end_time for run in seeds)
    number: str = client.create_run(
        experiment, start_time=start, tags=tags, run_name=cell
    ).info.run_id
    _log(client, number, dict(sorted(shared)), points, end)
    client.set_terminated(number, status="FINISHED", end_time=end)
    return number


def _kept(client: MlflowClient, published: list[Run], content: str) -> str | None:
    """Delete all of these runs but one that is whole, with this content; its id, None if there is none."""
    complete = [run.info.run_id for run in published if _whole(run, content)]
    kept = min(complete, default=None)
    for run in published:
        if run.info.run_id != kept:
            client.delete_run(run.info.run_id)
    return kept


def _only(client: MlflowClient, published: list[Run], content: str) -> str | None:
    """The same after a run was published, for a server that others publish to at this moment.

    The lock is this checkout's. All of them keep the same one; what is under way is left to its owner.
    """
    return _kept(client, [run for run in published if _whole(run, content)], content)


def _whole(run: Run, content: str | None = None) -> bool:
    """Whether all of a run was published, and with this content if one is given."""
    whole = run.info.status in ("FINISHED", "FAILED")
    return whole and content in (None, run.data.tags.get("content"))


def _find(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    return list(client.search_runs([experiment], filter_string=condition))


def _client() -> MlflowClient:
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
    )  # `_store` says it in a line
    if uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///"))
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers (the UI) and a writer at once
    return MlflowClient(uri)


def _experiment(client: MlflowClient, study: str) -> str:
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
def _store(study: str) -> Iterator[None]:
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


def _files(run_dir: Path) -> list[Path]:
    return _plain([run_dir / name for name in FILES if (run_dir / name).is_file()])


def _plain(files: list[Path]) -> list[Path]:
    """The same files; raises ConfigError for a link: its target may be anything on this machine."""
    for file in files:
        if file.is_symlink():
            raise ConfigError(
                f"{file}: is not allowed: it is a link, a file of the run is expected"
            )
    return files


def _summary(run_dir: Path) -> dict[str, Any]:
    """The summary of a finished run; raises ConfigError for one whose names could be something else."""
    summary = _read(run_dir, "summary.json")
    for key in ("run_id", "cell"):
        if not RUN_NAME.fullmatch(str(summary.get(key))):
            raise ConfigError(
                f"{run_dir}: summary.json: {key}: {shown(summary.get(key))} is not allowed: "
                "the name of a run is expected"
            )
    if not {"seed", "settings_hash", "status"} <= set(summary):
        raise ConfigError(f"{run_dir}: summary.json: seed, settings_hash and status are expected")
    return summary


def _read(run_dir: Path, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((run_dir / name).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError
    except (OSError, ValueError, RecursionError):
        raise ConfigError(
            f"{run_dir}: {name}: cannot be read: a folder of a finished run is expected"
        ) from None
    return content


def _milliseconds(moment: str | None) -> int | None:
    """Milliseconds since 1970 of an ISO time; None where the manifest has none."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None
