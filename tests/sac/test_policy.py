import math

import torch
from scipy import integrate

from rsm.sac.policy import SquashedGaussian

POLICY = SquashedGaussian(observation_size=2, action_size=1, hidden=(8,), scale=3.0)


def theta_of(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, POLICY.parameter_count, generator=generator, dtype=torch.float64)


def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States `[1, count, 2]` and noise `[1, count, 1]`."""
    generator = torch.Generator().manual_seed(count)
    both = torch.randn(1, count, 3, generator=generator, dtype=torch.float64)
    return both[..., :2], both[..., 2:]


def test_density_of_the_unit_action_integrates_to_one():
    theta, state = theta_of(0), torch.tensor([[[0.3, -0.2]]], dtype=torch.float64)

    def density(action: float) -> float:
        unit = torch.tensor([[[action]]], dtype=torch.float64)
        return math.exp(float(POLICY.log_density(theta, state, unit)))

    mass, _ = integrate.quad(density, -1, 1, limit=400)
    assert abs(mass - 1) < 1e-4


def test_log_density_of_a_sample_is_that_of_the_stored_action():
    theta, (states, noise) = theta_of(1), drawn(50)
    actions, log_pi = POLICY.sample(theta, states, noise)
    inside = actions.abs().squeeze(2) < 1 - 1e-5
    assert inside.sum() > 10
    stored = POLICY.log_density(theta, states, actions)
    torch.testing.assert_close(stored[inside], log_pi[inside], rtol=1e-5, atol=1e-5)


def test_stored_action_at_the_edge_has_a_finite_density():
    states = torch.zeros(1, 2, 2)
    edge = torch.tensor([[[1.0], [-1.0]]])
    assert torch.isfinite(POLICY.log_density(theta_of(2).float(), states, edge)).all()


def test_log_density_knows_nothing_of_the_scale():
    theta, (states, noise) = theta_of(3), drawn(5)
    actions, scaled = POLICY.sample(theta, states, noise)
    other = POLICY._replace(scale=1.0)
    assert torch.equal(other.sample(theta, states, noise)[1], scaled)
    stored = POLICY.log_density(theta, states, actions)
    assert torch.equal(other.log_density(theta, states, actions), stored)
