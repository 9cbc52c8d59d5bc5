"""Theorem 2 and the other ways of finding ζ, against exact returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rsm.config.exchanging import Mixing
from rsm.theory import mdp as worlds
from rsm.theory.exact import _summary, theorem2_example, wilson_interval
from rsm.theory.theorem2 import GATED, bound, pair, random_pairs, smallest_example, step_sizes


@pytest.fixture(scope="module")
def pairs():
    return random_pairs(np.random.default_rng(0), 10_000, spread=1.0)


def lowered(pairs, rule: str) -> tuple[int, int]:
    """(accepted steps that lower J, accepted steps)."""
    down = steps = 0
    for drawn in pairs:
        zeta = step_sizes(drawn, Mixing(rule=rule))
        assert (zeta >= 0).all() and (zeta <= 0.8).all()
        down += int((drawn.lowers(zeta) & (zeta > 0)).sum())
        steps += int((zeta > 0).sum())
    return down, steps


def test_certified_steps_never_lower_the_return(pairs):
    down, steps = lowered(pairs, "certified")
    assert down == 0 and steps > 8_000


def test_steps_of_theorem_2_lower_it_in_some_per_cent_of_draws(pairs):
    down, steps = lowered(pairs, "theorem2")
    assert steps >= 10_000
    assert 0.04 < down / steps < 0.09


def test_line_search_lowers_it_rarely(pairs):
    down, steps = lowered(pairs, "line-search")
    assert 0 < down / steps < 0.006 and steps > 8_000


def test_size_of_the_step_does_not_mend_its_direction(pairs):
    """At 1 % of the bound steps fail as often: the first-order gain is negative there."""
    small = downhill = 0
    for drawn in pairs:
        zeta = 0.01 * np.minimum(bound(drawn), 1)
        small += int(drawn.lowers(zeta).sum())
        downhill += int((drawn.first_order_gain() < 0).sum())
    assert small == pytest.approx(downhill, rel=0.05)
    assert small >= lowered(pairs, "theorem2")[0]


def test_smallest_example_loses_by_every_small_step_though_its_advantage_is_large():
    example = smallest_example()
    assert float(example.advantage[0]) == pytest.approx(0.814, abs=1e-3)
    limit = float(bound(example)[0])
    for share in (0.01, 0.1, 0.5, 0.75):
        assert example.gain(np.array([share * limit]))[0] < 0
    assert example.gain(np.array([1.0]))[0] > 5, "θ̃ itself is far better"
    data = theorem2_example()
    mixed = data[data["series"] == "mixture of distributions"]
    assert (mixed["gain"] >= 0).all(), "and so is every mixture of the distributions"


def test_one_state_with_two_actions_cannot_lose():
    """There π_ζ lies between π and π̃, where the return is concave."""
    generator = np.random.default_rng(5)
    mdp = worlds.random_mdp(generator, 3000, 1, 2)
    theta, tilde = (3 * generator.standard_normal((3000, 1, 2)) for _ in range(2))
    drawn = pair(mdp, theta, tilde)
    gains = drawn.gain(np.minimum(generator.uniform(0, 1, 3000) * bound(drawn), 1))
    assert (gains[drawn.advantage > 0] > -1e-12).all()


def test_form_is_the_second_derivative_of_the_divergence(pairs):
    for drawn in pairs[:3]:
        small = np.full_like(drawn.form, 1e-4)
        kl = worlds.kl_divergence(drawn.policy, drawn.moved(small))
        mean = worlds.expectation(drawn.evaluated.visitation, kl)
        np.testing.assert_allclose(mean / (0.5 * small**2), drawn.form, rtol=2e-2, atol=1e-6)


def test_first_order_gain_is_the_slope_of_the_return(pairs):
    for drawn in pairs[:3]:
        step = np.full_like(drawn.form, 1e-5)
        slope = (drawn.gain(step) - drawn.gain(-step)) / 2e-5
        np.testing.assert_allclose(slope, drawn.first_order_gain(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", GATED)
def test_pair_without_a_positive_advantage_is_not_mixed(rule, pairs):
    drawn = pairs[0]
    reverse = pair(drawn.mdp, drawn.theta, drawn.theta - drawn.direction)
    negative = reverse.advantage <= 0
    assert negative.sum() > 100
    assert (step_sizes(reverse, Mixing(rule=rule))[negative] == 0).all()


def test_interval_of_no_success_excludes_only_large_shares():
    low, high = wilson_interval(0, 10_000)
    assert low == 0 and 3e-4 < high < 5e-4


def test_shares_are_no_numbers_where_no_step_was_accepted():
    assert np.isnan(wilson_interval(0, 0)).all()
    none = pd.DataFrame({"zeta": [], "lowers": [], "gain": []}, dtype=float)
    row = _summary(1.0, "theorem2", none, draws=5, downhill=1)
    assert row["accepted"] == row["lowered"] == 0 and row["downhill_percent"] == 20
    assert np.isnan([row["lowered_percent"], row["lowered_high"], row["zeta_median"]]).all()
