import math

import pytest
import torch

from rsm.mixing.advantage import direct_advantage, importance_advantage


def enumerated(world, theta: torch.Tensor) -> torch.Tensor:
    """E_{a~π}[Q − α log π] of every state by a fine grid over the actions, `[N, B]`."""
    mean, _ = world.policy.gaussian(theta, world.states)
    points = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weights = torch.exp(-0.5 * points**2) / math.sqrt(2 * math.pi) * (points[1] - points[0])
    total = torch.zeros(mean.shape[:2], dtype=torch.float64)
    for point, weight in zip(points, weights, strict=True):
        actions, log_pi = world.policy.sample(
            theta, world.states, torch.full_like(mean, float(point))
        )
        total += weight * (world.q(world.states, actions) - world.alpha[:, None] * log_pi)
    return total


def repeated(world, times: int) -> torch.Tensor:
    return world.states.repeat(1, times, 1)


@pytest.mark.slow
def test_direct_estimate_is_unbiased_against_enumeration(make_world):
    world, times = make_world(1, states=6), 20_000
    other = world.theta + world.direction
    exact = enumerated(world, other) - enumerated(world, world.theta)
    states = repeated(world, times)
    shape = (2, states.shape[1], 1)
    noise = torch.randn(shape, generator=world.generator, dtype=torch.float64)
    drawn = direct_advantage(
        world.policy, world.theta, other, world.q, world.alpha, states, noise
    ).view(2, times, 6)
    error = drawn.mean(dim=1) - exact
    standard_error = drawn.std(dim=1) / math.sqrt(times)
    assert (error.abs() < 4.5 * standard_error).all()
    assert (standard_error < 0.05 * exact.abs().mean()).all()


@pytest.mark.slow
def test_importance_estimate_is_unbiased_where_the_behaviour_covers_both(make_world):
    world, times = make_world(1, states=6), 40_000
    other = world.theta + 0.3 * world.direction
    behaviour = world.theta + 0.1 * world.direction
    exact = enumerated(world, other) - enumerated(world, world.theta)
    states = repeated(world, times)
    shape = (2, states.shape[1], 1)
    noise = torch.randn(shape, generator=world.generator, dtype=torch.float64)
    actions, log_mu = world.policy.sample(behaviour, states, noise)
    drawn = importance_advantage(
        world.policy, world.theta, other, world.q, world.alpha, states, actions, log_mu
    ).view(2, times, 6)
    error = drawn.mean(dim=1) - exact
    assert (error.abs() < 4.5 * drawn.std(dim=1) / math.sqrt(times)).all()


def test_common_random_numbers_lower_the_variance(make_world):
    world = make_world(2, states=3000)
    other = world.theta + 0.1 * world.direction
    common = direct_advantage(
        world.policy, world.theta, other, world.q, world.alpha, world.states, world.noise
    )
    other_noise = torch.randn(world.noise.shape, generator=world.generator, dtype=torch.float64)
    actions, log_pi = world.policy.sample(world.theta, world.states, other_noise)
    apart_value = world.q(world.states, actions) - world.alpha[:, None] * log_pi
    actions, log_pi = world.policy.sample(other, world.states, world.noise)
    apart = world.q(world.states, actions) - world.alpha[:, None] * log_pi - apart_value
    assert (common.var(dim=1) < 0.1 * apart.var(dim=1)).all()


def test_a_policy_has_no_advantage_over_itself(make_world):
    world = make_world(3)
    gain = direct_advantage(
        world.policy, world.theta, world.theta, world.q, world.alpha, world.states, world.noise
    )
    assert (gain == 0).all()
