"""ROC curves and areas against counting; the table and figure of a small study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsm.config.study import parse_study
from rsm.errors import ConfigError
from rsm.exchange.frames import HEADER_SIZE
from rsm.runs.files import write_table
from rsm.theory.gate import gate_curves, gate_table, load_gate, states_table
from rsm.theory.roc import (
    interval,
    mean_interval,
    resampled_areas,
    roc_area,
    roc_area_interval,
    roc_curve,
)
from rsm.theory.write import write_part


def counted_area(scores: np.ndarray, gains: np.ndarray) -> float:
    pairs = scores[gains][:, None] - scores[~gains][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.mark.parametrize("ties", [False, True])
def test_area_is_the_share_of_pairs_in_the_right_order_and_that_below_the_curve(ties):
    generator = np.random.default_rng(1)
    scores = generator.normal(size=200)
    scores = np.round(scores) if ties else scores
    gains = generator.random(200) < 0.3
    curve = roc_curve(scores, gains)
    expected = counted_area(scores, gains)
    assert roc_area(scores, gains) == pytest.approx(expected)
    assert np.trapezoid(curve.true_positive, curve.false_positive) == pytest.approx(expected)
    assert curve.true_positive[0] == curve.false_positive[0] == 0
    assert curve.true_positive[-1] == curve.false_positive[-1] == 1


def test_perfect_judge_has_the_area_1_and_its_opposite_0():
    gains = np.array([True, True, False, False])
    assert roc_area(np.array([3.0, 2.0, 1.0, 0.0]), gains) == 1
    assert roc_area(np.array([0.0, 1.0, 2.0, 3.0]), gains) == 0
    assert roc_area(np.zeros(4), gains) == 0.5


def test_what_cannot_be_judged_counts_as_the_lowest_score():
    gains = np.array([True, False, False])
    assert roc_area(np.array([1.0, np.nan, 0.0]), gains) == 1
    assert roc_area(np.array([np.nan, -5.0, 0.0]), gains) == 0


def test_one_class_alone_has_no_curve():
    with pytest.raises(ValueError, match="gains and losses"):
        roc_area(np.zeros(3), np.ones(3, dtype=bool))


def test_interval_of_a_coin_holds_one_half_and_counts_probes_not_replicas():
    generator = np.random.default_rng(2)
    gains, scores = generator.random(300) < 0.5, generator.normal(size=300)
    one_run = np.zeros(300)
    low, high = roc_area_interval(scores, gains, one_run, np.arange(300) // 5, generator)
    assert low < 0.5 < high and high - low < 0.2
    twice = [np.repeat(part, 4) for part in (scores, gains, one_run, np.arange(300) // 5)]
    again = roc_area_interval(*twice, generator)
    assert again[1] - again[0] == pytest.approx(high - low, rel=0.2)
    assert np.isnan(roc_area_interval(scores, gains, one_run, np.zeros(300), generator)).all()


def study(**gate):
    content = {
        "name": "gated",
        "description": "t",
        "seeds": [0, 1],
        "grid": {"methods": ["rsm", "independent"], "topologies": ["ring"]},
        "run": {"gate": gate},
    }
    return parse_study(content, "gated")


ASKED = {"peers": 0.5, "peers:16": 4.0, "peers:64": 0.45}  # judge → noise of its A⁺, in gains


@pytest.fixture
def results(tmp_path):
    """Runs whose judge `own` is nearly right and whose `aug` is a coin; peers by noise."""
    generator = np.random.default_rng(3)
    for run_id in ("rsm-ring-p4-k3-seed0", "rsm-ring-p4-k3-seed1"):
        rows = []
        for episode in range(20):
            for agent in range(4):
                gain = float(generator.normal())
                common = {
                    "episode": episode,
                    "agent": agent,
                    "sources": [agent + 1],
                    "quadratic_form": 1.0,
                    "identical": agent == 3,
                    "return_without": 0.5,
                    "return_with": 0.5 + 0.01 * gain,
                    "gain_error": 0.005,
                }
                own = gain + 0.3 * float(generator.normal())
                rows.append(common | {"judge": "own", "advantage": own})
                rows.append(common | {"judge": "aug", "advantage": float(generator.normal())})
                for judge, noise in ASKED.items():
                    said = gain + noise * float(generator.normal())
                    rows.append(common | {"judge": judge, "advantage": said})
        write_table(tmp_path / "runs" / run_id, "gate", rows)
    return tmp_path


def test_table_tells_a_judge_from_a_coin_and_leaves_identical_replicas_out(results):
    table = gate_table(load_gate(study(replicas=4), results), np.random.default_rng(0))
    assert list(table["judge"]) == ["own", "aug", "peers"] * 2
    every = table[table["replicas_counted"] == "all"].set_index("judge")
    clear = table[table["replicas_counted"] == "clear"].set_index("judge")
    assert set(every["replicas"]) == {120} and set(every["probes"]) == {40}
    assert every.loc["own", "area"] > 0.9 and every.loc["own", "area_low"] > 0.8
    assert every.loc["aug", "area_low"] < 0.5 < every.loc["aug", "area_high"]
    assert every.loc["own", "gains_of_accepted"] > 80 > 20 > every.loc["own", "gains_of_rejected"]
    assert every.loc["own", "gain_accepted"] > 0 > every.loc["own", "gain_rejected"]
    assert every.loc["own", "gain_accepted_low"] > 0
    assert set(every["runs"]) == set(every["runs_accepting"]) == {2}
    coin = every.loc["aug", ["gain_accepted_low", "gain_accepted", "gain_accepted_high"]]
    assert coin.is_monotonic_increasing and coin.iloc[0] < 0 < coin.iloc[2]
    assert 0 < clear["replicas"].iloc[0] < 120 and clear.loc["own", "area"] > 0.97


def test_part_writes_the_same_files_again_and_draws_from_its_csv(results):
    paths = write_part("gate", study(replicas=4), results)
    assert [path.relative_to(results).as_posix() for path in paths] == [
        *("tables/gate.csv", "tables/gate.md", "tables/gate_states.csv", "tables/gate_states.md"),
        *("figures/gate.csv", "figures/gate.pdf", "figures/gate.png"),
    ]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_part("gate", study(replicas=4), results)] == first
    curves = pd.read_csv(results / "figures/gate.csv")
    assert set(curves["panel"]) == {"curves", "states"}
    dot = curves[(curves["judge"] == "own") & (curves["replicas_counted"] == "all")].iloc[0]
    assert dot["gate_true_positive"] > 0.8 > 0.2 > dot["gate_false_positive"]


def test_fewest_states_that_are_enough_are_told_on_the_same_replicas(results):
    table = states_table(load_gate(study(replicas=4), results), np.random.default_rng(0))
    every = table[table["replicas_counted"] == "all"].set_index("states")
    assert list(every.index) == [16, 64, 256] and set(every["replicas"]) == {120}
    assert list(every["enough"]) == [False, True, True]
    assert every.loc[16, "loss_low"] > 0.02 > every.loc[64, "loss"]
    assert tuple(every.loc[256, ["loss", "loss_low", "loss_high"]]) == (0, 0, 0)
    # Six observed numbers, two actions and the answer, four bytes each, for each of three jurors.
    assert every.loc[16, "question_bytes"] == 3 * (16 * 4 * 9 + 2 * HEADER_SIZE)


def test_areas_of_several_scores_are_resampled_together():
    """Two judges that are wrong alike differ by nothing, however wide the interval of each is."""
    generator = np.random.default_rng(4)
    gains, probes = generator.random(60) < 0.5, np.arange(60) // 6
    scores = gains + 2 * generator.normal(size=60)
    several = np.stack([scores, 3 * scores, -scores])
    areas = resampled_areas(several, gains, probes // 5, probes, generator)
    assert interval(areas[0] - areas[1]) == (0, 0)
    assert interval(areas[0] - areas[2])[0] > 0
    low, high = interval(areas[0])
    assert low < roc_area(scores, gains) < high


def test_interval_of_a_mean_is_over_runs_and_their_probes():
    generator = np.random.default_rng(5)
    values, probes, one_run = generator.normal(1, 1, size=400), np.arange(400) // 4, np.zeros(400)
    chosen = generator.random(400) < 0.5
    low, high = mean_interval(values, chosen, one_run, probes, generator)
    error = 1 / chosen.sum() ** 0.5
    assert low < values[chosen].mean() < high and high - low == pytest.approx(4 * error, rel=0.25)
    whole = np.repeat(values[:100], 4)  # four rows of a probe that say the same are one
    every = np.ones(400, dtype=bool)
    low, high = mean_interval(whole, every, one_run, probes, generator)
    assert high - low == pytest.approx(4 / 100**0.5, rel=0.3)
    # Five runs that differ by a standard deviation each, whatever their moments are.
    runs = np.arange(400) // 80
    apart = values + np.array([-1.3, -0.4, 0.2, 0.5, 1.0])[runs]
    low, high = mean_interval(apart, every, runs, probes, generator)
    assert high - low > 1 > mean_interval(values, every, one_run, probes, generator)[1] - 1
    assert np.isnan(mean_interval(values, ~every, runs, probes, generator)).all()


def test_accepted_replicas_of_one_moment_have_a_mean_and_no_interval():
    generator = np.random.default_rng(6)
    values, probes = generator.normal(1, 1, size=80), np.arange(80) // 4
    assert np.isnan(mean_interval(values, probes == 3, probes // 4, probes, generator)).all()


def test_without_gains_or_losses_there_is_a_table_and_an_empty_figure(results):
    for path in (results / "runs").glob("*/gate.parquet"):
        frame = pd.read_parquet(path)
        write_table(path.parent, "gate", frame.assign(return_with=0.9).to_dict("records"))
    measured = load_gate(study(replicas=4), results)
    table = gate_table(measured, np.random.default_rng(0))
    assert table["area"].isna().all() and (table["gains"] == 100).all()
    assert gate_curves(measured, table).empty
    assert write_part("gate", study(replicas=4), results)
    same = states_table(measured.assign(identical=True), np.random.default_rng(0))
    assert same.empty and "enough" in same


def test_study_that_measures_no_gate_is_refused(results):
    with pytest.raises(ConfigError, match=r"run\.gate\.replicas: 0 is not allowed"):
        load_gate(study(), results)


def test_missing_table_is_named(results):
    (results / "runs" / "rsm-ring-p4-k3-seed1" / "gate.parquet").unlink()
    with pytest.raises(ConfigError, match=r"seed1/gate\.parquet: cannot be read"):
        load_gate(study(replicas=4), results)
