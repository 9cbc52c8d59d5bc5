"""The final performance of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rsm.runs.performance import final_performance, judged
from rsm.training.run import train


def evaluations(returns: dict[int, list[float]], mode: str = "deterministic") -> pa.Table:
    """Rows of one evaluation an episode: its returns on seeds 100, 101, …"""
    rows = [
        {"episode": episode, "mode": mode, "eval_seed": 100 + k, "return": value, "mean_speed": 2.0}
        for episode, values in returns.items()
        for k, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows)


def test_final_return_is_the_mean_of_the_last_tenth_of_the_evaluations() -> None:
    table = evaluations({episode: [0.01 * episode] * 2 for episode in range(20)})
    assert final_performance(table, 2)["final_return"] == pytest.approx((0.18 + 0.19) / 2)


@pytest.mark.parametrize(("count", "last"), [(1, 1), (6, 1), (10, 1), (11, 2), (32, 4)])
def test_tenth_of_the_evaluations_is_rounded_up(count: int, last: int) -> None:
    table = evaluations({episode: [float(episode >= count - last)] for episode in range(count)})
    assert final_performance(table, 1)["final_return"] == 1.0
    table = evaluations({episode: [float(episode == count - last)] for episode in range(count)})
    assert final_performance(table, 1)["final_return"] == pytest.approx(1 / last)


def test_seeds_beyond_those_of_learners_count_in_no_final_number() -> None:
    table = evaluations({0: [0.2, 0.3, 0.0]})
    assert final_performance(table, 2)["final_return"] == pytest.approx(0.25)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_return_that_is_not_finite_is_no_number_and_not_left_out_of_a_mean(value: float) -> None:
    found = final_performance(evaluations({0: [0.2, value]}), 2)
    assert found["final_return"] is None
    assert found["final_return_stochastic"] is None, "not driven"
    assert found["final_mean_speed"] == 2.0


def test_control_is_judged_in_its_summary_on_the_seeds_that_learners_drive(
    tiny: Any, tmp_path: Path
) -> None:
    config = tiny(method="go", evaluation={"episodes": 1, "control_episodes": 3})
    summary = train(config, tmp_path / "run")
    driven = pd.read_parquet(tmp_path / "run/evaluations.parquet")
    assert len(driven) == 3 and driven["return"].nunique() == 3
    assert summary["final_return"] == judged(driven, 1)["return"].mean() != driven["return"].mean()
