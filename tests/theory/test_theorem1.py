"""Theorem 1 on random draws, and that the check can fail."""

from __future__ import annotations

import numpy as np
import pytest

from rsm.theory import mdp as worlds
from rsm.theory.theorem1 import random_draws, random_pair, theorem1, tight_example


@pytest.fixture(scope="module")
def drawn():
    return random_draws(np.random.default_rng(0), 12_000)


def test_bound_holds_on_every_one_of_more_than_ten_thousand_draws(drawn):
    sides, beta = drawn
    assert len(beta) >= 10_000
    assert np.isfinite(sides.bound).all() and np.isfinite(sides.gain).all()
    assert not sides.violated().any()
    # The draws are not trivial: the bound promises a gain in some, and both signs of A⁺ occur.
    assert (sides.bound > 0).sum() > 200
    assert 0.3 < (sides.advantage > 0).mean() < 0.7


def test_check_fails_once_the_penalty_is_scaled_down(drawn):
    sides, _ = drawn
    violated = [int(sides.violated(scale).sum()) for scale in (0.3, 0.1, 0.0)]
    assert 0 < violated[0] < violated[1] < violated[2]


def test_check_fails_without_the_factor_of_two_of_the_penalty_or_the_square_of_beta():
    """On the tight example a constant of half the size, or β³ instead of β², is found out."""
    sides = theorem1(*tight_example(), np.array([0.01]))
    assert not sides.violated().any()
    assert sides.violated(0.5).all() and sides.violated(0.01).all()


def test_penalty_is_needed_whole_as_the_mixture_vanishes():
    needed = [
        float(theorem1(*tight_example(), np.array([beta])).needed[0]) for beta in (0.1, 0.01, 0.001)
    ]
    assert needed[0] < needed[1] < needed[2] < 1
    # d of the mixture in the second state is γβ/(1−γ+γβ), of which the penalty takes γβ/(1−γ).
    assert needed[2] == pytest.approx(0.1 / (0.1 + 0.9 * 0.001), rel=1e-6)


def test_bound_is_an_equality_where_nothing_is_mixed():
    mdp = worlds.random_mdp(np.random.default_rng(1), 20, 4, 3)
    policy, other = random_pair(np.random.default_rng(2), mdp)
    sides = theorem1(mdp, policy, other, np.zeros(20))
    np.testing.assert_allclose(sides.gain, 0, atol=1e-10)
    np.testing.assert_allclose(sides.bound, 0, atol=1e-10)
