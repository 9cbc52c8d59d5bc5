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
    output: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    noise: Tensor,
) -> Tensor:
    """One-sample estimate of E_{a~π}[Q(s,a) − α log π(a|s)], `[N, B]`.

    output `[N, B, 2A]` of the policy's networks, alpha `[N]`, observations `[N, B, O]`, standard normal noise
    `[N, B, A]`.
    """
    actions, log_pi = policy.squash(output, noise)
    return q_function(observations, actions) - alpha.unsqueeze(1) * log_pi


def weighted_value(
    policy: SquashedGaussian,
    output: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    unit_actions: Tensor,
    log_behaviour: Tensor,
) -> Tensor:
    """The same expectation, `[N, B]`, from replayed actions re-weighted by π/μ, μ the behaviour density.

    unit_actions `[N, B, A]`, log_behaviour = log μ `[N, B]`.
    """
    log_pi = policy.density(output, unit_actions)
    ratio = torch.exp(log_pi - log_behaviour)
    return ratio * (q_function(observations, unit_actions) - alpha.unsqueeze(1) * log_pi)


def direct_advantage(
    policy: SquashedGaussian,
    theta: Tensor,
    theta_tilde: Tensor,
    q_function: QFunction,
    alpha: Tensor,
    observations: Tensor,
    noise: Tensor,
) -> Tensor:
    """A⁺(s) `[N, B]` from actions sampled from both policies `[N, d]` with the same noise `[N, B, A]`.

    Unbiased for each state; common random numbers cancel most of the variance. Shapes as in `soft_value`.
    """
    tilde, own = (
        soft_value(
            policy, policy.output(part, observations), q_function, alpha, observations, noise
        )
        for part in (theta_tilde, theta)
    )
    return tilde - own


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
    large variance where it does not. Shapes as in `weighted_value`.
    """
    rest = (q_function, alpha, observations, unit_actions, log_behaviour)
    tilde, own = (
        weighted_value(policy, policy.output(part, observations), *rest)
        for part in (theta_tilde, theta)
    )
    return tilde - own
