"""The reference for judging: the Fisher matrix itself, d × d, a mean of outer products of score vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.sac.policy import SquashedGaussian


def explicit_form(
    policy: SquashedGaussian, theta: Tensor, direction: Tensor, states: Tensor, noise: Tensor
) -> Tensor:
    """directionᵀ F(θ) direction of one agent by the explicit F = E[∇ log π ∇ log πᵀ].

    theta and direction `[d]`, states `[B, O]`, standard normal noise `[B, A]` of the actions.
    """
    fisher = theta.new_zeros(len(theta), len(theta))
    with torch.no_grad():
        actions, _ = policy.sample(theta[None], states[None], noise[None])
    leaf = theta.clone().requires_grad_()
    for state, action in zip(states, actions[0], strict=True):
        log_pi = policy.log_density(leaf[None], state[None, None], action[None, None])
        (score,) = torch.autograd.grad(log_pi.sum(), leaf)
        fisher += torch.outer(score, score) / len(states)
    return direction @ fisher @ direction
