"""Final policies as logged models, the alias `best`, and dataset inputs."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import LoggedModel
from mlflow.tracking import MlflowClient

from rsm import tracking
from rsm.config.run import RunConfig, parse_run
from rsm.seeding import held_out_seeds
from rsm.tracking import locations

from .conftest import STORE, STUDY, configuration_of, published, reader, write_run


def models() -> dict[str, LoggedModel]:
    experiment = reader().get_experiment_by_name(STUDY).experiment_id
    found = reader().search_logged_models([experiment])
    assert len({model.name for model in found}) == len(found), "logged twice"
    return {model.name: model for model in found}


def fetched(address: str, folder: Path) -> bytes:
    """The policies of a model, as somebody else gets them."""
    mlflow.set_tracking_uri(tracking.tracking_uri())
    try:
        found = mlflow.artifacts.download_artifacts(address, dst_path=str(folder))
    finally:
        mlflow.set_tracking_uri(None)
    return Path(found, "policy.safetensors").read_bytes()


def test_policies_of_a_finished_run_are_a_model_with_its_measures_and_no_code(
    tmp_path: Path,
) -> None:
    config = parse_run({"communication": {"loss_rate": 0.5}}, "test")  # a dot in its name
    tracking.publish(write_run(config), STUDY)
    [run] = published().values()
    [model] = models().values()
    assert model.source_run_id == run.info.run_id and model.status == "READY"
    assert model.name == config.run_id.replace(".", "_")
    assert {metric.key: metric.value for metric in model.metrics} == {
        "final/return": 0.25,
        "final/mean_speed": 3.0,
    }
    assert {metric.dataset_name for metric in model.metrics} == {"figure-eight held out"}
    files = reader().list_logged_model_artifacts(model.model_id)
    assert [file.path for file in files] == ["policy.safetensors"]
    found = fetched(f"models:/{model.model_id}", tmp_path)
    assert found == b"weights"


def test_controls_and_failed_runs_have_no_model() -> None:
    tracking.publish(write_run(RunConfig(method="human")), STUDY)
    tracking.publish(write_run(RunConfig(), status="failed"), STUDY)
    assert models() == {}


def test_best_seed_of_a_configuration_has_the_alias_best(tmp_path: Path) -> None:
    for seed, final in enumerate((0.1, 0.3)):
        folder = write_run(RunConfig(seed=seed), final)
        (folder / "policy.safetensors").write_bytes(b"seed %d" % seed)
        tracking.publish(folder, STUDY)
    name = f"{STUDY}.{RunConfig().configuration}"
    assert configuration_of().data.tags["best_model"] == f"models:/{name}@best"
    assert fetched(f"models:/{name}@best", tmp_path / "a") == b"seed 1"
    better = write_run(RunConfig(seed=0), 0.5)
    (better / "policy.safetensors").write_bytes(b"seed 0 again")
    tracking.publish(better, STUDY)
    assert fetched(f"models:/{name}@best", tmp_path / "b") == b"seed 0 again"
    assert len(models()) == 2, "the model of the replaced run is gone"
    versions = reader().search_model_versions(f"name = '{name}'")
    tracking.publish(better, STUDY)
    assert len(reader().search_model_versions(f"name = '{name}'")) == len(versions)


def test_model_whose_file_is_lost_is_published_anew(tmp_path: Path) -> None:
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    [model] = models().values()
    (lost,) = Path("results/mlflow/artifacts").rglob("policy.safetensors")
    lost.unlink()
    tracking.publish(folder, STUDY)
    [again] = models().values()
    assert again.model_id != model.model_id
    assert fetched(f"models:/{again.model_id}", tmp_path) == b"weights"


def test_models_move_with_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    Path("elsewhere").mkdir()
    Path("results").rename("elsewhere/results")
    monkeypatch.chdir("elsewhere")
    database = Path(STORE)
    assert {table for table, *_ in locations.moved(database)} >= {"logged_models", "model_versions"}
    assert locations.repair(database) and not locations.moved(database)
    name = f"{STUDY}.{RunConfig().configuration}"
    version = MlflowClient(tracking.tracking_uri()).get_model_version_by_alias(name, "best")
    assert version.source.startswith((Path.cwd() / "results/mlflow/artifacts").as_uri())
    assert fetched(f"models:/{name}@best", tmp_path / "a") == b"weights"


def test_scenario_and_held_out_seeds_are_dataset_inputs_that_comparable_runs_share() -> None:
    for method in ("rsm", "average", "human"):
        tracking.publish(write_run(RunConfig(method=method, seed=3)), STUDY)
    runs = published()
    found = {}
    for run_id, run in runs.items():
        for item in run.inputs.dataset_inputs:
            [context] = [tag.value for tag in item.tags if tag.key == "mlflow.data.context"]
            found[run_id.split("-")[0], context] = item.dataset
    assert set(found) == {
        ("rsm", "training"), ("rsm", "evaluation"), ("average", "training"),
        ("average", "evaluation"), ("human", "evaluation"),
    }  # fmt: skip
    held_out = found["rsm", "evaluation"]
    assert held_out.digest == found["average", "evaluation"].digest
    assert json.loads(held_out.source)["seeds"] == held_out_seeds(3, 3)
    assert found["rsm", "training"].name == "figure-eight"
