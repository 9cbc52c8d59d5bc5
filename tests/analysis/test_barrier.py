"""Synchronous rounds beside asynchronous ones: the table, and figures `barrier` and `staleness`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsm.analysis import barrier, figures
from rsm.analysis.figures import staleness
from rsm.analysis.load import Runs
from rsm.config.study import parse_study
from rsm.runs.files import write_table

from .conftest import load_study_runs, redrawn, texts, write_study

GRID = {
    "methods": ["fmarl", "rsm", "independent", "go"],
    "topologies": ["complete"],
    "communication.mode": ["synchronous", "asynchronous"],
    "communication.delay_mean": [1.0, 5.0],
}
LOSS = {
    "methods": ["fmarl"],
    "communication.mode": ["synchronous", "asynchronous"],
    "loss_rates": [0.5],
}
STUDY = {
    "name": "waits",
    "description": "made up",
    "seeds": [0, 1, 2, 3, 4],
    "target_return": 0.19,
    "grid": GRID,
    "also": [LOSS],
    "run": {
        "communication": {"delay": "lognormal", "delay_mean": 1.0},
        "training": {"episodes": 12},
        "evaluation": {"every": 4},
    },
}
WORLDS = ["delay 1 s", "delay 5 s", "delay 1 s + 50 % loss"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """In training synchronous runs reach a return of 0.2 in episode 10, asynchronous ones in episode 6."""
    folder = tmp_path_factory.mktemp("barrier")
    study = parse_study(STUDY, "made up")
    results = write_study(study, folder)
    for run_id, config in study.runs().items():
        first = 10 if config.communication.mode == "synchronous" else 6
        episodes = [
            {"episode": n, "env_steps": 1500 * n, "return": 0.2 if n >= first else 0.1}
            for n in range(1, 17 * config.learns)
        ]
        write_table(results / "runs" / run_id, "episodes", episodes)
    return load_study_runs(results)


def test_each_mode_has_a_row_in_every_world_and_losses_are_of_the_world(runs: Runs) -> None:
    table = barrier.table(runs)
    assert list(dict.fromkeys(table["world"])) == WORLDS
    counts = table.groupby(["world", "name"], sort=False)["communication_mode"].apply(list)
    assert set(counts.map(tuple)) == {("synchronous", "asynchronous")}
    assert set(table["name"]) == {"fmarl", "rsm"}, "who sends nothing has no mode"
    text = barrier.markdown(table, runs)
    assert "| delay 1 s + 50 % loss | fmarl" in text and "minutes to 0.19" in text


def test_modes_are_compared_in_pairs_of_a_seed_of_the_same_method_and_world(runs: Runs) -> None:
    table, finals = barrier.table(runs), runs.finished.set_index(["configuration", "seed"])
    assert table.loc[table["communication_mode"] == "synchronous", "ahead"].isna().all()
    assert set(table.loc[table["communication_mode"] == "asynchronous", "pairs"]) == {5}
    row = table.query("world == 'delay 5 s' and name == 'rsm'").set_index("communication_mode")
    own, other = (
        finals.loc[row.loc[mode, "configuration"], "final_return"]
        for mode in ("asynchronous", "synchronous")
    )
    ahead = np.sort((own - other).to_numpy())
    middle = ahead[1:4].mean()  # near the interquartile mean of five
    assert row.loc["asynchronous", "ahead"] == pytest.approx(middle, abs=np.ptp(ahead) / 4)


def test_time_to_the_target_is_simulated_time_and_never_is_later_than_any(runs: Runs) -> None:
    """The mean of five episodes is 0.2 in the fifth episode after the first such, of 150 s each."""
    table = barrier.table(runs).set_index("communication_mode")
    assert set(table.loc["asynchronous", "minutes_to_return"]) == {10 * 150 / 60}
    assert set(table.loc["synchronous", "minutes_to_return"]) == {14 * 150 / 60}
    higher = Runs(runs.study, runs.folder, runs.index, (), target_return=0.3)
    never = barrier.table(higher)
    assert never["minutes_to_return"].isna().all() and (never["reached"] == 0).all()
    _, figure = redrawn("barrier", figures.module("barrier").data(higher))
    assert "never" in texts(figure) and "rsm (async)" in texts(figure)


def test_study_of_one_mode_has_an_empty_table_and_says_so(runs: Runs) -> None:
    index = runs.index[runs.index["communication_mode"] != "asynchronous"]
    one = Runs(runs.study, runs.folder, index, (), target_return=0.19)
    table = barrier.table(one)
    assert table.empty and "no runs of both modes" in barrier.markdown(table, one)


def test_method_without_a_finished_run_is_named_and_has_dashes(runs: Runs) -> None:
    index = runs.index.copy()
    gone = (index["method"] == "rsm") & (index["communication_mode"] == "asynchronous")
    index.loc[gone, "status"] = "failed"
    rest = Runs(runs.study, runs.folder, index, (), target_return=0.19)
    [line] = [
        line
        for line in barrier.markdown(barrier.table(rest), rest).splitlines()
        if line.startswith("| delay 5 s") and "asynchronous" in line and "rsm" in line
    ]
    cells = [cell.strip() for cell in line.split("|")[5:-1]]
    assert cells == ["–"] * 6 and "0 of 5" in line
    _, figure = redrawn("barrier", figures.module("barrier").data(rest))
    assert "rsm (async) [no run finished]" in texts(figure)


def test_staleness_counts_each_segment_that_came_of_the_replica_that_was_judged_first() -> None:
    trace = pd.DataFrame(
        {
            "seed": 0,
            "agent": [4, 4, 5],
            "round": [7, 7, 7],
            "outcome": ["accepted", "rejected", "rejected"],
            "advantage": [1.0, 0.5, -1.0],
            "segment_ages": [[1.0, None], [2.0, 2.0], [9.0, 8.0]],
            "segment_updates": [[0, None], [1, 1], [3, 2]],
        }
    )
    segments = staleness.segments_of(trace)
    assert segments["age"].tolist() == [1, 9, 8] and segments["updates"].tolist() == [0, 3, 2]
    assert segments["acceptance"].tolist() == [100, 0, 0]
    assert segments["advantage"].tolist() == [1, -1, -1]


def test_old_segments_stand_to_the_right_of_young_ones(runs: Runs) -> None:
    data, figure = redrawn("staleness", figures.module("staleness").data(runs))
    line = data[data["label"] == "rsm (async, delay 1 s)"].sort_values("age")
    assert len(line) == staleness.BINS and line["age"].is_unique
    assert line["segments_counted"].max() < 1.2 * line["segments_counted"].min()
    assert "delay 5 s" in texts(figure)
