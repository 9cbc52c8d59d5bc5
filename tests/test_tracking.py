"""Publishing to real SQLite stores in a temporary folder, read back through MLflow's API."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from rsm import records, tracking
from rsm.analysis.statistics import interquartile_mean
from rsm.config import RunConfig, parse_run
from rsm.errors import ConfigError, RunError
from rsm.yaml_files import dump_yaml

ROOT = Path(__file__).parent.parent
STUDY = "tiny"
STORE = "results/mlflow/mlflow.db"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_run(config: RunConfig, final_return: float = 0.25, status: str = "finished") -> Path:
    """A run folder with three episodes, four rounds and two evaluations."""
    folder = Path("results", STUDY, "runs", config.run_id)
    records.write_text(folder / "config.yaml", dump_yaml(config))
    blank: dict[str, dict[str, Any]] = {
        table: dict.fromkeys(columns, 0) for table, columns in records.TABLES.items()
    }
    episodes = [
        blank["episodes"]
        | {"episode": e, "env_steps": 100 * e, "return": 0.1 * e, "mean_speed": 2.0 * e}
        | {"critic_loss": float("nan") if e == 1 else 0.5 / e, "bytes_sent": 1000 * e}
        for e in (1, 2, 3)
    ]
    rounds = [
        blank["rounds"]
        | {"round": r, "episode": e, "env_steps": 100 * e - 50, "messages": 10 * r}
        | {"judged": 4, "accepted": r % 2}
        for r, e in ((1, 2), (2, 2), (3, 3), (4, 3))
    ]
    zeta = [
        blank["zeta"]
        | {"round": r, "sources": [1, 2], "outcome": "accepted" if r % 2 else "rejected"}
        | {"replica": k, "zeta": 0.1 * r * k if r % 2 else 0.0}
        for r in (1, 2, 3, 4)
        for k in (1, 2)
    ]
    evaluations = [
        blank["evaluations"]
        | {"env_steps": steps, "mode": mode, "eval_seed": seed}
        | {"return": 0.001 * steps + 0.01 * seed, "mean_speed": 3.0}
        for steps in (0, 300)
        for mode in ("deterministic", "stochastic")
        for seed in (0, 1)
    ]
    tables = {"episodes": episodes, "rounds": rounds, "zeta": zeta, "evaluations": evaluations}
    for table in records.TABLES:
        records.write_table(folder, table, tables.get(table, []))
    records.write_json(
        folder / "manifest.json",
        {
            "commit": "abc",
            "started": "2026-01-01T10:00:00+00:00",
            "ended": "2026-01-01T10:01:40+00:00",
        },
    )
    summary = dict.fromkeys(records.SUMMARY) | {
        "run_id": config.run_id,
        "cell": config.cell,
        "settings_hash": config.settings_hash,
        "status": status,
        "method": config.method,
        "topology": config.communication.topology if config.learns else None,
        "segments": 4 if config.learns else None,
        "constant": config.mixing.constant if config.method == "rsm" else None,
        "seed": config.seed,
        "scenario": "figure-eight",
        "env_steps": 300,
        "final_return": final_return if status == "finished" else None,
        "final_mean_speed": 3.0 if status == "finished" else None,
        "collisions": 0,
        "bytes_sent": 3000,
    }
    records.write_json(folder / "summary.json", summary)
    if config.learns:
        (folder / "policy.safetensors").write_bytes(b"weights")
    return folder


def reader(store: str = STORE) -> MlflowClient:
    return MlflowClient(store if "://" in store else f"sqlite:///{Path.cwd()}/{store}")


def published(study: str = STUDY, store: str = STORE) -> dict[str, Run]:
    """The runs of the store that stand for run folders, by run id."""
    client = reader(store)
    experiment = client.get_experiment_by_name(study)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    found = [run for run in runs if "run_id" in run.data.tags]
    assert len({run.data.tags["run_id"] for run in found}) == len(found), "published twice"
    return {run.data.tags["run_id"]: run for run in found}


def history(run: Run, store: str = STORE) -> dict[str, list[tuple[int, float]]]:
    """Everything the store holds of a run's metrics: key to (step, value)."""
    client = reader(store)
    return {
        key: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
        for key in run.data.metrics
    }


def test_published_metrics_equal_the_tables_of_the_run_folder() -> None:
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    found = history(run)
    episodes = pd.read_parquet(folder / "episodes.parquet")
    for key, column in (("episode/return", "return"), ("comm/bytes_sent", "bytes_sent")):
        assert found[key] == list(zip(episodes["env_steps"], episodes[column], strict=True))
    evaluations = pd.read_parquet(folder / "evaluations.parquet")
    for key, mode in (("eval/return", "deterministic"), ("eval/return_stochastic", "stochastic")):
        means = evaluations[evaluations["mode"] == mode].groupby("env_steps")["return"].mean()
        assert dict(found[key]) == pytest.approx(means.to_dict())
    assert found["comm/messages"] == [(200, 30.0), (300, 100.0)]
    assert found["mixing/acceptance_rate"] == [(200, 0.125), (300, 0.125)]
    assert found["mixing/zeta_mean"] == [(200, pytest.approx(0.15)), (300, pytest.approx(0.45))]
    assert found["mixing/zeta_p90"] == [(200, pytest.approx(0.19)), (300, pytest.approx(0.57))]
    assert found["final/return"] == [(0, 0.25)]


def test_values_that_are_not_numbers_are_left_out() -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    (run,) = published().values()
    assert history(run)["sac/critic_loss"] == [(200, 0.25), (300, pytest.approx(0.5 / 3))]


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


def test_every_file_of_the_run_folder_is_an_artifact_except_the_checkpoint() -> None:
    folder = write_run(RunConfig())
    (folder / "checkpoint.pt").write_bytes(b"large")
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    artifacts = {file.path for file in reader().list_artifacts(run.info.run_id)}
    assert artifacts == {file.name for file in folder.iterdir()} - {"checkpoint.pt"} | {"preview"}


def test_small_tables_are_artifacts_that_the_page_can_show(tmp_path: Path) -> None:
    folder = write_run(RunConfig())
    tracking.publish(folder, STUDY)
    (run,) = published().values()
    kept = Path(reader().download_artifacts(run.info.run_id, "preview", str(tmp_path)))
    assert {file.name for file in kept.iterdir()} == {"episodes.csv", "evaluations.csv"}
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


def test_seeds_of_a_cell_share_one_parent_run() -> None:
    for seed in range(3):
        tracking.publish(write_run(RunConfig(seed=seed)), STUDY)
    parents = {run.data.tags["mlflow.parentRunId"] for run in published().values()}
    assert len(parents) == 1
    parent = reader().get_run(parents.pop())
    assert parent.data.tags["cell"] == RunConfig().cell
    assert parent.info.run_name == RunConfig().cell


def cell_of(study: str = STUDY, store: str = STORE) -> Run:
    """The only parent run of the store."""
    client = reader(store)
    experiment = client.get_experiment_by_name(study).experiment_id
    (parent,) = client.search_runs([experiment], filter_string="tags.kind = 'cell'")
    return parent


def test_parent_holds_the_interquartile_means_of_its_finished_seeds() -> None:
    for seed, final in enumerate((0.1, 0.2, 0.3, 0.9)):
        tracking.publish(write_run(RunConfig(seed=seed), final), STUDY)
    tracking.publish(write_run(RunConfig(seed=4), 0.0, status="failed"), STUDY)
    found = history(cell_of())
    scores = [0.1, 0.2, 0.3, 0.9]
    assert found["final/return"] == [(0, pytest.approx(interquartile_mean(scores)))]
    # Every seed of these has the same evaluations.
    assert dict(found["eval/return"]) == pytest.approx({0: 0.005, 300: 0.305})


def test_curve_of_a_parent_joins_the_same_evaluations_of_seeds_with_other_steps() -> None:
    curves = {"eval/return": [[(0, 1.0), (90, 2.0)], [(0, 3.0), (110, 4.0)], [(0, 5.0)]]}
    points = tracking.cell_metrics([{}, {}, {}], curves)
    assert points == [("eval/return", 0, 3.0)], "only where all seeds have been evaluated"
    points = tracking.cell_metrics([{}, {}], {"eval/return": curves["eval/return"][:2]})
    assert points == [("eval/return", 0, 2.0), ("eval/return", 100, 3.0)]


def test_parent_names_its_best_seed_and_lists_the_others_and_those_that_failed() -> None:
    for seed, final in enumerate((0.1, 0.3, 0.2)):
        tracking.publish(write_run(RunConfig(seed=seed), final), STUDY)
    tracking.publish(write_run(RunConfig(seed=3), status="failed"), STUDY)
    parent = cell_of()
    assert parent.data.tags["best_seed"] == "1"
    first = parent.data.tags["mlflow.note.content"].splitlines()[0]
    assert first.startswith("Best first: seed 1: final return 0.300, mean speed 3.000 m/s; seed 2:")
    assert first.endswith("; seed 3: failed.")
    assert parent.data.params["sac.batch_size"] == "256" and "seed" not in parent.data.params


def test_parent_follows_when_a_seed_changes() -> None:
    for seed in range(2):
        tracking.publish(write_run(RunConfig(seed=seed), 0.25), STUDY)
    before = cell_of()
    tracking.publish(write_run(RunConfig(seed=1), 0.75), STUDY)
    parent = cell_of()
    assert (before.data.metrics["final/return"], parent.data.metrics["final/return"]) == (0.25, 0.5)
    below = {run.data.tags["mlflow.parentRunId"] for run in published().values()}
    assert below == {parent.info.run_id}
    tracking.publish(write_run(RunConfig(seed=0), 0.25), STUDY)
    assert cell_of().info.run_id == parent.info.run_id, "nothing new, nothing changed"


def test_seeds_with_other_settings_have_a_parent_of_their_own_while_they_last() -> None:
    ours, other = RunConfig(), {"sac": {"tau": 0.5}}
    tracking.publish(write_run(ours, 0.25), STUDY)
    tracking.publish(write_run(parse_run(other | {"seed": 1}, "other"), 0.75), STUDY)
    client = reader()
    experiment = client.get_experiment_by_name(STUDY).experiment_id

    def finals() -> list[float]:
        parents = client.search_runs([experiment], filter_string="tags.kind = 'cell'")
        return sorted(parent.data.metrics["final/return"] for parent in parents)

    assert finals() == [0.25, 0.75]
    shutil.rmtree(f"results/{STUDY}/runs/{RunConfig(seed=1).run_id}")
    tracking.publish(write_run(RunConfig(seed=1), 0.75), STUDY)
    assert finals() == [0.5], "both have the same settings now"
    assert len({run.data.tags["mlflow.parentRunId"] for run in published().values()}) == 1


def test_parent_of_nothing_but_failed_seeds_has_no_numbers() -> None:
    tracking.publish(write_run(RunConfig(), status="failed"), STUDY)
    assert cell_of().data.metrics == {} and "best_seed" not in cell_of().data.tags


def test_run_of_an_older_layout_is_published_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(RunConfig())
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "LAYOUT", tracking.LAYOUT - 1)
        former = tracking.publish(folder, STUDY)
    assert tracking.publish(folder, STUDY)["mlflow_run_id"] != former["mlflow_run_id"]
    assert list(published()) == [RunConfig().run_id]


def test_views_of_the_page_ask_for_kinds_metrics_and_tags_that_are_there() -> None:
    tracking.create_store(STUDY, "What it is for.")
    tracking.publish(write_run(RunConfig()), STUDY)
    client = reader()
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment.tags["mlflow.note.content"].endswith("What it is for.")
    found = {
        key: json.loads(value)
        for key, value in experiment.tags.items()
        if key.startswith("mlflow.sharedViewState.")
    }
    names = {view["name"] for view in found.values()}
    assert names == {"Cells, best first", "Seeds, best first", "Figures and tables"}
    assert all(len(value) <= 5000 for value in experiment.tags.values()), "MLflow's limit"
    runs = [*published().values(), cell_of()]
    known = {f"metrics.`{key}`" for run in runs for key in run.data.metrics}
    known |= {f"tags.`{key}`" for run in runs for key in run.data.tags}
    known |= {f"tags.`{key}`" for key in tracking.TAGS}  # a run has those of its method
    for view in found.values():
        packed = view["state"].removeprefix("deflate;")
        state = json.loads(zlib.decompress(base64.b64decode(packed)))
        client.search_runs([experiment.experiment_id], filter_string=state["searchFilter"])
        assert set(state["selectedColumns"]) <= known
        assert {f"metrics.`{chart['metricKey']}`" for chart in state["compareRunCharts"]} <= known


def test_note_that_somebody_edited_is_kept() -> None:
    experiment = tracking.create_store(STUDY, "ours")
    reader().set_experiment_tag(experiment, "mlflow.note.content", "theirs")
    tracking.create_store(STUDY, "ours")
    assert reader().get_experiment(experiment).tags["mlflow.note.content"] == "theirs"


def test_a_failed_seed_is_shown_as_failed() -> None:
    tracking.publish(write_run(RunConfig(), status="failed"), STUDY)
    (run,) = published().values()
    assert run.info.status == "FAILED"


def test_a_control_is_published_without_a_policy() -> None:
    tracking.publish(write_run(RunConfig(method="human")), STUDY)
    assert list(published()) == ["human-seed0"]


def everything(store: str = STORE) -> dict[str, Any]:
    """All that a store holds of the study, but for the ids that MLflow draws."""
    client = reader(store)
    experiment = client.get_experiment_by_name(STUDY)
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    found: dict[str, Any] = {"": experiment.tags}
    for number, run in runs.items():
        tags = dict(run.data.tags)
        if parent := tags.pop("mlflow.parentRunId", None):
            tags["parent"] = runs[parent].info.run_name
        times = (run.info.status, run.info.start_time, run.info.end_time)
        files = {
            file.path: [inner.path for inner in client.list_artifacts(number, file.path)]
            for file in client.list_artifacts(number)
        }
        assert run.info.run_name not in found, "published twice"
        found[run.info.run_name] = (tags, run.data.params, history(run, store), times, files)
    return found


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


def test_the_store_is_sqlite_with_a_write_ahead_log_and_one_experiment() -> None:
    first = tracking.create_store(STUDY)
    assert tracking.create_store(STUDY) == first
    assert tracking.experiments() == ["Default", STUDY]
    database = sqlite3.connect(STORE)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_the_environment_switches_to_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/elsewhere/other.db")
    tracking.publish(write_run(RunConfig()), STUDY)
    assert list(published(store="elsewhere/other.db")) == [RunConfig().run_id]
    assert not Path(STORE).exists()


@pytest.mark.parametrize(
    "uri", ["nonsense", "http://", "htp:/x", "file:///tmp/runs", "sqlite:///", "http://host:port"]
)
def test_a_malformed_address_is_one_line_and_leaves_nothing(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI") as error:
        tracking.create_store(STUDY)
    assert "\n" not in str(error.value)
    assert not Path("results").exists()


def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1 does not answer") as error:
        tracking.create_store(STUDY)
    assert "secret" not in str(error.value)


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


def documented() -> tuple[list[str], str]:
    """The searches of docs/mlflow.md, and its piece of Python."""
    page = (ROOT / "docs/mlflow.md").read_text()
    searches = page.partition("## Searches that work")[2].split("```")[1]
    return searches.strip().splitlines(), page.partition("```python")[2].partition("```")[0]


def test_searches_of_the_documentation_find_the_runs_that_they_name() -> None:
    cells: list[dict[str, Any]] = [
        {"mixing": {"constant": "trust-region"}},
        {"method": "average", "communication": {"topology": "ring"}},
    ]
    for changes in cells:
        for seed, final in enumerate((0.1, 0.3)):
            tracking.publish(write_run(parse_run(changes | {"seed": seed}, "test"), final), STUDY)
    failed = write_run(RunConfig(method="human"), status="failed")
    tracking.publish(failed, STUDY)
    (Path("results", STUDY) / "tables").mkdir()
    (Path("results", STUDY) / "tables/main.md").write_text("table")
    tracking.publish_results(STUDY, Path("results", STUDY))
    client = reader()
    experiment = client.get_experiment_by_name(STUDY).experiment_id
    rsm = "rsm-trust-region-radius90-p4-k3"
    expected = [
        {rsm},
        {"average-ring"},
        {f"{rsm}-seed0", f"{rsm}-seed1"},
        {"average-ring-seed0", "average-ring-seed1"},
        {f"{rsm}-seed1", "average-ring-seed1"},
        {f"{rsm}-seed0", "average-ring-seed0", "human-seed0"},
        {f"{rsm}-seed0", f"{rsm}-seed1", "average-ring-seed0", "average-ring-seed1", "human-seed0"},
        {"figures and tables"},
        {"human-seed0"},
    ]
    searches, python = documented()
    for search, names in zip(searches, expected, strict=True):
        found = client.search_runs([experiment], filter_string=search)
        assert {run.info.run_name for run in found} == names, search
    known: dict[str, Any] = {}
    exec(python.replace('"quick"', f'"{STUDY}"'), known)
    (best,) = known["best"]
    assert best.info.run_name == f"{rsm}-seed1"
