"""Differences to the independent baseline: pairs of seeds, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsm.analysis.aggregate import write_tables
from rsm.analysis.differences import differences, markdown, summaries
from rsm.analysis.load import Runs
from rsm.config.study import parse_study

from .conftest import load_study_runs, write_study


def returns(runs: Runs, configuration: str) -> pd.DataFrame:
    """Mean deterministic return, a row per evaluation and a column per seed."""
    rows = runs.table("evaluations")
    rows = rows[(rows["configuration"] == configuration) & (rows["mode"] == "deterministic")]
    return rows.pivot_table(index="episode", columns="seed", values="return", aggfunc="mean")


def test_difference_is_that_of_runs_of_one_seed(runs: Runs) -> None:
    table = differences(runs)
    own = table[table["configuration"] == "fmarl"].set_index("episode")
    by_seed = returns(runs, "fmarl") - returns(runs, "independent")
    # Of three seeds the interquartile mean leaves out none.
    np.testing.assert_allclose(own["difference"], by_seed.mean(axis=1))
    assert own["above"].tolist() == (by_seed > 0).sum(axis=1).tolist()
    assert (own["pairs"] == 3).all()
    assert own["difference_low"].isna().all()  # of three pairs there is no interval


def test_interval_of_a_difference_comes_from_five_pairs_or_more(make: Callable[..., Path]) -> None:
    grid = {"methods": ["independent", "fmarl"], "seeds": [0, 1, 2, 3, 4], "episodes": 10}
    own = differences(load_study_runs(make(**grid)))
    assert (own["difference_low"] <= own["difference"]).all()
    assert (own["difference"] <= own["difference_high"]).all()


def test_summaries_are_the_final_and_the_mean_difference_of_each_seed(
    make: Callable[..., Path],
) -> None:
    runs = load_study_runs(make(methods=["independent", "fmarl"], failed=("fmarl-seed1",)))
    table = summaries(runs)
    assert set(table["configuration"]) == {"fmarl"}
    final, training = (
        table[table["quantity"] == name].set_index("seed") for name in ("final", "training")
    )
    ends = runs.finished.set_index(["configuration", "seed"])["final_return"]
    for seed in (0, 2):
        expected = ends["fmarl", seed] - ends["independent", seed]
        assert final.loc[seed, "difference"] == pytest.approx(expected)
    by_seed = (returns(runs, "fmarl") - returns(runs, "independent")).mean()
    assert training["difference"].to_dict() == pytest.approx(by_seed.dropna().to_dict())
    assert list(final.index) == list(training.index) == [0, 2]
    assert table["difference_low"].isna().all()


def test_every_learning_configuration_is_there_but_the_one_compared_with(runs: Runs) -> None:
    learning = runs.index.loc[~runs.index["control"], "configuration"]
    assert set(differences(runs)["configuration"]) == set(learning) - {"independent"}


def test_seed_that_failed_on_either_side_is_no_pair(make: Callable[..., Path]) -> None:
    results = make(
        methods=["independent", "fmarl", "average"],
        topologies=["ring"],
        failed=("independent-seed0", "fmarl-seed1"),
    )
    runs = load_study_runs(results)
    table = differences(runs).set_index(["configuration", "episode"])
    assert set(table.loc["fmarl", "pairs"]) == {1}
    assert set(table.loc["average-ring", "pairs"]) == {2}
    expected = (returns(runs, "fmarl") - returns(runs, "independent"))[2]
    np.testing.assert_allclose(table.loc["fmarl", "difference"], expected)
    assert table.loc["fmarl", ["difference_low", "difference_high"]].isna().all(axis=None)


@pytest.mark.parametrize("methods", [["fmarl", "human"], ["independent", "human"]])
def test_study_with_nothing_to_compare_has_an_empty_table_that_says_so(
    make: Callable[..., Path], methods: list[str]
) -> None:
    table = differences(load_study_runs(make(methods=methods)))
    assert table.empty and "difference" in table
    assert "Nothing to compare" in markdown(table, "made")


def test_text_has_a_row_per_configuration_and_evaluation_with_true_minus_signs(runs: Runs) -> None:
    table = differences(runs)
    table["difference"] *= -1
    text = markdown(table, "made")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(table) + 2
    assert (table["difference"] < -0.001).any() and "−0.0" in text
    assert "of 3 |" in text
    assert "nan" not in text


def test_untrained_is_a_row_that_does_not_change(make: Callable[..., Path]) -> None:
    results = make(methods=["independent", "untrained"], seeds=list(range(5)), episodes=10)
    runs = load_study_runs(results)
    own = differences(runs)
    assert set(own["configuration"]) == {"untrained"} and own["episode"].tolist() == [0, 10]
    final = runs.index[runs.index["method"] == "untrained"].set_index("seed")["final_return"]
    pairs = (final - returns(runs, "independent")).to_numpy()
    expected = [np.sort(episode)[1:-1].mean() for episode in pairs]
    np.testing.assert_allclose(own["difference"], expected)
    assert "| untrained" in markdown(own, "made")


def test_each_beginning_is_compared_with_its_own_and_has_its_own_untrained(tmp_path: Path) -> None:
    """As in the study `transfer`: from scratch, and from the run of another study."""
    content = {
        "name": "synthetic", "description": "Made up.", "seeds": list(range(5)),
        "grid": {
            "methods": ["independent", "fmarl", "untrained"],
            "init_from.run": [None, "results/other/runs/fmarl-seed{seed}"],
        },
        "run": {"training": {"episodes": 10}},
    }  # fmt: skip
    study = parse_study(content, "synthetic study")
    results = write_study(study, tmp_path)
    write_tables(study, results)
    found = pd.read_csv(results / "tables/differences.csv")
    every = {config.configuration for config in study.runs().values()}
    assert set(found["configuration"]) == every - {"independent-from-scratch"}, "the reference"
    assert found["difference"].notna().all()
    final = load_study_runs(results).index.set_index(["configuration", "seed"])["final_return"]
    table = pd.read_csv(results / "tables/main.csv").set_index("configuration")
    for start in ("from-scratch", "from-fmarl"):
        gain = (final[f"fmarl-{start}"] - final[f"independent-{start}"]).sort_values()
        ahead = table.loc[f"fmarl-{start}", "ahead_of_independent"]
        assert ahead == pytest.approx(gain.iloc[1:-1].mean())
    assert table.loc["fmarl-from-fmarl", "ratio_to_fmarl"] == 1
