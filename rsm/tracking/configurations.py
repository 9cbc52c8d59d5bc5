"""The parent run of a configuration: the numbers of its seeds together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rsm.tracking.models import BEST, models_of, promote
from rsm.tracking.over_seeds import OF_A_CONFIGURATION, configuration_metrics, configuration_note
from rsm.tracking.runs import SOURCE, find, is_whole, keep_first, keep_one, log
from rsm.tracking.store import NOTE
from rsm.tracking.tags import configuration_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT = "mlflow.parentRunId"


def sum_up(client: MlflowClient, experiment: str, configuration: str) -> None:
    """Give the published seeds of a configuration a parent run that holds their numbers together.

    Seeds whose other settings differ, by an override or an older study of that name, do not belong
    together: each setting has a parent of its own, as long as it has seeds.
    """
    condition = f"tags.configuration = '{configuration}' and tags.kind = "
    together: dict[str, list[Run]] = {}
    for run in find(client, experiment, condition + "'seed'"):
        if is_whole(run):
            together.setdefault(run.data.tags["configuration_settings"], []).append(run)
    parents: dict[str, list[Run]] = {}
    for run in find(client, experiment, condition + "'configuration'"):
        parents.setdefault(run.data.tags.get("configuration_settings", ""), []).append(run)
    study = client.get_experiment(experiment).name
    for settings in parents.keys() - together.keys():
        keep_one(client, parents[settings], "")
    for settings, seeds in together.items():
        seeds.sort(key=lambda run: int(run.data.tags["seed"]))
        digest = hashlib.sha256(" ".join(run.data.tags["content"] for run in seeds).encode())
        content = digest.hexdigest()[:16]
        number = keep_one(client, parents.get(settings, []), content)
        if number is None:
            # Those of other settings have another name, as long as there are such.
            model = f"{study}.{configuration}" + (f".{settings}" if len(together) > 1 else "")
            number = _create_parent(client, experiment, configuration, content, seeds, model)
            mine = f"{condition}'configuration' and tags.configuration_settings = '{settings}'"
            number = keep_first(client, find(client, experiment, mine), content) or number
        for run in seeds:
            if run.data.tags.get(PARENT) != number:
                client.set_tag(run.info.run_id, PARENT, number)


def _create_parent(
    client: MlflowClient,
    experiment: str,
    configuration: str,
    content: str,
    seeds: list[Run],
    model: str,
) -> str:
    """A new parent run; the model of its best seed is `best` under the registered name `model`."""
    finished = [run for run in seeds if run.info.status == "FINISHED"]
    curves = {
        key: [
            sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
            for run in finished
        ]
        for key in OF_A_CONFIGURATION
    }
    points = configuration_metrics([run.data.metrics for run in finished], curves)
    shared = set.intersection(*(set(run.data.params.items()) for run in seeds))
    ranked = sorted(finished, key=lambda run: -run.data.metrics.get("final/return", float("-inf")))
    failed = [run.data.tags["seed"] for run in seeds if run not in finished]
    note = configuration_note(
        [(run.data.tags["seed"], run.data.metrics) for run in ranked],
        failed,
        {key: value for key, _, value in points if key.startswith("final/")},
    )
    tags = configuration_tags(seeds[0].data.tags, seeds[0].data.params) | SOURCE
    tags |= {
        "content": content,
        NOTE: note,
        "seeds": " ".join(run.data.tags["seed"] for run in seeds),
    }
    if ranked:
        tags["best_seed"] = ranked[0].data.tags["seed"]
        if models_of(ranked[0]):
            promote(client, model, ranked[0])
            tags["best_model"] = f"models:/{model}@{BEST}"
    start = min(run.info.start_time for run in seeds)
    end = max(run.info.end_time for run in seeds)
    number: str = client.create_run(
        experiment, start_time=start, tags=tags, run_name=configuration
    ).info.run_id
    log(client, number, dict(sorted(shared)), points, end)
    client.set_terminated(number, status="FINISHED", end_time=end)
    return number
