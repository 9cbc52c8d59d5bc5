"""Exactness of the reference for A⁺, and what the study's table of estimators is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsm.config.exchanging import Mixing
from rsm.theory.estimators import accuracy, estimates, exact_advantage, random_pool
from rsm.theory.trained import catching_up, referentials


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pool():
    return random_pool(generator(), kl=0.1, receivers=6, window=60)


def test_integral_agrees_with_a_large_sample(pool):
    exact = exact_advantage(pool)
    drawn = estimates(pool, "direct", 4000, 25, generator(1))
    error = drawn.mean(dim=1) - exact
    assert (error.abs() < 4.5 * drawn.std(dim=1) / 5).all()
    assert (drawn.std(dim=1) < exact.abs().max()).all()


def test_referential_policies_lie_at_the_distance_asked_for():
    for kl in (1e-3, 1e-1):
        distance = random_pool(generator(), kl, receivers=8, window=100).distance()
        assert 0.7 < float(distance.median()) / kl < 1.5


def test_default_estimator_beats_the_other_and_errs_less_with_more_samples():
    table = accuracy(random_pool(generator(2), 0.01, receivers=8), generator(3), repeats=20)
    error = table.set_index(["estimator", "samples"])["standard_error"]
    default, states = Mixing().advantage, Mixing().judged_states
    other = {"direct": "importance", "importance": "direct"}[default]
    assert error[default, 50] > error[default, 256] > error[default, 1024]
    assert error[default, states] < 0.1 * error[other, states]
    sign = table.set_index(["estimator", "samples"])["sign_right"]
    assert sign[default, states] > 85 and sign[default, states] > sign[other, states] + 10


def test_replicas_hold_no_segment_of_the_receiver_and_one_source_each():
    theta = torch.arange(5.0).unsqueeze(1).expand(5, 22).contiguous()
    joined = referentials(theta, segments=4, count=3, generator=np.random.default_rng(0))
    for replica in joined:
        for receiver in range(5):
            sources = replica[receiver].unique()
            assert len(sources) == 4 and receiver not in sources


def test_acceptance_falls_as_the_actor_catches_up_with_its_critic():
    pool = random_pool(generator(4), 0.3, receivers=8, window=80)
    replicas = pool.theta_tilde.unsqueeze(0)
    curve = catching_up(pool, replicas, (0, 150), rate=3e-3, generator=generator(5))
    assert curve["accepted"].iloc[1] == 0 < curve["accepted"].iloc[0]
    assert curve["gained"].iloc[1] > 0
