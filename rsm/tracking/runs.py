"""Runs of a store: finding them, logging in bulk, and removing duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.tracking.content import Point
from rsm.tracking.models import delete_run, has_files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SOURCE = {"mlflow.source.name": "rsm", "mlflow.source.type": "LOCAL"}
METRICS_PER_CALL = 1000  # limits of MLflow's API
PARAMS_PER_CALL = 100


def keep_one(client: MlflowClient, published: list[Run], content: str) -> str | None:
    """Delete all of these runs but one that is whole, with this content; its id, None if there is none."""
    complete = [run.info.run_id for run in published if is_whole(run, content)]
    kept = min(complete, default=None)
    for run in published:
        if run.info.run_id != kept:
            delete_run(client, run)
    return kept


def keep_whole(
    client: MlflowClient, published: list[Run], content: str, names: set[str], model: bool = False
) -> str | None:
    """The same for a run with artifacts of these names, and with a model: its files may be lost."""
    kept = keep_one(client, published, content)
    run = next((run for run in published if run.info.run_id == kept), None)
    if kept is None or run is None:
        return None
    folders = {Path(name).parent for name in names}
    if names <= _artifacts(client, kept, folders) and (not model or has_files(client, run)):
        return kept
    delete_run(client, run)
    return None


def _artifacts(client: MlflowClient, number: str, folders: set[Path]) -> set[str]:
    paths = [None if folder == Path() else str(folder) for folder in folders]
    return {file.path for path in paths for file in client.list_artifacts(number, path)}


def keep_first(client: MlflowClient, published: list[Run], content: str) -> str | None:
    """The same after a run was published, for a server that others publish to at this moment.

    The lock covers this checkout only. All publishers keep the same run, and leave unfinished ones alone.
    """
    return keep_one(client, [run for run in published if is_whole(run, content)], content)


def is_whole(run: Run, content: str | None = None) -> bool:
    """Whether all of a run was published, and with this content if one is given."""
    whole = run.info.status in ("FINISHED", "FAILED")
    return whole and content in (None, run.data.tags.get("content"))


def find(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    found: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], filter_string=condition, page_token=token or None)
        found += page
        token = page.token or None
    return found


def log(
    client: MlflowClient,
    number: str,
    settings: dict[str, str],
    points: list[Point],
    when: int,
    links: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Log parameters and points in bulk; `links` are further fields of metrics by their keys."""
    from mlflow.entities import Metric, Param

    params = [Param(key, value) for key, value in settings.items()]
    for first in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(number, params=params[first : first + PARAMS_PER_CALL])
    further = links or {}
    values = [Metric(key, value, when, step, **further.get(key, {})) for key, step, value in points]
    for first in range(0, len(values), METRICS_PER_CALL):
        client.log_batch(number, metrics=values[first : first + METRICS_PER_CALL])
