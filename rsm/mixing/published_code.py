"""The judgement that the two public versions of the code compute, which is not the one of the paper.

| quantity      | `aug` (21 Aug 2024)                      | `jul` (10 Jul 2024)                    |
| A⁺(s, a)      | w Q(s, a) + α ΔH                         | tanh(w) Q(s, a) + α ΔH                 |
| ζ             | clamp(sqrt(2A⁺ / (C q₁)), 0, ζ_max)      | clamp(sqrt(2 sqrt(A⁺) / C · q₁), 0, ζ_max) |

with w = (p̃ − p) / (μ + 10⁻⁵), and in both versions
- p the density of N(μ_θ(s), σ_θ(s)²), the Gaussian *before* squashing, at the *scaled* action a. Its log is
  summed over the dimensions of the action and then clamped to [−20, 0];
- ΔH = Σ (log σ̃ − log σ), of the Gaussians too;
- A⁺ the mean and ε the maximum of the *signed* samples, C = 2γε / (1−γ)²;
- q₁ = (mean of ∂ log p along θ̃ − θ)², the square of one mean, where eq. (4) has the mean of squares.

Written from formulas that describe the code (docs/concepts/published-code.md); neither version has a licence.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rsm.mixing.advantage import QFunction
from rsm.mixing.rules import Evidence, Verdict, theorem2_constant
from rsm.sac.policy import SquashedGaussian

Version = Literal["aug", "jul"]

STATES = 50  # transitions that judge a replica, drawn from the whole replay
LOG_DENSITY_RANGE = (-20.0, 0.0)
SMALLEST_BEHAVIOUR = 1e-5  # added to μ


@torch.no_grad()
def published_verdict(
    policy: SquashedGaussian,
    q_function: QFunction,
    alpha: Tensor,
    gamma: float,
    zeta_max: float,
    version: Version,
    theta: Tensor,
    theta_tilde: Tensor,
    evidence: Evidence,
) -> Verdict:
    """Judge the referential policies `theta_tilde: [R, d]` of R receivers with policies `theta: [R, d]`.

    alpha `[R]`. Of the evidence it uses observations `[R, B, O]`, unit actions `[R, B, A]` and their log
    density `[R, B]`, not the noise. A replica is mixed only where A⁺ > 0; what cannot be judged (NaN) is
    rejected. In the verdict `quadratic_form` is q₁, and `bound` is the root before its clamp: NaN where A⁺ ≤ 0,
    infinite under `aug` where q₁ = 0. `identical` means θ̃ = θ exactly, since q₁ may be 0 elsewhere.
    """
    observations, unit_actions, log_behaviour, _ = evidence
    actions = policy.scale * unit_actions
    output, tangent = policy.output_and_tangent(theta, theta_tilde - theta, observations)
    tilde = policy.output(theta_tilde, observations)

    change = _density(policy, tilde, actions) - _density(policy, output, actions)
    weight = change / (log_behaviour.exp() + SMALLEST_BEHAVIOUR)
    if version == "jul":
        weight = torch.tanh(weight)
    entropy_gain = (policy.split(tilde)[1] - policy.split(output)[1]).sum(dim=2)
    samples = weight * q_function(observations, unit_actions) + alpha.unsqueeze(1) * entropy_gain
    advantage, epsilon = samples.mean(dim=1), samples.amax(dim=1)

    form = _derivative(policy, output, tangent, actions).mean(dim=1).square()
    constant = theorem2_constant(epsilon, gamma)
    if version == "aug":
        root = torch.sqrt(2 * advantage / (constant * form))
    else:
        root = torch.sqrt(2 * torch.sqrt(advantage) / constant * form)

    identical = (theta_tilde == theta).all(dim=1)
    gate = (advantage > 0) & ~identical  # False for NaN
    bound = torch.where(gate, root, torch.nan)
    zeta = torch.where(gate, root.clamp(0, zeta_max), 0).nan_to_num(nan=0.0)
    return Verdict(advantage, epsilon, form, constant, bound, zeta, zeta > 0, identical)


def _log_density(policy: SquashedGaussian, output: Tensor, actions: Tensor) -> Tensor:
    """Σ log N(a; μ, σ) over the dimensions of scaled actions `[R, B, A]`, before the clamp: `[R, B]`."""
    mean, log_std = policy.split(output)
    standardised = (actions - mean) * torch.exp(-log_std)
    constant = 0.5 * math.log(2 * math.pi)
    return -(0.5 * standardised.square() + log_std + constant).sum(dim=2)


def _density(policy: SquashedGaussian, output: Tensor, actions: Tensor) -> Tensor:
    """p `[R, B]`, its log clamped."""
    return _log_density(policy, output, actions).clamp(*LOG_DENSITY_RANGE).exp()


def _derivative(
    policy: SquashedGaussian, output: Tensor, tangent: Tensor, actions: Tensor
) -> Tensor:
    """∂ log p along θ̃ − θ, `[R, B]`, 0 where its clamp is active.

    A dimension gives ((a−m)/σ²) δm + (((a−m)/σ)² − 1) δ log σ, with δ log σ = 0 where the policy clamps log σ.
    """
    mean, log_std = policy.split(output)
    d_mean, d_log_std = tangent.chunk(2, dim=-1)
    clamped = output[..., policy.action_size :] != log_std
    precision = torch.exp(-log_std)
    standardised = (actions - mean) * precision
    slope = standardised * precision * d_mean
    slope = slope + (standardised.square() - 1) * d_log_std.masked_fill(clamped, 0)
    log_density = _log_density(policy, output, actions)
    low, high = LOG_DENSITY_RANGE
    active = (log_density < low) | (log_density > high)
    return slope.sum(dim=2).masked_fill(active, 0)
