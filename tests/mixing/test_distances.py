import pytest
import torch

from rsm.mixing.distances import kl_divergence, total_variation


def test_kl_and_total_variation_equal_numerical_integration(world):
    other = world.theta + world.direction
    mean, log_std = world.policy.gaussian(world.theta, world.states)
    other_mean, other_log_std = world.policy.gaussian(other, world.states)
    grid = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    kl = kl_divergence(world.policy, world.theta, other, world.states)
    tv = total_variation(world.policy, world.theta, other, world.states)
    for state in range(10):
        ours = torch.distributions.Normal(mean[0, state], log_std[0, state].exp())
        theirs = torch.distributions.Normal(other_mean[0, state], other_log_std[0, state].exp())
        p, p_other = ours.log_prob(grid), theirs.log_prob(grid)
        integral = torch.trapezoid(p.exp() * (p - p_other), grid)
        assert kl[0, state].item() == pytest.approx(integral.item(), rel=1e-6)
        integral = 0.5 * torch.trapezoid((p.exp() - p_other.exp()).abs(), grid)
        assert tv[0, state].item() == pytest.approx(integral.item(), rel=1e-4)


def test_total_variation_keeps_its_limits(world):
    same = total_variation(world.policy, world.theta, world.theta, world.states)
    assert (same == 0).all()
    far = world.theta.clone()
    far[:, -2] += 1e6  # the bias of the mean
    apart = total_variation(world.policy, world.theta, far, world.states)
    torch.testing.assert_close(apart, torch.ones_like(apart))


def test_total_variation_of_equal_spreads_has_one_crossing(world):
    shifted = world.theta.clone()
    shifted[:, -2] += 0.3
    _, log_std = world.policy.gaussian(world.theta, world.states)
    expected = torch.erf(0.3 / log_std.exp() / 2 / 2**0.5).squeeze(2)
    tv = total_variation(world.policy, world.theta, shifted, world.states)
    torch.testing.assert_close(tv, expected)
