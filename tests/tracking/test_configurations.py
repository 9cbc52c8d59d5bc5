"""The parent run of a configuration: the numbers of its seeds together."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from rsm import tracking
from rsm.analysis.selection import estimate
from rsm.analysis.statistics import interquartile_mean
from rsm.config.run import RunConfig, parse_run
from rsm.tracking.over_seeds import configuration_metrics

from .conftest import STUDY, configuration_of, history, published, reader, write_run


def test_seeds_of_a_configuration_share_one_parent_run() -> None:
    for seed in range(3):
        tracking.publish(write_run(RunConfig(seed=seed)), STUDY)
    parents = {run.data.tags["mlflow.parentRunId"] for run in published().values()}
    assert len(parents) == 1
    parent = reader().get_run(parents.pop())
    assert parent.data.tags["configuration"] == RunConfig().configuration
    assert parent.info.run_name == RunConfig().configuration


def test_parent_holds_the_interquartile_means_of_its_finished_seeds() -> None:
    for seed, final in enumerate((0.1, 0.2, 0.3, 0.9)):
        tracking.publish(write_run(RunConfig(seed=seed), final), STUDY)
    tracking.publish(write_run(RunConfig(seed=4), 0.0, status="failed"), STUDY)
    found = history(configuration_of())
    scores = [0.1, 0.2, 0.3, 0.9]
    assert found["final/return"] == [(0, pytest.approx(interquartile_mean(scores)))]
    # Every seed of these has the same evaluations.
    assert dict(found["eval/return"]) == pytest.approx({0: 0.005, 300: 0.305})


def test_costs_of_a_configuration_are_plain_means_as_in_the_tables() -> None:
    finals = [
        {"final/return": x, "final/bytes_sent": x, "sac/alpha": x} for x in (0.0, 1.0, 1.0, 6.0)
    ]
    assert {key: value for key, _, value in configuration_metrics(finals, {})} == {
        "final/return": 1.0,
        "final/bytes_sent": 2.0,
    }


def test_interval_of_a_configuration_is_that_of_the_tables_and_needs_five_seeds() -> None:
    scores = [0.11, 0.27, 0.18, 0.35, 0.22]
    finals = [{"final/return": x, "final/MB_sent": 10 * x} for x in scores]
    found = {key: value for key, _, value in configuration_metrics(finals, {})}
    expected = estimate(pd.Series(scores))
    assert found["final/return"] == pytest.approx(expected.value, rel=1e-5)
    assert found["final/return_low"] == pytest.approx(expected.low, rel=1e-5)
    assert found["final/return_high"] == pytest.approx(expected.high, rel=1e-5)
    assert set(found) == {f"final/return{end}" for end in ("", "_low", "_high")} | {"final/MB_sent"}
    assert not [point for point in configuration_metrics(finals[:4], {}) if "_low" in point.key]


def test_curve_of_a_parent_joins_the_same_evaluations_of_seeds_with_other_steps() -> None:
    curves = {"eval/return": [[(0, 1.0), (90, 2.0)], [(0, 3.0), (110, 4.0)], [(0, 5.0)]]}
    points = configuration_metrics([{}, {}, {}], curves)
    assert points == [("eval/return", 0, 3.0)], "only where all seeds have been evaluated"
    points = configuration_metrics([{}, {}], {"eval/return": curves["eval/return"][:2]})
    assert points == [("eval/return", 0, 2.0), ("eval/return", 100, 3.0)]


def test_parent_names_its_best_seed_and_lists_the_others_and_those_that_failed() -> None:
    for seed, final in enumerate((0.1, 0.3, 0.2)):
        tracking.publish(write_run(RunConfig(seed=seed), final), STUDY)
    tracking.publish(write_run(RunConfig(seed=3), status="failed"), STUDY)
    parent = configuration_of()
    assert parent.data.tags["best_seed"] == "1"
    first = parent.data.tags["mlflow.note.content"].splitlines()[0]
    assert first.startswith("Best first: seed 1: final return 0.300, mean speed 3.000 m/s; seed 2:")
    assert first.endswith("; seed 3: failed.")
    assert parent.data.params["sac.batch_size"] == "256" and "seed" not in parent.data.params


def test_parent_follows_when_a_seed_changes() -> None:
    for seed in range(2):
        tracking.publish(write_run(RunConfig(seed=seed), 0.25), STUDY)
    before = configuration_of()
    tracking.publish(write_run(RunConfig(seed=1), 0.75), STUDY)
    parent = configuration_of()
    assert (before.data.metrics["final/return"], parent.data.metrics["final/return"]) == (0.25, 0.5)
    below = {run.data.tags["mlflow.parentRunId"] for run in published().values()}
    assert below == {parent.info.run_id}
    tracking.publish(write_run(RunConfig(seed=0), 0.25), STUDY)
    assert configuration_of().info.run_id == parent.info.run_id, "nothing new, nothing changed"


def test_seeds_with_other_settings_have_a_parent_of_their_own_while_they_last() -> None:
    ours, other = RunConfig(), {"sac": {"tau": 0.5}}
    tracking.publish(write_run(ours, 0.25), STUDY)
    tracking.publish(write_run(parse_run(other | {"seed": 1}, "other"), 0.75), STUDY)
    client = reader()
    experiment = client.get_experiment_by_name(STUDY).experiment_id

    def finals() -> list[float]:
        parents = client.search_runs([experiment], filter_string="tags.kind = 'configuration'")
        return sorted(parent.data.metrics["final/return"] for parent in parents)

    assert finals() == [0.25, 0.75]
    shutil.rmtree(f"results/{STUDY}/runs/{RunConfig(seed=1).run_id}")
    tracking.publish(write_run(RunConfig(seed=1), 0.75), STUDY)
    assert finals() == [0.5], "both have the same settings now"
    assert len({run.data.tags["mlflow.parentRunId"] for run in published().values()}) == 1


def test_parent_of_nothing_but_failed_seeds_has_no_numbers() -> None:
    tracking.publish(write_run(RunConfig(), status="failed"), STUDY)
    assert configuration_of().data.metrics == {} and "best_seed" not in configuration_of().data.tags
