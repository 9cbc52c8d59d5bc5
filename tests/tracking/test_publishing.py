"""Run folders, figures and tables in real SQLite stores, read back through MLflow's API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from rsm import tracking
from rsm.config.run import RunConfig
from rsm.errors import ConfigError, RunError
from rsm.runs.files import write_table
from rsm.runs.schema import OPTIONAL
from rsm.tracking import folders
from rsm.tracking.content import metrics

from .conftest import (
    ROOT,
    STUDY,
    configuration_of,
    everything,
    history,
    published,
    reader,
    write_run,
)


def test_published_metrics_equal_the_tables_of_the_run_folder() -> None:
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    found = history(run)
    episodes = pd.read_parquet(folder / "episodes.parquet")
    for key, column, unit in (("episode/return", "return", 1), ("comm/MB_sent", "bytes_sent", 1e6)):
        assert dict(found[key]) == pytest.approx(
            dict(zip(episodes["env_steps"], episodes[column] / unit, strict=True)), rel=1e-5
        )
    evaluations = pd.read_parquet(folder / "evaluations.parquet")
    for key, mode in (("eval/return", "deterministic"), ("eval/return_stochastic", "stochastic")):
        means = evaluations[evaluations["mode"] == mode].groupby("env_steps")["return"].mean()
        assert dict(found[key]) == pytest.approx(means.to_dict())
    assert found["comm/messages"] == [(200, 30.0), (300, 100.0)]
    assert found["mixing/acceptance_rate"] == [(200, 0.125), (300, 0.125)]
    assert found["mixing/zeta_mean"] == [(200, pytest.approx(0.15)), (300, pytest.approx(0.45))]
    assert found["mixing/zeta_p90"] == [(200, pytest.approx(0.19)), (300, pytest.approx(0.57))]
    assert found["final/return"] == [(0, 0.25)]


def test_worst_honest_agent_is_a_curve_where_agents_have_returns_of_their_own() -> None:
    folder = write_run(RunConfig())
    assert not [point for point in metrics(folder) if point.key == "eval/return_worst"]
    row = dict.fromkeys(OPTIONAL["agents"], False)
    row |= {"episode": 0, "mode": "deterministic", "loop": "14 vehicles"}
    rows = [
        row | {"agent": agent, "eval_seed": seed, "return": value, "attacker": agent == 2}
        for seed in (0, 1)
        for agent, value in ((0, 0.3 - 0.1 * seed), (1, 0.26), (2, 0.1))
    ]
    write_table(folder, "agents", rows)
    found = [point for point in metrics(folder) if point.key == "eval/return_worst"]
    assert found == [("eval/return_worst", 0, pytest.approx(0.25))], (
        "of one agent, not of each episode"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_return_that_is_not_finite_is_not_published_as_a_number(value: float) -> None:
    folder = write_run(RunConfig())
    file = folder / "evaluations.parquet"
    rows = pd.read_parquet(file).to_dict("records")
    rows[0]["return"] = value  # of two held-out seeds
    write_table(folder, "evaluations", rows)
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    assert [step for step, _ in history(run)["eval/return"]] == [300]


def test_summary_with_a_final_return_that_is_not_finite_is_refused() -> None:
    folder = write_run(RunConfig())
    text = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text(text.replace("0.25", "NaN"))
    with pytest.raises(ConfigError, match="summary.json: cannot be read"):
        tracking.publish(folder, STUDY)
    assert not Path("results/mlflow").exists()


def test_values_that_are_not_numbers_are_left_out() -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    (run,) = published().values()
    assert history(run)["sac/critic_loss"] == [(200, 0.25), (300, 0.166667)], "six digits"


def test_params_are_the_resolved_settings_and_tags_say_what_the_run_is() -> None:
    config = RunConfig(seed=3)
    tracking.publish(write_run(config), STUDY)
    (run,) = published().values()
    assert run.data.params["sac.batch_size"] == "256"
    assert run.data.params["sac.hidden"] == "[256, 256]"
    assert run.data.params["communication.topology"] == "radius:90"
    tags = run.data.tags
    assert (tags["method"], tags["seed"], tags["commit"]) == ("rsm", "3", "abc")
    assert tags["settings_hash"] == config.settings_hash
    assert run.info.end_time - run.info.start_time == 100_000
    assert run.info.status == "FINISHED"


def test_every_file_of_the_run_folder_is_an_artifact_except_policies_and_checkpoints() -> None:
    folder = write_run(RunConfig())
    (folder / "checkpoint.pt").write_bytes(b"large")
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    artifacts = {file.path for file in reader().list_artifacts(run.info.run_id)}
    without = {"checkpoint.pt", "policy.safetensors"}
    assert artifacts == {file.name for file in folder.iterdir()} - without | {"preview"}


def test_small_tables_are_artifacts_that_the_page_can_show(tmp_path: Path) -> None:
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    kept = Path(reader().download_artifacts(run.info.run_id, "preview", str(tmp_path)))
    names = {"episodes.csv", "evaluations.csv", "exchange.csv"}
    assert {file.name for file in kept.iterdir()} == names
    for file in kept.iterdir():
        table = pd.read_parquet(folder / f"{file.stem}.parquet")
        pd.testing.assert_frame_equal(pd.read_csv(file), table, check_dtype=False)


def test_publishing_twice_leaves_one_run() -> None:
    folder = write_run(RunConfig())
    first = tracking.publish(folder, STUDY)
    assert tracking.publish(folder, STUDY) == first
    assert list(published()) == [RunConfig().run_id]


def test_a_changed_run_folder_replaces_its_run() -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    tracking.publish(write_run(RunConfig(), final_return=0.5), STUDY)
    (run,) = published().values()
    assert run.data.metrics["final/return"] == 0.5


def test_a_run_published_in_part_is_published_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(RunConfig())

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", fail)
        with pytest.raises(RunError, match="disk full.*rsm sync"):
            tracking.publish(folder, STUDY)
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["final/return"] == 0.25


def test_run_of_an_older_layout_is_published_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(RunConfig())
    with monkeypatch.context() as patch:
        patch.setattr(folders, "LAYOUT", folders.LAYOUT - 1)
        former = tracking.publish(folder, STUDY)
    assert tracking.publish(folder, STUDY)["mlflow_run_id"] != former["mlflow_run_id"]
    assert list(published()) == [RunConfig().run_id]


def test_a_failed_seed_is_shown_as_failed() -> None:
    tracking.publish(write_run(RunConfig(), status="failed"), STUDY)
    (run,) = published().values()
    assert run.info.status == "FAILED"


def test_a_control_is_published_without_a_policy() -> None:
    tracking.publish(write_run(RunConfig(method="human")), STUDY)
    assert list(published()) == ["human-seed0"]


def test_sync_restores_a_wiped_store_identically() -> None:
    tracking.create_store(STUDY, "A study.")
    for seed in (1, 2, 0):  # as they happened to finish
        tracking.publish(write_run(RunConfig(seed=seed), 0.1 * seed), STUDY)
    results = Path("results", STUDY)
    for name in ("figures/zeta.png", "tables/main.html"):
        (results / name).parent.mkdir()
        (results / name).write_text(name)
    tracking.publish_results(STUDY, results)
    before = everything()
    assert len(before) == 1 + 3 + 1 + 1, "experiment, seeds, their parent, results"
    shutil.rmtree("results/mlflow")
    # In a process of its own, as `rsm sync` is: MLflow keeps connections to the file it knew.
    command = "from rsm import tracking; print(tracking.sync('tiny', 'A study.'))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "3 finished runs are in the MLflow store\n"
    assert everything("results/./mlflow/mlflow.db") == before


def test_sync_leaves_unfinished_run_folders_alone() -> None:
    write_run(RunConfig())
    (write_run(RunConfig(seed=1)) / "summary.json").unlink()
    tracking.sync(STUDY)
    assert list(published()) == [RunConfig().run_id]


def test_sync_of_a_study_without_runs_says_so() -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        tracking.sync("nothing")
    assert not Path("results").exists()


def test_an_unfinished_folder_is_refused_in_one_line() -> None:
    folder = write_run(RunConfig())
    (folder / "summary.json").unlink()
    with pytest.raises(ConfigError, match="summary.json: cannot be read") as error:
        tracking.publish(folder, STUDY)
    assert "\n" not in str(error.value)
    assert not Path("results/mlflow").exists()


def test_one_step_publishes_many_runs_and_a_broken_one_keeps_no_other_out() -> None:
    places = [write_run(RunConfig(seed=seed), 0.1 * seed) for seed in range(3)]
    receipts = tracking.publish_all(places[:2], STUDY)
    assert {receipt["mlflow_run_id"] for receipt in receipts} == {
        run.info.run_id for run in published().values()
    }
    assert configuration_of().data.tags["seeds"] == "0 1"
    (places[1] / "summary.json").unlink()
    with pytest.raises(ConfigError, match="seed1: summary.json: cannot be read"):
        tracking.publish_all(places, STUDY)
    assert len(published()) == 3 and configuration_of().data.tags["seeds"] == "0 1 2"


def test_the_receipt_is_json_and_names_the_run() -> None:
    receipt = tracking.publish(write_run(RunConfig()), STUDY)
    assert json.loads(json.dumps(receipt))["run_id"] == RunConfig().run_id
    assert receipt["mlflow_run_id"] == published()[RunConfig().run_id].info.run_id


def test_figures_and_tables_are_published_once_and_replaced_when_they_change(
    tmp_path: Path,
) -> None:
    results = tmp_path / "results" / "quick"
    for name in ("figures/zeta.png", "figures/zeta.csv", "tables/main.md"):
        file = results / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    first = tracking.publish_results("quick", results)
    assert tracking.publish_results("quick", results)["mlflow_run_id"] == first["mlflow_run_id"]
    (results / "tables/main.md").write_text("other numbers")
    second = tracking.publish_results("quick", results)
    assert second["mlflow_run_id"] != first["mlflow_run_id"]
    client = MlflowClient(tracking.tracking_uri())
    experiment = client.get_experiment_by_name("quick").experiment_id
    runs = client.search_runs([experiment], filter_string="tags.kind = 'results'")
    assert [run.info.run_id for run in runs] == [second["mlflow_run_id"]]
    shown = {file.path for file in client.list_artifacts(second["mlflow_run_id"], "figures")}
    assert shown == {"figures/zeta.png", "figures/zeta.csv"}


def test_results_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no figures or tables"):
        tracking.publish_results("quick", tmp_path / "results" / "quick")
