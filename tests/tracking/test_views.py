"""The views of the page, and the searches of docs/how-to/mlflow.md."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from rsm import tracking
from rsm.analysis.figures.looks import looks
from rsm.config.catalogue import METHODS
from rsm.config.colours import colour
from rsm.config.run import RunConfig, parse_run
from rsm.tracking.tags import TAGS

from .conftest import STUDY, configuration_of, documented, published, reader, write_run


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
    assert names == {
        "Configurations, best first", "Seeds, best first", "Under way", "Figures and tables",
    }  # fmt: skip
    assert all(len(value) <= 5000 for value in experiment.tags.values()), "MLflow's limit"
    runs = [*published().values(), configuration_of()]
    known = {f"metrics.`{key}`" for run in runs for key in run.data.metrics}
    known |= {f"tags.`{key}`" for run in runs for key in run.data.tags}
    known |= {f"tags.`{key}`" for key in TAGS}  # a run has those of its method
    known |= {f"metrics.`final/return{end}`" for end in ("_low", "_high")}  # from five seeds on
    for view in found.values():
        packed = view["state"].removeprefix("deflate;")
        state = json.loads(zlib.decompress(base64.b64decode(packed)))
        client.search_runs([experiment.experiment_id], filter_string=state["searchFilter"])
        assert set(state["selectedColumns"]) <= known
        assert {f"metrics.`{chart['metricKey']}`" for chart in state["compareRunCharts"]} <= known


def test_views_of_a_study_show_what_its_grid_varies() -> None:
    runs = [
        parse_run(
            {"sac": {"tau": tau}, "varied": ["sac.tau"], "communication": {"loss_rate": rate}}, "x"
        )
        for tau in (0.1, 0.2)
        for rate in (0.0, 0.5)
    ]
    assert tracking.columns(runs) == ["method", "loss_rate", "sac.tau"]
    tracking.create_store(STUDY, axes=tracking.columns(runs))
    tracking.publish(write_run(runs[-1]), STUDY)
    tags = reader().get_experiment_by_name(STUDY).tags
    view = json.loads(tags["mlflow.sharedViewState.rsmseeds"])["state"].removeprefix("deflate;")
    shown = json.loads(zlib.decompress(base64.b64decode(view)))["selectedColumns"]
    assert shown[:3] == ["tags.`method`", "tags.`loss_rate`", "tags.`sac.tau`"]
    [run] = published().values()
    assert (run.data.tags["sac.tau"], run.data.tags["loss_rate"]) == ("0.2", "0.5")
    assert configuration_of().data.tags["sac.tau"] == "0.2"


def test_methods_have_the_colours_of_the_figures() -> None:
    tracking.publish(write_run(RunConfig()), STUDY)
    [run] = published().values()
    assert run.data.tags["mlflow.runColor"] == looks(["rsm"])["rsm"].color
    assert configuration_of().data.tags["mlflow.runColor"] == looks(["rsm"])["rsm"].color
    for method in METHODS:
        assert colour(method) == looks(METHODS)[method].color


def test_searches_of_the_documentation_find_the_runs_that_they_name() -> None:
    configurations: list[dict[str, Any]] = [
        {"mixing": {"rule": "trust-region"}},
        {"method": "average", "communication": {"topology": "ring"}},
    ]
    for changes in configurations:
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
