"""The Fisher quadratic form of eq. (4).

F is d × d and never formed. For this policy class the expectation over actions has a closed form, since tanh
and scaling cancel: with (δμ, δσ) the directional derivatives of mean and standard deviation along θ̃ − θ,
the Fisher form of a Gaussian in (μ, σ) gives q = E_s[Σ (δμ² + 2 δσ²) / σ²].
"""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.sac.policy import SquashedGaussian


def fisher_quadratic_form(
    policy: SquashedGaussian, theta: Tensor, direction: Tensor, observations: Tensor
) -> Tensor:
    """q = directionᵀ F(θ) direction, `[N]`, by one forward-mode product for all agents.

    theta and direction `[N, d]`, observations `[N, B, O]`; O(B d) time and O(B + d) memory.
    """
    return form_of_tangent(policy, *policy.output_and_tangent(theta, direction, observations))


def form_of_tangent(policy: SquashedGaussian, output: Tensor, tangent: Tensor) -> Tensor:
    """q, `[N]`, from the networks' output and its directional derivative, both `[N, B, 2A]`."""
    _, log_std = policy.split(output)
    d_mean, d_log_std = tangent.chunk(2, dim=-1)
    clamped = output[..., policy.action_size :] != log_std
    # δσ = σ δ log σ, so 2 δσ²/σ² = 2 (δ log σ)²
    form = (d_mean * torch.exp(-log_std)).square() + 2 * d_log_std.masked_fill(clamped, 0).square()
    return form.sum(dim=2).mean(dim=1)
