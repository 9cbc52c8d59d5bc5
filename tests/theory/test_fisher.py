"""q against an explicit Fisher matrix of per-sample gradients, in float64, to 1e-5."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rsm.mixing.fisher import fisher_quadratic_form
from rsm.sac.policy import SquashedGaussian


@pytest.mark.parametrize(("seed", "actions"), [(0, 1), (1, 1), (2, 2)])
def test_form_equals_per_sample_gradients_weighted_by_quadrature(seed, actions):
    """E_a of the squared directional score by Gauss–Hermite nodes, which are exact for it: it is a
    polynomial of degree 4 in the noise. Every node is one sample with its own gradient of log π."""
    policy = SquashedGaussian(observation_size=3, action_size=actions, hidden=(5, 4), scale=3.0)
    draw = torch.Generator().manual_seed(seed)
    size = policy.parameter_count
    theta, direction = (
        0.4 * torch.randn(1, size, generator=draw, dtype=torch.float64) for _ in "ab"
    )
    theta[:, -actions:] -= 1.5
    states = torch.randn(1, 7, 3, generator=draw, dtype=torch.float64)

    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    mesh = torch.from_numpy(np.stack(np.meshgrid(*[nodes] * actions), axis=-1)).reshape(-1, actions)
    weight = np.prod(np.meshgrid(*[weights / math.sqrt(2 * math.pi)] * actions), axis=0).reshape(-1)

    def log_density(parameters, state, action):
        return policy.log_density(parameters[None], state[None, None], action[None, None]).squeeze()

    score = torch.func.vmap(torch.func.grad(log_density), in_dims=(None, 0, 0))
    fisher = torch.zeros(size, size, dtype=torch.float64)
    for noise, part in zip(mesh, weight, strict=True):
        drawn, _ = policy.sample(theta, states, noise.expand(1, 7, actions))
        gradients = score(theta[0], states[0], drawn[0])
        fisher += float(part) / 7 * gradients.T @ gradients
    expected = float(direction[0] @ fisher @ direction[0])
    form = float(fisher_quadratic_form(policy, theta, direction, states)[0])
    assert form == pytest.approx(expected, rel=1e-5)
