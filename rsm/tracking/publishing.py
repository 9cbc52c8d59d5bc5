"""Publishing run folders, figures and tables to the store, completely and idempotently."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from rsm.config.run import POLICY, parse_run
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.tracking.configurations import sum_up
from rsm.tracking.content import (
    JUDGED,
    PREVIEWS,
    Point,
    metrics,
    parameters,
    read_settings,
    seed_note,
)
from rsm.tracking.datasets import HELD_OUT, datasets, inputs
from rsm.tracking.folders import (
    content_hash,
    digest_of,
    finished_summary,
    plain_files,
    published_files,
    read_json,
)
from rsm.tracking.models import has_model, log_model
from rsm.tracking.runs import SOURCE, find, is_whole, keep_first, keep_whole, log
from rsm.tracking.store import NOTE, client_of_store, create_store, experiment_of, locked_store
from rsm.tracking.tags import seed_tags
from rsm.tracking.views import AXES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RESULTS = ("figures", "tables")  # folders of a study
RESULTS_NOTE = (
    "Figures (the PNG opens under *Artifacts*; PDF, and the data as CSV, beside it) and tables (start "
    "with `tables/main.html`) over all runs of the study."
)


def publish(run_dir: Path, study: str) -> dict[str, Any]:
    """Publish a finished run folder; returns a receipt of what the store now holds.

    Raises as `publish_all` does.
    """
    [receipt] = publish_all([run_dir], study)
    return receipt


def publish_all(folders: Iterable[Path], study: str) -> list[dict[str, Any]]:
    """Publish finished run folders; returns a receipt for each of what the store now holds.

    Raises ConfigError for the first folder that does not hold a finished run, after the others are published,
    and RunError where the store fails: a run that is there in part then is replaced at the next attempt. Where
    another run of the same id was replaced, as that of another checkout, a line on standard error says so.
    """
    receipts, refused = _publish_each(folders, study)
    for receipt in receipts:
        for former in receipt["replaced"]:
            print(
                f"{study}: {receipt['run_id']}: the store had another run of this id ({former}; this one: "
                f"settings {receipt['settings_hash']}), which is replaced and among MLflow's deleted runs now",
                file=sys.stderr,
            )
    if refused:
        raise refused[0]
    return receipts


def publish_results(study: str, results: Path) -> dict[str, Any]:
    """Publish the figures and tables of a study as one run, the former one replaced; returns a receipt.

    Raises ConfigError where the study has neither yet.
    """
    found = sorted(file for name in RESULTS for file in (results / name).glob("*.*"))
    # A job that was killed may have left a temporary file.
    files = plain_files([file for file in found if not file.name.startswith(".")])
    if not files:
        raise ConfigError(f"study: {shown(study)}: {results} holds no figures or tables yet")
    content = digest_of(files)
    with locked_store(study):
        client = client_of_store()
        experiment = experiment_of(client, study)
        condition = "tags.kind = 'results'"
        names = {f"{file.parent.name}/{file.name}" for file in files}
        number = keep_whole(client, find(client, experiment, condition), content, names)
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
            number = keep_first(client, find(client, experiment, condition), content) or number
    return {"study": study, "files": len(files), "content": content, "mlflow_run_id": number}


def sync(study: str, description: str = "", axes: Sequence[str] = AXES) -> str:
    """Publish every finished run folder of `study`: rebuilds a store that was wiped.

    Returns a line on what was done. Raises ConfigError where the study has no finished run, RunError where
    the store fails and, after all others are published, where a folder cannot be read.
    """
    folders = sorted(file.parent for file in Path("results", study, "runs").glob("*/summary.json"))
    if not folders:
        raise ConfigError(f"study: {shown(study)}: results/{study}/runs holds no finished run")
    create_store(study, description, axes)
    receipts, refused = _publish_each(folders, study)
    if refused:
        raise RunError(
            f"{len(receipts)} of {len(folders)} finished runs are in the MLflow store; {refused[0]}"
        )
    results = folders[0].parent.parent
    if any((results / name).is_dir() for name in RESULTS):
        publish_results(study, results)
    replaced = sum(bool(receipt["replaced"]) for receipt in receipts)
    done = f"{len(folders)} finished runs are in the MLflow store"
    return f"{done}; {replaced} of them replaced others of the same id" if replaced else done


def _publish_each(
    folders: Iterable[Path], study: str
) -> tuple[list[dict[str, Any]], list[ConfigError]]:
    """Publish run folders, then sum up each of their configurations; receipts, and why others were refused."""
    receipts, refused, configurations = [], [], {}
    for folder in folders:
        try:
            receipts.append(_publish(folder, study))
            configurations[finished_summary(folder)["configuration"]] = receipts[-1][
                "experiment_id"
            ]
        except ConfigError as error:
            refused.append(error)
    for configuration, experiment in configurations.items():
        with locked_store(study):
            sum_up(client_of_store(), experiment, configuration)
    return receipts, refused


def _publish(run_dir: Path, study: str) -> dict[str, Any]:
    """Publish a run folder; its configuration is not summed up."""
    summary, manifest = finished_summary(run_dir), read_json(run_dir, "manifest.json")
    content, replaced = content_hash(run_dir), list[str]()
    try:
        settings, points = parameters(run_dir), metrics(run_dir)
        start, end = (_milliseconds(manifest.get(key)) for key in ("started", "ended"))
    except (OSError, ValueError, LookupError, AttributeError, TypeError, yaml.YAMLError) as error:
        reason = one_line(str(error).partition("\n")[0])
        raise ConfigError(f"{run_dir}: cannot be read: {reason}") from None
    with locked_store(study):
        client = client_of_store()
        experiment = experiment_of(client, study)
        condition = f"tags.run_id = '{summary['run_id']}'"
        found = find(client, experiment, condition)
        model = has_model(run_dir, summary)
        number = keep_whole(client, found, content, _names(run_dir, summary), model)
        if number is None:
            replaced = [_of(run) for run in found if is_whole(run) and not is_whole(run, content)]
            facts = (summary, manifest, content)
            number = _create(client, experiment, *facts, settings, points, (start, end), run_dir)
            number = keep_first(client, find(client, experiment, condition), content) or number
    return {
        "study": study,
        "run_id": summary["run_id"],
        "settings_hash": summary["settings_hash"],
        "content": content,
        "experiment_id": experiment,
        "mlflow_run_id": number,
        "replaced": replaced,
    }


def _artifacts(run_dir: Path, summary: dict[str, Any]) -> list[Path]:
    """The files that become artifacts; policies become a model."""
    without = {POLICY} if has_model(run_dir, summary) else set()
    return [file for file in published_files(run_dir) if file.name not in without]


def _names(run_dir: Path, summary: dict[str, Any]) -> set[str]:
    """Names of the artifacts of a published run folder."""
    return {file.name for file in _artifacts(run_dir, summary)} | {"preview"}


def _of(run: Run) -> str:
    """A published run in words, for the message that it was replaced."""
    tags = run.data.tags
    return f"settings {tags.get('settings_hash')}, commit {tags.get('commit')}"


def _create(
    client: MlflowClient,
    experiment: str,
    summary: dict[str, Any],
    manifest: dict[str, Any],
    content: str,
    settings: dict[str, str],
    points: list[Point],
    time: tuple[int | None, int | None],
    run_dir: Path,
) -> str:
    """Publish a run that is not there; its status stays RUNNING until all of it is."""
    start, end = time
    commit = str(manifest.get("commit") or "unknown")
    tags = seed_tags(summary, settings)
    tags |= {"commit": commit, "content": content, NOTE: seed_note(summary)}
    tags |= SOURCE | {"mlflow.source.git.commit": commit}
    number: str = client.create_run(
        experiment, start_time=start, tags=tags, run_name=summary["run_id"]
    ).info.run_id
    links: dict[str, dict[str, str]] = {}
    try:
        config = parse_run(read_settings(run_dir), str(run_dir))
    except ConfigError:  # of another version, whose settings are not known here
        config = None
    if config is not None:
        client.log_inputs(number, inputs(config))
        held_out = datasets(config)[HELD_OUT]
        measured = {"dataset_name": held_out["name"], "dataset_digest": held_out["digest"]}
        links = {key: dict(measured) for key in JUDGED}
    if has_model(run_dir, summary):
        model = log_model(client, experiment, number, run_dir, summary, tags)
        links = {key: links.get(key, {}) | {"model_id": model} for key in JUDGED}
    log(client, number, settings, points, end or 0, links)
    for file in _artifacts(run_dir, summary):
        client.log_artifact(number, str(file))
    with tempfile.TemporaryDirectory() as folder:
        for table in PREVIEWS:
            file = Path(folder, f"{table}.csv")
            pd.read_parquet(run_dir / f"{table}.parquet").to_csv(file, index=False)
            client.log_artifact(number, str(file), artifact_path="preview")
    status = "FAILED" if summary.get("status") == "failed" else "FINISHED"
    client.set_terminated(number, status=status, end_time=end)
    return number


def _milliseconds(moment: str | None) -> int | None:
    """Milliseconds since 1970 of an ISO time; None where the manifest has none."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None
