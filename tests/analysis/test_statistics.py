"""Statistics against rliable and scipy, and properties that hold for any scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import trim_mean

from rsm.analysis.statistics import (
    FEWEST,
    few,
    interquartile_mean,
    interquartile_mean_estimate,
    performance_profile,
    performance_profile_interval,
    probability_of_improvement,
    probability_of_improvement_estimate,
    ratio_of_interquartile_means,
    share_of_gap,
    stratified_bootstrap_interval,
)

RLIABLE = json.loads(Path(__file__).with_name("rliable_reference.json").read_text())["cases"]
returns = st.floats(0, 1).map(lambda value: round(value, 3))
runs = st.integers(1, 12).flatmap(lambda count: arrays(np.float64, count, elements=returns))
fast = settings(max_examples=25, deadline=None)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("case", RLIABLE)
def test_interquartile_mean_and_its_interval_agree_with_rliable(case: dict[str, Any]) -> None:
    value, low, high = interquartile_mean_estimate(case["x"], generator())
    assert value == pytest.approx(case["iqm"], abs=1e-12)
    if few(case["x"]):  # where ours gives none
        assert np.isnan([low, high]).all()
        return
    # 2 000 resamples of ours against 20 000 of theirs: the ends of an interval wander a little.
    width = case["iqm_interval"][1] - case["iqm_interval"][0]
    assert [low, high] == pytest.approx(case["iqm_interval"], abs=0.08 * width)


@pytest.mark.parametrize("case", RLIABLE)
def test_probability_of_improvement_agrees_with_rliable(case: dict[str, Any]) -> None:
    value, low, high = probability_of_improvement_estimate(case["x"], case["y"], generator())
    assert value == pytest.approx(case["improvement"], abs=1e-12)
    if few(case["x"], case["y"]):
        assert np.isnan([low, high]).all()
        return
    assert [low, high] == pytest.approx(case["improvement_interval"], abs=0.04)


@pytest.mark.parametrize("case", RLIABLE)
def test_performance_profile_agrees_with_rliable(case: dict[str, Any]) -> None:
    thresholds = case["thresholds"]
    assert performance_profile(case["x"], thresholds) == pytest.approx(case["profile"], abs=1e-12)
    interval = performance_profile_interval(case["x"], thresholds, generator())
    if few(case["x"]):
        assert np.isnan(interval).all()
        return
    step = 1 / np.size(case["x"])  # an end lies on one of so many fractions
    assert np.asarray(interval) == pytest.approx(
        np.array(case["profile_interval"]), abs=step + 0.01
    )


def test_interquartile_mean_of_three_seeds_is_their_mean() -> None:
    assert interquartile_mean([0.1, 0.2, 0.6]) == pytest.approx(0.3)


def test_interquartile_mean_of_eight_leaves_two_out_at_either_end() -> None:
    assert interquartile_mean([-100, 0, 1, 2, 3, 4, 50, 90]) == pytest.approx(2.5)


@fast
@given(runs)
def test_interquartile_mean_is_scipys_trimmed_mean(scores: np.ndarray) -> None:
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25))


def test_interquartile_mean_along_an_axis_treats_each_column_alone() -> None:
    scores = generator().random((9, 4))
    each = [interquartile_mean(column) for column in scores.T]
    assert interquartile_mean(scores, axis=0) == pytest.approx(np.array(each))


def test_no_scores_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        interquartile_mean([])
    with pytest.raises(ValueError, match="at least one run"):
        stratified_bootstrap_interval([[1.0], []], generator())


@fast
@given(runs)
def test_interval_stays_within_the_scores(scores: np.ndarray) -> None:
    low, high = stratified_bootstrap_interval([scores], generator(), resamples=200)
    if len(scores) < FEWEST:
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        assert scores.min() - 1e-12 <= low <= high <= scores.max() + 1e-12


def test_resampling_never_mixes_strata() -> None:
    low, high = stratified_bootstrap_interval([[0.0] * 5, [1.0] * 5], generator(), np.mean)
    assert (low, high) == (0.5, 0.5)  # mixed strata would spread around 0.5


def test_interval_of_curves_has_their_shape_and_depends_on_the_generator_alone() -> None:
    curves = generator().random((5, 7))
    first = stratified_bootstrap_interval([curves], np.random.default_rng(1))
    again = stratified_bootstrap_interval([curves], np.random.default_rng(1))
    other = stratified_bootstrap_interval([curves], np.random.default_rng(2))
    assert first[0].shape == (7,)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(3).normal(0, 1, (200, 30))
    covered = [
        low <= 0 <= high
        for low, high in (
            stratified_bootstrap_interval([draw], generator(), np.mean, resamples=400)
            for draw in draws
        )
    ]
    assert 0.88 <= np.mean(covered) <= 0.98


@fast
@given(runs, runs)
def test_improvements_of_two_methods_over_each_other_add_up_to_one(
    x: np.ndarray, y: np.ndarray
) -> None:
    total = probability_of_improvement([x], [y]) + probability_of_improvement([y], [x])
    assert total == pytest.approx(1)


def test_improvement_is_certain_where_every_run_is_better() -> None:
    assert probability_of_improvement([[2, 3]], [[0, 1, 1]]) == 1
    assert probability_of_improvement([[2, 3], [0]], [[0, 1], [1]]) == 0.5


def test_improvement_needs_strata_that_pair() -> None:
    with pytest.raises(ValueError, match="must pair"):
        probability_of_improvement([[1.0], [2.0]], [[1.0], [2.0], [3.0]])


def test_stratum_against_several_is_one_sample_and_not_several() -> None:
    """Its interval is as wide as the runs of the one side make it; copies of them would narrow it."""
    draws = np.random.default_rng(1)
    several, one = list(draws.normal(size=(3, 10))), draws.normal(size=10)
    shared = probability_of_improvement_estimate(several, [one], generator())
    copied = probability_of_improvement_estimate(several, [one] * 3, generator())
    assert shared.value == pytest.approx(copied.value)
    assert shared.high - shared.low > 1.15 * (copied.high - copied.low)
    mirrored = probability_of_improvement_estimate([one], several, generator())
    assert mirrored.value == pytest.approx(1 - shared.value)


@fast
@given(runs)
def test_performance_profile_falls_from_one_to_zero(scores: np.ndarray) -> None:
    profile = performance_profile([scores], np.linspace(-0.1, 1.1, 25))
    assert profile[0] == 1
    assert profile[-1] == 0
    assert (np.diff(profile) <= 0).all()


@fast
@given(runs, st.floats(0.1, 10))
def test_ratio_does_not_depend_on_the_unit(scores: np.ndarray, unit: float) -> None:
    x, y = scores + 0.1, scores[::-1] * 0.5 + 0.2
    plain = ratio_of_interquartile_means([x], [y], generator())
    scaled = ratio_of_interquartile_means([x * unit], [y * unit], generator())
    assert scaled == pytest.approx(plain, nan_ok=True)


def test_ratio_by_hand_with_an_interval_around_it() -> None:
    runs = [[1, 2, 2, 2, 3]], [[4] * 5]
    value, low, high = ratio_of_interquartile_means(*runs, generator())
    assert value == pytest.approx(0.5)
    assert 0.25 <= low < value < high <= 0.75


def test_interval_of_a_comparison_comes_from_pairs_where_seeds_are_the_same() -> None:
    """Seeds that differ much and a lead that does not: pairs see the lead, runs drawn apart do not."""
    seeds = np.linspace(0.1, 0.9, 9)
    for compare in (ratio_of_interquartile_means, probability_of_improvement_estimate):
        apart = compare([1.1 * seeds], [seeds], generator())
        pairs = compare([1.1 * seeds], [seeds], generator(), paired=True)
        assert pairs.value == apart.value
        assert pairs.high - pairs.low < 0.5 * (apart.high - apart.low)
    ratio = ratio_of_interquartile_means([1.1 * seeds], [seeds], generator(), paired=True)
    assert ratio == pytest.approx((1.1, 1.1, 1.1))
    own = share_of_gap([seeds + 0.5], [seeds], [seeds + 1], generator(), paired=True)
    assert own == pytest.approx((0.5, 0.5, 0.5))


def test_pairs_need_equally_many_runs() -> None:
    with pytest.raises(ValueError, match=r"pairs need equally many runs, got \[5, 6\]"):
        ratio_of_interquartile_means([[1.0] * 5], [[1.0] * 6], generator(), paired=True)


def test_four_seeds_have_a_number_and_no_interval_and_five_have_both() -> None:
    for count, known in ((4, False), (5, True)):
        scores = [list(np.arange(1.0, count + 1))]
        estimates = (
            interquartile_mean_estimate(scores, generator()),
            ratio_of_interquartile_means(scores, scores, generator()),
            probability_of_improvement_estimate(scores, scores, generator()),
            share_of_gap(scores, [[0.0] * count], [[10.0] * count], generator()),
        )
        for estimate in estimates:
            assert np.isfinite(estimate.value)
            assert np.isfinite([estimate.low, estimate.high]).all() == known


@pytest.mark.parametrize("reference", [[0.0, 0.0], [-1.0, -2.0]])
def test_ratio_to_nothing_or_to_a_loss_is_unknown(reference: list[float]) -> None:
    assert np.isnan(ratio_of_interquartile_means([[1.0, 2.0]], [reference], generator())).all()
