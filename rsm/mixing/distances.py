"""Distances between two squashed Gaussian policies: KL divergence and total variation.

Both are those of the Gaussians before squashing, since a bijection of the action leaves them unchanged.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rsm.sac.policy import SquashedGaussian

Gaussian = tuple[Tensor, Tensor]  # mean and log standard deviation before squashing, each [N, B, A]


def kl_divergence(
    policy: SquashedGaussian, theta: Tensor, other: Tensor, observations: Tensor
) -> Tensor:
    """KL(π_θ ‖ π_other) per state in nats, `[N, B]`, exact: a bijection of the action leaves it unchanged."""
    return gaussian_kl(policy.gaussian(theta, observations), policy.gaussian(other, observations))


def total_variation(
    policy: SquashedGaussian, theta: Tensor, other: Tensor, observations: Tensor
) -> Tensor:
    """TV(π_θ, π_other) per state, `[N, B]`; exact for one action, an upper bound (a sum) for more."""
    return gaussian_tv(policy.gaussian(theta, observations), policy.gaussian(other, observations))


def gaussian_kl(ours: Gaussian, other: Gaussian) -> Tensor:
    """KL(ours ‖ other) `[N, B]`, summed over actions."""
    (mean, log_std), (other_mean, other_log_std) = ours, other
    precision = torch.exp(-2 * other_log_std)
    moved = (torch.exp(2 * log_std) + (mean - other_mean).square()) * precision
    return (other_log_std - log_std + 0.5 * (moved - 1)).sum(dim=2)


def gaussian_tv(ours: Gaussian, other: Gaussian) -> Tensor:
    """TV(ours, other) `[N, B]`, summed over actions.

    Two Gaussians cross at most twice; between the crossings the sign of p − p' does not change, so TV
    is a difference of normal distribution functions there.
    """
    (mean, log_std), (other_mean, other_log_std) = ours, other
    sigma, other_sigma = log_std.exp(), other_log_std.exp()

    # log p − log p' = a u² + b u + c with u counted in σ from the mean
    shift, ratio = (other_mean - mean) / sigma, other_sigma / sigma
    a = 0.5 * (ratio.pow(-2) - 1)
    b = -shift * ratio.pow(-2)
    c = 0.5 * shift.square() * ratio.pow(-2) + ratio.log()
    # Stable roots of a u² + b u + c: one stays finite as a → 0, the other goes to infinity.
    root = torch.sqrt((b.square() - 4 * a * c).clamp_min(0))
    half = -0.5 * (b + torch.copysign(root, b))
    crossings = (half / a, c / half)

    def mass_between(low: Tensor, high: Tensor) -> Tensor:
        return 0.5 * (torch.erf(high / math.sqrt(2)) - torch.erf(low / math.sqrt(2)))

    low, high = torch.minimum(*crossings), torch.maximum(*crossings)
    inside = mass_between(low, high)
    theirs = mass_between((low - shift) / ratio, (high - shift) / ratio)
    distance = (inside - theirs).abs()
    same = (shift == 0) & (ratio == 1)
    distance = torch.where(same, torch.zeros_like(distance), distance).clamp(0, 1)
    return distance.nan_to_num(nan=1.0).sum(dim=2).clamp_max(1)
