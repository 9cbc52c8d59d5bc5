"""The main table: numbers by hand, conventions named, gaps shown."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import trim_mean

from rsm.analysis import TABLES as TABLE_FILES
from rsm.analysis.aggregate import figure_files, table_files, write_figures, write_tables
from rsm.analysis.export import markdown, marl_eval
from rsm.analysis.load import Runs
from rsm.analysis.tables import main_table, readable
from rsm.config.study import load_study
from rsm.errors import ConfigError
from rsm.runs.files import write_json, write_table
from rsm.runs.schema import TABLES

from .conftest import load_study_runs, small_study, write_study


@pytest.fixture(scope="module")
def table(runs: Runs) -> pd.DataFrame:
    """The main table by configuration."""
    return main_table(runs).set_index("configuration")


def test_every_configuration_has_a_row_and_controls_come_last(
    table: pd.DataFrame, runs: Runs
) -> None:
    assert set(table.index) == set(runs.index["configuration"])
    assert list(table.index[-4:]) == ["human", "random", "go", "platoon"]


def test_ratio_to_fmarl_is_that_of_the_interquartile_means(table: pd.DataFrame) -> None:
    row, central = table.loc["rsm-ring-p4-k3"], table.loc["fmarl"]
    assert row["ratio_to_fmarl"] == pytest.approx(row["return_iqm"] / central["return_iqm"])
    assert np.isnan(row["ratio_to_fmarl_low"])  # of three seeds there is no interval
    assert central["ratio_to_fmarl"] == 1


def test_gap_is_nothing_for_go_and_all_for_the_platoon(table: pd.DataFrame) -> None:
    assert table.loc["go", "gap_share"] == pytest.approx(0)
    assert table.loc["platoon", "gap_share"] == pytest.approx(1)
    assert table.loc[["go", "platoon"], ["gap_share_low", "gap_share_high"]].isna().all(axis=None)


def test_gap_share_is_that_of_the_interquartile_means_with_its_interval(
    table: pd.DataFrame,
) -> None:
    row, go, platoon = (
        table.loc[configuration] for configuration in ("rsm-ring-p4-k3", "go", "platoon")
    )
    gap = platoon["return_iqm"] - go["return_iqm"]
    assert row["gap_share"] == pytest.approx((row["return_iqm"] - go["return_iqm"]) / gap)
    assert np.isnan(row["gap_share_low"])


def test_final_differences_are_those_of_pairs_with_an_interval_from_five_seeds_on(
    make: Callable[..., Path],
) -> None:
    results = make(
        methods=["independent", "fmarl", "human"], seeds=list(range(5)), episodes=10,
        failed=("independent-seed3",),
    )  # fmt: skip
    runs = load_study_runs(results)
    table = main_table(runs).set_index("configuration")
    final = runs.index.pivot(index="seed", columns="configuration", values="final_return")
    row = table.loc["human"]
    pairs = (final["human"] - final["fmarl"]).to_numpy()
    assert row["ahead_of_fmarl"] == pytest.approx(float(np.sort(pairs)[1:-1].mean()))
    assert row["ahead_of_fmarl_low"] <= row["ahead_of_fmarl"] <= row["ahead_of_fmarl_high"]
    four = (final["human"] - final["independent"]).dropna()
    assert len(four) == 4 and np.isfinite(row["ahead_of_independent"])
    assert np.isnan(row["ahead_of_independent_low"])
    assert np.isnan(table.loc["fmarl", "ahead_of_fmarl"])


def test_returns_of_few_seeds_stand_beside_their_mean(table: pd.DataFrame) -> None:
    row = table.loc["fmarl"]
    seeds = [float(word) for word in row["return_points"].split()]
    assert len(seeds) == 3 and np.mean(seeds) == pytest.approx(row["return_iqm"], abs=1e-3)
    text = readable(table.reset_index()).set_index("method").loc["fmarl", "return"]
    assert text == f"{row['return_iqm']:.3f} ({', '.join(row['return_points'].split())})"


def test_controls_count_with_the_episodes_that_learners_are_judged_on(
    make: Callable[..., Path],
) -> None:
    results = make(methods=["fmarl", "human", "go", "platoon"], episodes=10)
    before = main_table(load_study_runs(results))
    for name in ("go", "platoon"):  # one more held-out episode, which ends in a collision
        for folder in (results / "runs").glob(f"{name}-*"):
            rows = pd.read_parquet(folder / "evaluations.parquet").to_dict("records")
            more = {"eval_seed": 99_999, "return": 0.01, "mean_speed": 0.2, "collisions": 1}
            write_table(folder, "evaluations", [*rows, rows[0] | more])
    runs = load_study_runs(results)
    pd.testing.assert_frame_equal(main_table(runs), before)
    assert (runs.index["final_return"] > 0.1).all()


def test_final_return_of_a_control_is_that_of_its_summary(make: Callable[..., Path]) -> None:
    results = make(methods=["go"])
    table = main_table(load_study_runs(results))
    found = [json.loads(file.read_text()) for file in results.glob("runs/go-*/summary.json")]
    middle = trim_mean([summary["final_return"] for summary in found], 0.25)
    assert table["return_iqm"].tolist() == [pytest.approx(middle)]


def test_study_of_controls_alone_counts_the_same_episodes(make: Callable[..., Path]) -> None:
    results = make(methods=["go"])
    for folder in (results / "runs").iterdir():
        rows = pd.read_parquet(folder / "evaluations.parquet").to_dict("records")
        write_table(
            folder, "evaluations", [*rows, rows[0] | {"eval_seed": 99_999, "collisions": 1}]
        )
    # Of three episodes, one had a collision; the fourth is one that no learner drives.
    assert main_table(load_study_runs(results))["crashed"].tolist() == [pytest.approx(1 / 3)]


def test_average_is_compared_on_the_same_topology(table: pd.DataFrame, runs: Runs) -> None:
    final = runs.finished.groupby("configuration")["final_return"].apply(np.array)
    x, y = final["rsm-ring-p4-k3"], final["average-ring"]
    expected = np.mean(x[:, None] > y[None, :])
    assert table.loc["rsm-ring-p4-k3", "improvement_over_average"] == pytest.approx(expected)
    assert np.isnan(table.loc["average-ring", "improvement_over_average"])


def test_rounds_to_the_target_are_counted_at_the_first_evaluation_that_reaches_it(
    table: pd.DataFrame, runs: Runs
) -> None:
    target = 0.95 * table.loc["fmarl", "return_iqm"]
    evaluations = runs.table("evaluations")
    chosen = evaluations[
        (evaluations["configuration"] == "rsm-ring-p4-k3")
        & (evaluations["mode"] == "deterministic")
    ]
    curve = chosen.groupby("episode")["return"].mean()
    episode = curve.index[curve >= target][0]
    assert table.loc["rsm-ring-p4-k3", "episode_to_target"] == episode
    assert table.loc["rsm-ring-p4-k3", "rounds_to_target"] == 2 * episode  # two rounds an episode
    assert np.isnan(table.loc["independent", "rounds_to_target"])


def test_bytes_are_those_of_the_summaries(table: pd.DataFrame, runs: Runs) -> None:
    rows = runs.finished[runs.finished["configuration"] == "average-ring"]
    assert table.loc["average-ring", "megabytes_sent"] == pytest.approx(
        rows["bytes_sent"].mean() / 1e6
    )
    assert table.loc["independent", "megabytes_sent"] == 0


def test_crashes_are_those_of_the_deterministic_evaluations(make: Callable[..., Path]) -> None:
    runs = load_study_runs(make(methods=["fmarl"], episodes=10))
    episodes = runs.table("evaluations")
    driven = episodes[episodes["mode"] == "deterministic"]
    expected = (driven["collisions"] > 0).mean()
    assert main_table(runs)["crashed"].iloc[0] == expected


def test_crashes_of_a_fleet_are_counted_loop_by_loop(make: Callable[..., Path]) -> None:
    results = make(methods=["fmarl"], episodes=10)
    runs = load_study_runs(results)
    # One collision in a third of the episodes: of nine loops each, that is one in 27.
    one = main_table(runs)["crashed"].iloc[0]
    runs.index["scenario"] = "fleet-figure-eight:9"
    assert main_table(runs)["crashed"].iloc[0] == pytest.approx(one / 9)


def test_sampled_actions_and_episodes_without_collision_have_returns_of_their_own(
    make: Callable[..., Path],
) -> None:
    runs = load_study_runs(make(methods=["fmarl", "human"], episodes=10, seeds=[0, 1, 2, 3, 4]))
    table = main_table(runs).set_index("configuration")
    part = runs.finished[runs.finished["method"] == "fmarl"]
    row, shown = table.loc["fmarl"], readable(main_table(runs)).set_index("method")
    sampled = part["final_return_stochastic"]
    assert row["return_stochastic_iqm"] == pytest.approx(trim_mean(sampled, 0.25))
    assert row["return_stochastic_low"] < row["return_stochastic_iqm"]
    episodes = runs.table("evaluations", part)
    driven = episodes[(episodes["mode"] == "deterministic") & (episodes["collisions"] == 0)]
    last = driven[driven["episode"] == driven["episode"].max()]  # a tenth of three evaluations
    expected = trim_mean(last.groupby("seed")["return"].mean(), 0.25)
    assert row["return_without_collision_iqm"] == pytest.approx(expected)
    assert row["return_without_collision_iqm"] != pytest.approx(row["return_iqm"], rel=1e-6)
    assert shown.loc["fmarl", "return without collision"].startswith(f"{expected:.3f} [")
    runs.index["scenario"] = "fleet-figure-eight:9"
    assert main_table(runs)["return_without_collision_iqm"].isna().all()


def test_seed_that_always_crashed_has_no_return_without_collision(
    make: Callable[..., Path],
) -> None:
    results = make(methods=["fmarl"], episodes=10)
    path = results / "runs/fmarl-seed1/evaluations.parquet"
    frame = pd.read_parquet(path).assign(collisions=1)
    write_table(path.parent, "evaluations", frame.to_dict("records"))
    table = main_table(load_study_runs(results))
    others = [
        _last_without_collision(results / f"runs/fmarl-seed{seed}/evaluations.parquet")
        for seed in (0, 2)
    ]
    assert table["return_without_collision_iqm"].iloc[0] == pytest.approx(np.mean(others))


def _last_without_collision(path: Path) -> float:
    frame = pd.read_parquet(path)
    own = frame[(frame["mode"] == "deterministic") & (frame["episode"] == frame["episode"].max())]
    return float(own.loc[own["collisions"] == 0, "return"].mean())


def test_failed_seeds_are_shown_and_do_not_count_as_returns(make: Callable[..., Path]) -> None:
    grid = {"methods": ["fmarl", "human"], "episodes": 10}
    runs = load_study_runs(make(failed=("fmarl-seed1",), **grid))
    table = main_table(runs)
    row = table.set_index("configuration").loc["fmarl"]
    assert (row["seeds"], row["failed"], row["finished"]) == (3, 1, 2)
    assert np.isfinite(row["return_iqm"])
    assert readable(table)["seeds"].iloc[0] == "2 of 3 (1 failed)"


def test_export_holds_the_seeds_that_every_method_has_and_the_table_says_so(
    make: Callable[..., Path],
) -> None:
    grid = {"methods": ["independent", "fmarl", "average"], "episodes": 10}
    results = make(failed=("independent-seed1",), **grid)
    for gone in ("fmarl-seed2", "average-radius90-seed0", "average-radius90-seed1"):
        (results / "runs" / gone / "summary.json").unlink()
    (results / "runs/average-radius90-seed2/summary.json").unlink()
    runs = load_study_runs(results)
    ((algorithms,),) = ([*tasks.values()] for tasks in marl_eval(runs).values())
    assert {name: set(seeds) for name, seeds in algorithms.items()} == {
        name: {"seed_0"} for name in ("independent", "fmarl", "average-ring")
    }, "what has no finished run takes nobody else's seeds away"
    assert "all methods with a finished run have (0)" in markdown(main_table(runs), runs)


def test_a_study_without_any_run_has_a_table_of_dashes(make: Callable[..., Path]) -> None:
    results = make(methods=["rsm", "human"], seeds=[0], episodes=10)
    study = load_study(results / "study.yaml")
    written = write_tables(study, results / "elsewhere")
    for text in (
        path.read_text()
        for path in written
        if path.stem == "main" and path.suffix in {".md", ".html"}
    ):
        assert "1 missing" in text
        assert "have no entry in marl_eval.json" in text
        assert "Missing runs: rsm-radius90-p1-k3-seed0" in text


def test_tables_are_written_in_every_form(results: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(results / "runs")
    written = write_tables(load_study(results / "study.yaml"), tmp_path)
    assert [path.name for path in written] == list(TABLE_FILES)
    assert written == table_files(tmp_path)
    contents = {path.name: path.read_text() for path in written}
    page, main, text, tex = (contents[f"main.{kind}"] for kind in ("html", "csv", "md", "tex"))
    rows, differences, apart = (
        contents[name] for name in ("runs.csv", "differences.md", "groups.md")
    )
    manifests, export = contents["manifests.jsonl"], contents["marl_eval.json"]
    settings = contents["settings.html"]
    assert "bytes / fmarl" in contents["pareto.md"]
    assert "megabytes_sent,payload_megabytes_per_agent" in main
    assert "sent (MB)" in text
    resolved = (results / "study.yaml").read_text()
    assert resolved in html.unescape(settings), "the report shows no YAML"
    assert page.count("<tr") == 1 + len(main.splitlines()) - 1
    assert "<th>crashed (%)</th>" in page
    assert "payload per agent (MB)" in text
    assert r"\toprule" in tex
    assert tex.isascii()
    first, second = tex.split(r"\begin{table*}")[1:]
    for part, columns in ((first, 13), (second, 13)):
        widths = {line.count("&") for line in part.splitlines() if line.endswith(r"\\")}
        assert widths == {columns - 1}
    assert r"\shortstack{rounds to 95\\\% of fmarl}" in first
    assert r"\shortstack{payload per\\agent (MB)}" in second
    count = len(load_study(results / "study.yaml").runs())
    assert len(rows.splitlines()) == 1 + count
    assert "difference to independent" in differences
    assert "No finished run has agents with returns of their own" in apart
    assert len(manifests.splitlines()) == count
    content = json.loads(export)["figure-eight"]["figure-eight"]
    seed = content["fmarl"]["seed_0"]
    assert list(seed) == ["step_0", "step_1", "step_2", "step_3", "absolute_metrics"]
    assert len(seed["step_1"]["return"]) == 3
    assert "human" not in content
    again = write_tables(load_study(results / "study.yaml"), tmp_path)
    assert {path.name: path.read_text() for path in again} == contents


def test_figures_are_written_where_they_are_announced(results: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(results / "runs")
    study = load_study(results / "study.yaml")
    written = write_figures(study, tmp_path, ["segments"])
    assert written == figure_files(tmp_path, ["segments"])
    assert all(path.stat().st_size for path in written)


def test_an_unknown_figure_draws_nothing(results: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(results / "runs")
    with pytest.raises(ConfigError, match="'pie' is not allowed"):
        write_figures(load_study(results / "study.yaml"), tmp_path, ["segments", "pie"])
    assert not (tmp_path / "figures").exists()


def test_time_to_the_target_return_is_the_first_five_episodes_that_have_it(tmp_path: Path) -> None:
    study = small_study(methods=["average", "independent", "human"], topologies=["ring"])
    study = study.model_copy(update={"target_return": 0.3})
    results = write_study(study, tmp_path)
    # Seeds reach it at episodes 9, 14 and never; a round falls in every second episode.
    for seed, jump in enumerate((5, 10, 99)):
        for configuration in ("average-ring", "independent"):
            folder = results / "runs" / f"{configuration}-seed{seed}"
            row = dict.fromkeys(TABLES["episodes"], 0)
            rows = [
                row | {"episode": e, "return": 0.31 if e >= jump else 0.29} for e in range(1, 31)
            ]
            write_table(folder, "episodes", rows)
            if configuration != "independent":
                row = dict.fromkeys(TABLES["rounds"], 0)
                rows = [row | {"round": e // 2, "episode": e} for e in range(2, 31, 2)]
                write_table(folder, "rounds", rows)
    table = main_table(load_study_runs(results)).set_index("configuration")
    average = table.loc["average-ring"]
    assert (average["reached"], average["finished"]) == (2, 3)
    # The mean of five reaches 0.3 with three of them at 0.31: two episodes after the jump.
    assert average["episode_to_return"] == 12
    assert average["rounds_to_return"] == 6
    assert table.loc["independent", "episode_to_return"] == 12
    assert np.isnan(table.loc["independent", "rounds_to_return"])
    assert np.isnan(table.loc["human", "reached"])
    shown = readable(table.reset_index()).set_index("method")["rounds to 0.3"]
    assert shown["average"] == "6 (ep. 12), 2 of 3 seeds"
    assert shown["independent"] == "– (ep. 12), 2 of 3 seeds"
    assert shown["human"] == "–"


def test_manifests_of_all_runs_lie_beside_the_tables(tmp_path: Path) -> None:
    study = small_study(methods=["average", "human"], topologies=["ring"])
    results = write_study(study, tmp_path)
    gone = results / "runs/human-seed2"
    (gone / "summary.json").unlink()
    (gone / "manifest.json").unlink()
    write_tables(study, results)
    lines = (results / "tables/manifests.jsonl").read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1, 2, 0, 1]
    (results / "runs/human-seed0/manifest.json").write_text("{")
    with pytest.raises(ConfigError, match=r"human-seed0/manifest\.json: cannot be read: .*JSON"):
        write_tables(study, results)


def test_runs_of_two_kinds_of_device_are_not_mixed_in_one_study(tmp_path: Path) -> None:
    study = small_study(methods=["average", "human"], topologies=["ring"])
    results = write_study(study, tmp_path)
    for run_id in study.runs():
        device = "cpu" if "human" in run_id or run_id.endswith("seed2") else "cuda:0"
        write_json(results / "runs" / run_id / "manifest.json", {"device": device})
    words = (
        r"device: cuda \(as average-ring-seed0\) and cpu \(as average-ring-seed2\) are not allowed"
    )
    with pytest.raises(ConfigError, match=words):
        write_tables(study, results)
    with pytest.raises(ConfigError, match=words):
        write_figures(study, results, ["learning_curves"])
    assert not (results / "tables").exists() and not (results / "figures").exists()
    write_json(results / "runs/average-ring-seed2/manifest.json", {"device": "cuda:1"})
    assert write_tables(study, results), "controls have nothing to compute on a GPU"


def test_readable_tables_take_the_column_of_the_target_return(tmp_path: Path) -> None:
    study = small_study(methods=["average"], topologies=["ring"])
    study = study.model_copy(update={"target_return": 0.3})
    results = write_study(study, tmp_path)
    write_tables(study, results)
    for name, head in (
        ("md", "rounds to 0.3"),
        ("html", "rounds to 0.3"),
        ("tex", r"rounds to\\0.3"),
    ):
        text = (results / "tables" / f"main.{name}").read_text()
        assert head in text and "Rounds to 0.3: communication rounds until" in text
