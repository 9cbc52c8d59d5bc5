"""Which runs are driven once more, and how their trajectories are drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rsm.analysis.figures import space_time
from rsm.analysis.load import Runs
from rsm.analysis.trajectories import trajectory_runs
from rsm.config.study import load_study, study_file
from rsm.errors import ConfigError

from .conftest import load_study_runs, redrawn, small_study, texts, write_trajectory


def drawn(data: pd.DataFrame) -> Figure:
    return redrawn("space_time", data)[1]


def test_one_run_per_method_and_way_of_finding_zeta_of_the_first_seed_has_a_trajectory() -> None:
    assert trajectory_runs(small_study(seeds=[4, 0])) == (
        "human-seed4",
        "independent-seed4",
        "average-radius90-seed4",
        "segment-average-radius90-p4-k3-seed4",
        "fmarl-seed4",
        "rsm-radius90-p4-k3-seed4",
        "rsm-trust-region-radius90-p4-k3-seed4",
        "masac-seed4",
        "shared-policy-seed4",
        "platoon-seed4",
    )
    assert trajectory_runs(small_study(methods=["rsm"], segments=[1, 2], rules=["theorem2"])) == (
        "rsm-radius90-p2-k3-seed0",
    )
    assert trajectory_runs(small_study(methods=["random"])) == ()


def test_what_is_shared_has_a_trajectory_apart_where_it_varies() -> None:
    grid = {"topologies": ["ring"], "rules": ["theorem2"], "share": ["actor", "actor+critic"]}
    assert trajectory_runs(small_study(methods=["independent", "fmarl", "rsm"], **grid)) == (
        "independent-seed0",
        "fmarl-seed0",
        "fmarl-actor+critic-seed0",
        "rsm-ring-p4-k3-seed0",
        "rsm-ring-p4-k3-actor+critic-seed0",
    )


def test_each_judge_and_each_version_of_the_published_code_has_a_trajectory() -> None:
    grid = {"topologies": ["ring"], "rules": ["theorem2"]}
    assert trajectory_runs(small_study(methods=["rsm"], judges=["own", "peers"], **grid)) == (
        "rsm-ring-p4-k3-seed0",
        "rsm-peers-ring-p4-k3-seed0",
    )
    published = trajectory_runs(load_study(study_file("published")))
    assert {"rsm-radius90-p4-k3-seed0", "rsm-coin-radius90-p4-k3-seed0"} < set(published)
    assert sum("-aug-" in name or "-jul-" in name for name in published) == 2


def test_a_way_over_the_seam_is_cut_there_and_no_piece_crosses_the_panel() -> None:
    time, position = np.arange(4.0), np.array([80.0, 95.0, 10.0, 25.0])
    pieces, speeds = space_time.segments(time, position, np.array([15.0, 15, 15, 17]), 100.0)
    assert pieces.tolist() == [
        [[0, 80], [1, 95]],
        [[1, 95], [pytest.approx(1 + 1 / 3), 100]],
        [[2, 10], [3, 25]],
        [[pytest.approx(1 + 1 / 3), 0], [2, 10]],
    ]
    assert speeds.tolist() == [15, 15, 16, 15]


def test_a_teleported_vehicle_leaves_a_gap() -> None:
    position = np.array([10.0, np.nan, 90.0, 95.0, 60.0])
    pieces, _ = space_time.segments(np.arange(5.0), position, np.ones(5), 100.0)
    assert pieces.tolist() == [[[2, 90], [3, 95]]]


def test_every_panel_draws_each_vehicle_and_learners_thicker(runs: Runs) -> None:
    figure = drawn(space_time.data(runs))
    panels = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert len(panels) == len(runs.with_trajectory) >= 8
    for axis in panels:
        widths = [lines.get_linewidth()[0] for lines in axis.collections]
        human = axis.get_title(loc="left").startswith("human")
        assert len(widths) == 14
        assert widths.count(space_time.WIDTHS["yes"]) == (0 if human else 1)
    assert "Training seed 0" in texts(figure)
    assert "traffic seed 1000000" in texts(figure)


def test_only_the_first_loop_of_several_is_drawn(make: Callable[..., Path]) -> None:
    results = make(methods=["fmarl"], seeds=[0], episodes=10)
    config = small_study(methods=["fmarl"], seeds=[0], episodes=10).runs()["fmarl-seed0"]
    write_trajectory(results, config, loops=3)
    data = space_time.data(load_study_runs(results))
    assert data["vehicle"].dropna().unique().tolist() == list(range(14))


def test_approach_that_joins_a_road_is_drawn_below_it_and_no_vehicle_twice(
    make: Callable[..., Path],
) -> None:
    results = make(methods=["fmarl"], seeds=[0], episodes=10)
    config = small_study(methods=["fmarl"], seeds=[0], episodes=10).runs()["fmarl-seed0"]
    vehicles = {  # one on the main road, one that joins it
        "time": [0.0, 1, 2, 0, 1, 2],
        "vehicle": [0, 0, 0, 1, 1, 1],
        "route": [0, 0, 0, 1, 1, 0],
        "position": [100.0, 110, 120, 480, 490, 510],
        "speed": [10.0] * 6,
        "learner": [True] * 3 + [False] * 3,
    }
    about = {"ranges": [[0.0, 600.0], [400.0, 500.0]], "period": None, "meetings": [500.0]}
    write_trajectory(results, config, columns=vehicles, about=about)
    axis = drawn(space_time.data(load_study_runs(results))).axes[0]
    ways = [lines.get_segments() for lines in axis.collections]
    places = sorted(np.concatenate(way)[:, 1].tolist() for way in ways if way)
    assert places == [[-60.0, -50.0], [100.0, 110.0, 110.0, 120.0]]
    assert axis.get_ylim() == (-140.0, 600.0)
    assert axis.get_yticks().min() >= 0


def test_a_run_that_failed_or_has_no_trajectory_keeps_a_panel_that_says_so(
    make: Callable[..., Path],
) -> None:
    results = make(methods=["fmarl", "average", "independent"], seeds=[0], failed=("fmarl-seed0",))
    (results / "space_time" / "independent-seed0.parquet").unlink()
    text = texts(drawn(space_time.data(load_study_runs(results))))
    assert "run failed" in text
    assert "no trajectory" in text


def test_a_trajectory_of_other_settings_is_not_shown(make: Callable[..., Path]) -> None:
    results = make(methods=["fmarl", "average"], seeds=[0], episodes=10)
    [same] = small_study(methods=["fmarl"], seeds=[0], episodes=10).runs().values()
    other = same.model_copy(update={"sac": same.sac.model_copy(update={"tau": 0.5})})
    write_trajectory(results, other)
    runs = load_study_runs(results)
    assert runs.trajectory("fmarl-seed0") is None
    assert "no trajectory" in texts(drawn(space_time.data(runs)))


def test_a_damaged_trajectory_is_named(make: Callable[..., Path]) -> None:
    results = make(methods=["fmarl"], seeds=[0], episodes=10)
    (results / "space_time" / "fmarl-seed0.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"fmarl-seed0\.parquet: cannot be read"):
        space_time.data(load_study_runs(results))


def test_the_time_after_a_collision_is_marked(runs: Runs) -> None:
    data = space_time.data(runs).reset_index(drop=True)
    late = (data["configuration"] == "fmarl") & (data["time"].fillna(0) > 8)
    data = data[~late]
    data.loc[(data["configuration"] == "fmarl") & data["time"].isna(), "collisions"] = 1
    assert texts(drawn(data)).split("\n").count("collision") == 1
