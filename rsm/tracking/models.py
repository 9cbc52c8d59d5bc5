"""Final policies as MLflow's logged models, and the alias `best` of every configuration.

A model holds `policy.safetensors`, the parameters of all agents: no code and no pickle. It is no Python
function that MLflow could load; `rsm evaluate --controller RUN_DIR` drives with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsm.config.run import POLICY
from rsm.tracking.store import serves

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BEST = "best"
OF_A_MODEL = ("agents", "parameters", "episodes", "env_steps", "updates")  # of the summary


def has_model(run_dir: Path, summary: Mapping[str, Any]) -> bool:
    """Whether a run left policies that are a result; those of a run that diverged are none."""
    return summary.get("status") == "finished" and (run_dir / POLICY).is_file()


def log_model(
    client: MlflowClient,
    experiment: str,
    run: str,
    run_dir: Path,
    summary: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Log the policies of a run as a model; returns its id, by which metrics are linked to it."""
    from mlflow.entities import LoggedModelOutput

    params = {key: str(summary[key]) for key in OF_A_MODEL if summary.get(key) is not None}
    own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
    # MLflow refuses a dot in the name of a model.
    name = str(summary["run_id"]).replace(".", "_")
    model = client.create_logged_model(
        experiment, name=name, source_run_id=run, tags=own, params=params, model_type="policies"
    )
    number: str = model.model_id
    client.log_model_artifact(number, str(run_dir / POLICY))
    client.finalize_logged_model(number, "READY")
    client.log_outputs(run, [LoggedModelOutput(number, 0)])
    return number


def models_of(run: Run) -> list[str]:
    """Ids of the models that a run has logged."""
    outputs = run.outputs.model_outputs if run.outputs else []
    return [output.model_id for output in outputs]


def has_files(client: MlflowClient, run: Run) -> bool:
    """Whether the model of a run is there, with its file."""
    from mlflow.exceptions import MlflowException

    try:
        return any(
            file.path == POLICY
            for model in models_of(run)
            for file in client.list_logged_model_artifacts(model)
        )
    except MlflowException:
        return False


def delete_run(client: MlflowClient, run: Run) -> None:
    """Delete a run and its models, which MLflow would leave among the models of the experiment."""
    from mlflow.exceptions import MlflowException

    client.delete_run(run.info.run_id)
    for model in models_of(run):
        try:
            client.delete_logged_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


def promote(client: MlflowClient, name: str, best: Run) -> None:
    """Give the model of the best seed the alias `best` under the registered model `name`."""
    from mlflow.exceptions import MlflowException

    [model, *_] = [*models_of(best), None]
    if model is None:
        return
    try:
        if client.get_model_version_by_alias(name, BEST).run_id == best.info.run_id:
            return
    except MlflowException:  # there is none yet
        try:
            client.create_registered_model(name, tags={"kind": "configuration"})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    # A database looks up `models:/…` at an address of its own, a server at ours.
    source = f"models:/{model}" if serves() else client.get_logged_model(model).artifact_location
    version = client.create_model_version(
        name, source, run_id=best.info.run_id, model_id=model, await_creation_for=0
    )
    client.set_registered_model_alias(name, BEST, version.version)
    named = json.dumps([{"name": name, "version": int(version.version)}])
    client.set_logged_model_tags(model, {"mlflow.modelVersions": named})  # what its page shows
