"""MLflow: the numbers of finished run folders, for browsing.

A run folder is the source of truth. Publishing copies it into a store, whole and idempotently: a run
that is there with the same content is left alone, one that is there in part or with other content is
replaced. The default store is SQLite below `results/mlflow/`; MLFLOW_TRACKING_URI names a server.

Steps are simulation steps driven in training. What happens within an episode (rounds, judged
replicas) is summed up per episode and stands at the step at which the episode ended.
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
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pandas as pd
import yaml

from rsm.config import ConfigError, RunError, one_line, shown
from rsm.records import TABLES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STORE = Path("results/mlflow")
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
FILES = (
    "config.yaml",
    "manifest.json",
    *(f"{table}.parquet" for table in TABLES),
    "summary.json",
    "policy.safetensors",
)
RESULTS = ("figures", "tables")  # folders of a study
TAGS = ("method", "topology", "segments", "replicas", "constant", "share", "scenario")
FINAL = (
    "final_return",
    "final_return_stochastic",
    "final_mean_speed",
    "rounds",
    "messages",
    "bytes_sent",
    "payload_per_agent",
    "heaviest_share",
    "acceptance_rate",
    "zeta_mean",
    "collisions",
    "wall_s",
)
# Names from files and command lines end up in paths and in queries of the store.
STUDY_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
RUN_NAME = re.compile("[a-z0-9][a-z0-9.+-]{0,199}")
METRICS_PER_CALL = 1000  # limits of MLflow's API
PARAMS_PER_CALL = 100


class Point(NamedTuple):
    """One value of a metric; `step` counts simulation steps."""

    key: str
    step: int
    value: float


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


def create_store(study: str) -> str:
    """Create the store and the experiment of `study` if need be; returns the experiment's id."""
    with _store(study):
        return _experiment(_client(), study)


def experiments() -> list[str]:
    """The names of the experiments in the store."""
    return sorted(str(found.name) for found in _client().search_experiments())


def publish(run_dir: Path, study: str) -> dict[str, Any]:
    """Publish a finished run folder; returns a receipt of what the store now holds.

    Raises ConfigError where the folder does not hold a finished run, RunError where the store fails: what
    it holds of the run by then is unfinished there, and replaced at the next attempt.
    """
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
        published = _find(client, experiment, f"tags.run_id = '{summary['run_id']}'")
        number = _kept(client, published, content)
        if number is None:
            files = _files(run_dir)
            facts = (summary, manifest, content)
            number = _create(client, experiment, *facts, settings, points, files)
    return {
        "study": study,
        "run_id": summary["run_id"],
        "settings_hash": summary["settings_hash"],
        "content": content,
        "experiment_id": experiment,
        "mlflow_run_id": number,
    }


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
        published = _find(client, experiment, "tags.kind = 'results'")
        number = _kept(client, published, content)
        if number is None:
            tags = {"kind": "results", "content": content}
            run = client.create_run(experiment, tags=tags, run_name="figures and tables")
            number = run.info.run_id
            for file in files:
                client.log_artifact(number, str(file), artifact_path=file.parent.name)
            client.set_terminated(number, status="FINISHED")
    return {"study": study, "files": len(files), "content": content, "mlflow_run_id": number}


def sync(study: str) -> str:
    """Publish every finished run folder of `study`: rebuilds a store that was wiped.

    Returns a line on what was done. Raises ConfigError where the study has no finished run, RunError where
    the store fails and, after all others are published, where a folder cannot be read.
    """
    folders = sorted(file.parent for file in Path("results", study, "runs").glob("*/summary.json"))
    if not folders:
        raise ConfigError(f"study: {shown(study)}: results/{study}/runs holds no finished run")
    create_store(study)
    unreadable = []
    for folder in folders:
        try:
            publish(folder, study)
        except ConfigError as error:
            unreadable.append(str(error))
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


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def metrics(run_dir: Path) -> list[Point]:
    """Everything a run folder says that is drawn over training, and its final numbers."""
    table = {name: pd.read_parquet(run_dir / f"{name}.parquet") for name in TABLES}
    summary = _read(run_dir, "summary.json")
    points = [
        *_episodes(table["episodes"]),
        *_rounds(table["episodes"], table["rounds"], table["zeta"]),
        *_evaluations(table["evaluations"]),
    ]
    last = int(summary.get("env_steps") or 0)
    for key in FINAL:
        if summary.get(key) is not None:
            points.append(Point(f"final/{key.removeprefix('final_')}", last, float(summary[key])))
    return [point for point in points if pd.notna(point.value)]


def parameters(run_dir: Path) -> dict[str, str]:
    """The resolved settings with dotted keys, values as they stand in YAML."""

    def flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from flatten(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value if isinstance(value, str) else json.dumps(value)

    return dict(flatten(yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))))


def _episodes(episodes: pd.DataFrame) -> Iterator[Point]:
    columns = {
        "episode/return": "return",
        "episode/mean_speed": "mean_speed",
        "sac/critic_loss": "critic_loss",
        "sac/actor_loss": "actor_loss",
        "sac/alpha": "alpha",
        "sac/entropy": "entropy",
        "comm/bytes_sent": "bytes_sent",
    }
    for key, column in columns.items():
        yield from _points(key, episodes["env_steps"], episodes[column])


def _rounds(episodes: pd.DataFrame, rounds: pd.DataFrame, zeta: pd.DataFrame) -> Iterator[Point]:
    ends = episodes.set_index("episode")["env_steps"]
    # The episode in which a failed run stopped has rounds and no end.
    rounds = rounds[rounds["episode"].isin(ends.index)]
    zeta = zeta[zeta["round"].isin(rounds["round"])]
    totals = rounds.groupby("episode")[["messages", "judged", "accepted"]].sum()
    steps = ends.reindex(totals.index)
    yield from _points("comm/messages", steps, totals["messages"].cumsum())
    judged = totals[totals["judged"] > 0]
    rate = judged["accepted"] / judged["judged"]
    yield from _points("mixing/acceptance_rate", ends.reindex(judged.index), rate)
    accepted = zeta[zeta["outcome"] == "accepted"]
    episode = accepted["round"].map(rounds.set_index("round")["episode"])
    by_episode = accepted["zeta"].groupby(episode)
    for key, values in (
        ("mixing/zeta_mean", by_episode.mean()),
        ("mixing/zeta_p90", by_episode.quantile(0.9)),
    ):
        yield from _points(key, ends.reindex(values.index), values)


def _evaluations(evaluations: pd.DataFrame) -> Iterator[Point]:
    means = evaluations.groupby(["mode", "env_steps"])[["return", "mean_speed"]].mean()
    for key, mode, column in (
        ("eval/return", "deterministic", "return"),
        ("eval/return_stochastic", "stochastic", "return"),
        ("eval/mean_speed", "deterministic", "mean_speed"),
    ):
        if mode in means.index.get_level_values("mode"):
            values = means.xs(mode, level="mode")[column]
            yield from _points(key, values.index, values)


def _points(key: str, steps: Iterable[Any], values: Iterable[Any]) -> Iterator[Point]:
    for step, value in zip(steps, values, strict=True):
        yield Point(key, int(step), float(value))


def _create(
    client: MlflowClient,
    experiment: str,
    summary: dict[str, Any],
    manifest: dict[str, Any],
    content: str,
    settings: dict[str, str],
    points: list[Point],
    files: list[Path],
) -> str:
    """Publish a run that is not there; its status stays RUNNING until all of it is."""
    from mlflow.entities import Metric, Param

    start, end = (_milliseconds(manifest.get(key)) for key in ("started", "ended"))
    tags = {key: str(summary[key]) for key in TAGS if summary.get(key) is not None}
    tags |= {key: str(summary[key]) for key in ("run_id", "cell", "seed", "settings_hash")}
    tags |= {"commit": str(manifest.get("commit") or "unknown"), "content": content}
    tags["mlflow.parentRunId"] = _parent(client, experiment, summary, start)
    number: str = client.create_run(
        experiment, start_time=start, tags=tags, run_name=summary["run_id"]
    ).info.run_id
    params = [Param(key, value) for key, value in settings.items()]
    for first in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(number, params=params[first : first + PARAMS_PER_CALL])
    values = [Metric(key, value, end or 0, step) for key, step, value in points]
    for first in range(0, len(values), METRICS_PER_CALL):
        client.log_batch(number, metrics=values[first : first + METRICS_PER_CALL])
    for file in files:
        client.log_artifact(number, str(file))
    status = "FAILED" if summary.get("status") == "failed" else "FINISHED"
    client.set_terminated(number, status=status, end_time=end)
    return number


def _parent(
    client: MlflowClient, experiment: str, summary: dict[str, Any], start: int | None
) -> str:
    """The run that stands for a cell, the parent of its seeds; created by the first of them."""
    cell = summary["cell"]
    found = _find(client, experiment, f"tags.cell = '{cell}' and tags.kind = 'cell'")
    if found:
        return min(run.info.run_id for run in found)
    tags = {key: str(summary[key]) for key in TAGS if summary.get(key) is not None}
    tags |= {"kind": "cell", "cell": cell}
    run = client.create_run(experiment, start_time=start, tags=tags, run_name=cell)
    client.set_terminated(run.info.run_id, status="FINISHED", end_time=start)
    number: str = run.info.run_id
    return number


def _kept(client: MlflowClient, published: list[Run], content: str) -> str | None:
    """Delete every published run but one that is complete with this content; its id, None if there is none."""
    kept = next((run for run in published if _complete(run, content)), None)
    for run in published:
        if run is not kept:
            client.delete_run(run.info.run_id)
    return None if kept is None else str(kept.info.run_id)


def _complete(run: Run, content: str) -> bool:
    whole = run.info.status in ("FINISHED", "FAILED")
    return whole and run.data.tags.get("content") == content


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
    kind = {"mlflow.experimentKind": "custom_model_development"}  # which view the UI opens
    return str(client.create_experiment(study, artifact_location=location, tags=kind))


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
