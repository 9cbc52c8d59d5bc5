"""Publishing to real SQLite stores in a temporary folder, read back through MLflow's API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig
from rsm.runs.files import write_json, write_table, write_text
from rsm.runs.schema import SUMMARY, TABLES

from ..stores import copied_stores  # noqa: F401

ROOT = Path(__file__).parents[2]
STUDY = "tiny"
STORE = "results/mlflow/mlflow.db"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()  # as in a checkout
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_run(config: RunConfig, final_return: float = 0.25, status: str = "finished") -> Path:
    """A run folder with three episodes, four rounds and two evaluations."""
    folder = Path("results", STUDY, "runs", config.run_id)
    write_text(folder / "config.yaml", dump_yaml(config))
    blank: dict[str, dict[str, Any]] = {
        table: dict.fromkeys(columns, 0) for table, columns in TABLES.items()
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
        | {
            "round": 10 + r,  # as numbered by the receiver, asynchronously
            "env_steps": 100 * e - 50,
            "sources": [1, 2],
            "segment_ages": [0.0, 0.0],
            "segment_updates": [0, 0],
            "jurors": [],
            "outcome": "accepted" if r % 2 else "rejected",
        }
        | {"replica": k, "zeta": 0.1 * r * k if r % 2 else 0.0}
        for r, e in ((1, 2), (2, 2), (3, 3), (4, 3))
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
    for table in TABLES:
        write_table(folder, table, tables.get(table, []))
    write_json(
        folder / "manifest.json",
        {
            "commit": "abc",
            "started": "2026-01-01T10:00:00+00:00",
            "ended": "2026-01-01T10:01:40+00:00",
        },
    )
    summary = dict.fromkeys(SUMMARY) | {
        "run_id": config.run_id,
        "configuration": config.configuration,
        "settings_hash": config.settings_hash,
        "status": status,
        "method": config.method,
        "topology": config.communication.topology if config.learns else None,
        "segments": 4 if config.learns else None,
        "rule": config.mixing.rule if config.method == "rsm" else None,
        "loss_rate": config.communication.loss_rate if config.learns else None,
        "seed": config.seed,
        "scenario": "figure-eight",
        "env_steps": 300,
        "final_return": final_return if status == "finished" else None,
        "final_mean_speed": 3.0 if status == "finished" else None,
        "collisions": 0,
        "bytes_sent": 3000,
    }
    write_json(folder / "summary.json", summary)
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


def configuration_of(study: str = STUDY, store: str = STORE) -> Run:
    """The only parent run of the store."""
    client = reader(store)
    experiment = client.get_experiment_by_name(study).experiment_id
    (parent,) = client.search_runs([experiment], filter_string="tags.kind = 'configuration'")
    return parent


def everything(store: str = STORE) -> dict[str, Any]:
    """Everything that a store holds of the study, except the ids that MLflow draws."""
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


def documented() -> tuple[list[str], str]:
    """The searches of docs/how-to/mlflow.md, and its piece of Python."""
    page = (ROOT / "docs/how-to/mlflow.md").read_text()
    searches = page.partition("## Searches that work")[2].split("```")[1]
    return searches.strip().splitlines(), page.partition("```python")[2].partition("```")[0]
