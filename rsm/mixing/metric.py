"""The mixing metric ζ of Theorem 2, and the other ways of finding ζ that a study may name.

| `constant`     | ζ                                                         | promises |
| `theorem2`     | min(ζ_max, sqrt(2A⁺/(Cq))), C = 2γε/(1−γ)² (published)    | what the paper states |
| `certified`    | largest of a halving grid with E[g] > 2γ/(1−γ) max|g| E[TV] | improvement of the mixture |
| `line-search`  | largest of that grid with E[g] > 0 and KL ≤ δ, held out   | likely improvement |
| `trust-region` | min(ζ_max, sqrt(2δ/q))                                    | KL ≤ δ to second order |
| `fixed`        | a given ζ                                                 | nothing |

All of them mix only where A⁺ > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config import Mixing
from rsm.mixing.advantage import (
    QFunction,
    direct_advantage,
    importance_advantage,
)
from rsm.mixing.fisher import fisher_quadratic_form, kl_divergence, total_variation
from rsm.sac.policy import SquashedGaussian

GRID = 16  # halvings of ζ_max that `certified` and `line-search` try


class Evidence(NamedTuple):
    """Replayed states of every receiver, with what estimators of A⁺ need there."""

    observations: Tensor  # [N, B, O]
    unit_actions: Tensor  # [N, B, A]
    log_behaviour: Tensor  # [N, B]
    noise: Tensor  # [N, B, A], standard normal


class Verdict(NamedTuple):
    """What a receiver holds of one referential policy, each `[N]`."""

    advantage: Tensor  # A⁺
    epsilon: Tensor  # ε = max_s |A⁺(s)|
    quadratic_form: Tensor  # q
    constant: Tensor  # C
    bound: Tensor  # sqrt(2A⁺/(Cq)); NaN where A⁺ ≤ 0 or q = 0
    zeta: Tensor  # 0 where the replica is rejected or identical
    accepted: Tensor  # bool
    identical: Tensor  # bool, q = 0


class Judge(NamedTuple):
    """What a receiver judges with: its own policy class, critic, temperature, states and settings."""

    policy: SquashedGaussian
    q_function: QFunction
    alpha: Tensor  # [N]
    gamma: float
    settings: Mixing
    choice: Evidence  # decides on A⁺
    held_out: Evidence  # decides on ζ where a line search does

    def advantage(self, theta: Tensor, other: Tensor, evidence: Evidence) -> Tensor:
        """A⁺(s) of `other` against `theta` (both `[N, d]`) by the estimator of the settings, `[N, B]`."""
        common = (self.policy, theta, other, self.q_function, self.alpha, evidence.observations)
        if self.settings.advantage == "direct":
            return direct_advantage(*common, evidence.noise)
        return importance_advantage(*common, evidence.unit_actions, evidence.log_behaviour)


@torch.no_grad()
def mixing_metric(judge: Judge, theta: Tensor, theta_tilde: Tensor) -> Verdict:
    """Judge the referential policies `theta_tilde: [N, d]` of N receivers with policies `theta: [N, d]`."""
    direction = theta_tilde - theta
    per_state = judge.advantage(theta, theta_tilde, judge.choice)
    advantage, epsilon = per_state.mean(dim=1), per_state.abs().amax(dim=1)
    form = fisher_quadratic_form(judge.policy, theta, direction, judge.choice.observations)
    constant = theorem2_constant(epsilon, judge.gamma)
    bound = theorem2_bound(advantage, constant, form)

    search = {
        "theorem2": lambda: bound,
        "certified": lambda: _largest_passing(judge, _certified, theta, direction),
        "line-search": lambda: _largest_passing(judge, _in_trust_region, theta, direction),
        "trust-region": lambda: torch.sqrt(2 * judge.settings.kl_limit / form),
        "fixed": lambda: torch.full_like(form, judge.settings.zeta_fixed),
    }[judge.settings.constant]
    identical = form == 0
    # Comparisons are False for NaN: a policy that cannot be judged is rejected.
    gate = (advantage > 0) & (form > 0)
    zeta = torch.where(gate, search().clamp_max(judge.settings.zeta_max), 0).nan_to_num(nan=0.0)
    accepted = zeta > 0
    return Verdict(advantage, epsilon, form, constant, bound, zeta, accepted, identical)


def theorem2_constant(epsilon: Tensor, gamma: float) -> Tensor:
    """C = 2γε / (1−γ)², `[N]`."""
    return 2 * gamma * epsilon / (1 - gamma) ** 2


def theorem2_bound(advantage: Tensor, constant: Tensor, form: Tensor) -> Tensor:
    """sqrt(2A⁺ / (Cq)), `[N]`; NaN where A⁺ ≤ 0 or q = 0."""
    bound = torch.sqrt(2 * advantage / (constant * form))
    return torch.where((advantage > 0) & (form > 0), bound, torch.nan)


Test = Callable[[Judge, Tensor, Tensor], Tensor]  # judge, θ, θ_ζ → bool [N]


def _largest_passing(judge: Judge, test: Test, theta: Tensor, direction: Tensor) -> Tensor:
    """The largest ζ of the halving grid for which θ + ζ·direction passes, 0 where none does: `[N]`."""
    found = torch.zeros_like(judge.alpha)
    for halvings in range(GRID):
        zeta = judge.settings.zeta_max * 0.5**halvings
        passes = test(judge, theta, theta + zeta * direction)
        found = torch.where((found == 0) & passes, zeta, found)
        if bool((found > 0).all()):
            break
    return found


def _certified(judge: Judge, theta: Tensor, mixed: Tensor) -> Tensor:
    """E_s[g_ζ] > (2γ/(1−γ)) max_s|g_ζ| E_s[TV(π_ζ, π)]: the performance-difference bound of the mixture."""
    gain = judge.advantage(theta, mixed, judge.choice)
    distance = total_variation(judge.policy, theta, mixed, judge.choice.observations)
    penalty = 2 * judge.gamma / (1 - judge.gamma) * gain.abs().amax(dim=1) * distance.mean(dim=1)
    return gain.mean(dim=1) > penalty


def _in_trust_region(judge: Judge, theta: Tensor, mixed: Tensor) -> Tensor:
    """E_s[g_ζ] > 0 and E_s[KL(π ‖ π_ζ)] ≤ δ on states held out from the choice of θ̃."""
    gain = judge.advantage(theta, mixed, judge.held_out).mean(dim=1)
    divergence = kl_divergence(judge.policy, theta, mixed, judge.held_out.observations)
    return (gain > 0) & (divergence.mean(dim=1) <= judge.settings.kl_limit)
