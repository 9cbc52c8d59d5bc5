"""The maximum-entropy advantage A⁺ of a referential policy, eq. (3).

    V^π(s) = E_{a~π}[Q(s,a) − α log π(a|s)]
    A⁺(s)  = E_{a~π̃}[Q(s,a)] + α H(π̃(·|s)) − V^π(s)

the one-step gain of acting once by π̃ and then by π, entropy included, judged by the receiver's own Q.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rsm.sac.policy import SquashedGaussian

QFunction = Callable[[Tensor, Tensor], Tensor]  # observations, unit actions → min(Q₁, Q₂) [N, B]


def soft_value(
    policy: SquashedGaussian,
    theta: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    noise: Tensor,
) -> Tensor:
    """One-sample estimate of E_{a~π_θ}[Q(s,a) − α log π_θ(a|s)], `[N, B]`.

    theta `[N, d]`, alpha `[N]`, observations `[N, B, O]`, standard normal noise `[N, B, A]`.
    """
    actions, log_pi = policy.sample(theta, observations, noise)
    return q_function(observations, actions) - alpha.unsqueeze(1) * log_pi


def direct_advantage(
    policy: SquashedGaussian,
    theta: Tensor,
    theta_tilde: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    noise: Tensor,
) -> Tensor:
    """A⁺(s) `[N, B]` from actions sampled from both policies with the same noise `[N, B, A]`.

    Unbiased for each state; common random numbers cancel most of the variance. Shapes as in `soft_value`.
    """
    tilde = soft_value(policy, theta_tilde, q_function, alpha, observations, noise)
    return tilde - soft_value(policy, theta, q_function, alpha, observations, noise)


def importance_advantage(
    policy: SquashedGaussian,
    theta: Tensor,
    theta_tilde: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    unit_actions: Tensor,
    log_behaviour: Tensor,
) -> Tensor:
    """A⁺(s) `[N, B]` from replayed actions re-weighted by π̃/μ and π/μ, μ the stored behaviour density.

    The idea of the published code, kept to compare against: unbiased where μ covers both policies, of
    large variance where it does not. unit_actions `[N, B, A]`, log_behaviour `[N, B]`.
    """
    values = q_function(observations, unit_actions)

    def weighted(parameters: Tensor) -> Tensor:
        log_pi = policy.log_density(parameters, observations, unit_actions)
        ratio = torch.exp(log_pi - log_behaviour)
        return ratio * (values - alpha.unsqueeze(1) * log_pi)

    return weighted(theta_tilde) - weighted(theta)
