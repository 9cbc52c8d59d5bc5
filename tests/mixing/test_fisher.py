import itertools

import pytest
import torch

from rsm.mixing.distances import kl_divergence
from rsm.mixing.fisher import fisher_quadratic_form


def explicit_form(world, agent: int, samples: int, generator: torch.Generator) -> float:
    """dᵀ F d with F the mean outer product of per-sample gradients of log π, actions of the current policy."""
    theta, states = world.theta[agent], world.states[agent]
    direction = world.direction[agent]
    repeated = states.repeat_interleave(samples, dim=0)
    noise = torch.randn(1, len(repeated), 1, generator=generator, dtype=torch.float64)
    actions, _ = world.policy.sample(theta[None], repeated[None], noise)

    def log_density(
        parameters: torch.Tensor, state: torch.Tensor, action: torch.Tensor
    ) -> torch.Tensor:
        value = world.policy.log_density(parameters[None], state[None, None], action[None, None])
        return value.squeeze()

    per_sample = torch.func.vmap(torch.func.grad(log_density), in_dims=(None, 0, 0))
    gradients = per_sample(theta, repeated, actions[0])
    fisher = gradients.T @ gradients / len(gradients)
    return float(direction @ fisher @ direction)


def closed_explicit_form(world, agent: int) -> float:
    """dᵀ F d with F = E_s[Jᵀ diag(1/σ², 2/σ²) J], J the explicit Jacobian of (μ, σ) in θ, state by state."""

    def mean_and_std(parameters: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        mean, log_std = world.policy.gaussian(parameters[None], state[None, None])
        return torch.stack((mean.squeeze(), log_std.exp().squeeze()))

    fisher = torch.zeros(world.theta.shape[1], world.theta.shape[1], dtype=torch.float64)
    for state in world.states[agent]:
        jacobian = torch.func.jacrev(mean_and_std)(world.theta[agent], state)
        sigma = mean_and_std(world.theta[agent], state)[1].detach()
        information = torch.diag(torch.stack((1 / sigma**2, 2 / sigma**2)))
        fisher += jacobian.T @ information @ jacobian / world.states.shape[1]
    return float(world.direction[agent] @ fisher @ world.direction[agent])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_form_equals_the_explicit_fisher_matrix(seed, make_world):
    world = make_world(seed)
    form = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    for agent in range(2):
        assert form[agent].item() == pytest.approx(closed_explicit_form(world, agent), rel=1e-9)


def test_form_equals_per_sample_gradients_within_their_noise(world):
    form = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    generator = torch.Generator().manual_seed(5)
    for agent in range(2):
        sampled = explicit_form(world, agent, 1000, generator)
        assert form[agent].item() == pytest.approx(sampled, rel=0.03)


def test_square_of_the_mean_gradient_would_be_far_too_small(world):
    """The mistake of some public code: (E[∇ log π · d])² is near 0, since E[∇ log π] = 0."""
    theta = world.theta.clone().requires_grad_()
    states = world.states.repeat(1, 50, 1)
    shape = (2, states.shape[1], 1)
    noise = torch.randn(shape, generator=world.generator, dtype=torch.float64)
    actions, _ = world.policy.sample(world.theta, states, noise)
    world.policy.log_density(theta, states, actions).mean(dim=1).sum().backward()
    wrong = (theta.grad * world.direction).sum(dim=1).square()
    right = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    assert (wrong < right / 20).all()


def test_half_the_form_is_the_kl_divergence_to_second_order(world):
    form = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    errors = []
    for zeta in (2e-4, 1e-4, 5e-5):
        moved = world.theta + zeta * world.direction
        kl = kl_divergence(world.policy, world.theta, moved, world.states).mean(dim=1)
        errors.append((kl - 0.5 * zeta**2 * form).abs() / (0.5 * zeta**2 * form))
    assert (errors[2] < 1e-3).all()
    # What is left is of third order: relative to ζ² it halves, at least, when ζ does.
    for larger, smaller in itertools.pairwise(errors):
        assert (smaller / larger < 0.6).all()


def test_form_is_zero_only_for_identical_policies(world):
    zero = torch.zeros_like(world.direction)
    still = fisher_quadratic_form(world.policy, world.theta, zero, world.states)
    assert (still == 0).all()
    moved = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    assert (moved > 0).all()
