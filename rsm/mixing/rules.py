"""The mixing metric ζ of Theorem 2, and the other ways of finding ζ that a study may name.

| `rule`         | ζ                                                         | promises |
| `theorem2`     | min(ζ_max, sqrt(2A⁺/(Cq))), C = 2γε/(1−γ)² (published)    | what the paper states |
| `certified`    | largest of a halving grid with E[g] > 2γ/(1−γ) max|g| E[TV] | improvement of the mixture |
| `line-search`  | largest of that grid with E[g] > 0 and KL ≤ δ, held out   | likely improvement |
| `trust-region` | min(ζ_max, sqrt(2δ/q))                                    | KL ≤ δ to second order |
| `fixed`        | min(ζ_max, a given ζ)                                     | nothing |

All of them mix only where A⁺ > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config.run import Mixing
from rsm.mixing.advantage import QFunction, soft_value, weighted_value
from rsm.mixing.distances import gaussian_kl, gaussian_tv
from rsm.mixing.fisher import form_of_tangent
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
    held_out: Evidence | None  # decides on ζ where a line search does, and is needed only there

    def value(self, output: Tensor, evidence: Evidence) -> Tensor:
        """E_{a~π}[Q − α log π] by the estimator of the settings, `[N, B]`, of a policy by its output there."""
        common = (self.policy, output, self.q_function, self.alpha, evidence.observations)
        if self.settings.advantage == "direct":
            return soft_value(*common, evidence.noise)
        return weighted_value(*common, evidence.unit_actions, evidence.log_behaviour)

    def advantage(self, theta: Tensor, other: Tensor, evidence: Evidence) -> Tensor:
        """A⁺(s) of `other` against `theta` (both `[N, d]`), `[N, B]`."""
        outputs = (self.policy.output(part, evidence.observations) for part in (other, theta))
        tilde, own = (self.value(output, evidence) for output in outputs)
        return tilde - own


class Case(NamedTuple):
    """N receivers and what is known of them when ζ is to be found."""

    judge: Judge
    theta: Tensor  # [N, d]
    direction: Tensor  # [N, d], θ̃ − θ
    gate: Tensor  # [N], whether to mix at all
    output: Tensor  # of π_θ at the states of choice
    value: Tensor  # [N, B], of π_θ there
    form: Tensor  # [N], q
    bound: Tensor  # [N], of Theorem 2


class Rule(NamedTuple):
    """A way of finding ζ."""

    zeta: Callable[[Case], Tensor]  # [N], without ζ_max; means nothing where the gate is closed
    held_out: bool = False  # whether it needs held-out evidence


@torch.no_grad()
def mixing_metric(judge: Judge, theta: Tensor, theta_tilde: Tensor) -> Verdict:
    """Judge the referential policies `theta_tilde: [N, d]` of N receivers with policies `theta: [N, d]`."""
    direction, choice = theta_tilde - theta, judge.choice
    # One pass of the current policy serves V^π, q and, where they are needed, TV and KL.
    output, tangent = judge.policy.output_and_tangent(theta, direction, choice.observations)
    value = judge.value(output, choice)
    tilde = judge.value(judge.policy.output(theta_tilde, choice.observations), choice)
    per_state = tilde - value
    advantage, epsilon = per_state.mean(dim=1), per_state.abs().amax(dim=1)
    form = form_of_tangent(judge.policy, output, tangent)
    constant = theorem2_constant(epsilon, judge.gamma)
    bound = theorem2_bound(advantage, constant, form)

    identical = form == 0
    # Comparisons are False for NaN: a policy that cannot be judged is rejected.
    gate = (advantage > 0) & (form > 0)
    case = Case(judge, theta, direction, gate, output, value, form, bound)
    found = RULES[judge.settings.rule].zeta(case)
    zeta = torch.where(gate, found.clamp_max(judge.settings.zeta_max), 0).nan_to_num(nan=0.0)
    accepted = zeta > 0
    return Verdict(advantage, epsilon, form, constant, bound, zeta, accepted, identical)


def theorem2_constant(epsilon: Tensor, gamma: float) -> Tensor:
    """C = 2γε / (1−γ)², `[N]`."""
    return 2 * gamma * epsilon / (1 - gamma) ** 2


def theorem2_bound(advantage: Tensor, constant: Tensor, form: Tensor) -> Tensor:
    """sqrt(2A⁺ / (Cq)), `[N]`; NaN where A⁺ ≤ 0 or q = 0."""
    bound = torch.sqrt(2 * advantage / (constant * form))
    return torch.where((advantage > 0) & (form > 0), bound, torch.nan)


def _certified(case: Case) -> Tensor:
    """The largest ζ of the grid with E_s[g_ζ] > (2γ/(1−γ)) max_s|g_ζ| E_s[TV(π_ζ, π)]: `[N]`.

    The performance-difference bound of the parameter mixture itself.
    """
    judge = case.judge
    evidence, own = judge.choice, judge.policy.split(case.output)

    def passes(mixed: Tensor) -> Tensor:
        output = judge.policy.output(mixed, evidence.observations)
        gain = judge.value(output, evidence) - case.value
        distance = gaussian_tv(own, judge.policy.split(output)).mean(dim=1)
        penalty = 2 * judge.gamma / (1 - judge.gamma) * gain.abs().amax(dim=1) * distance
        return gain.mean(dim=1) > penalty

    return _largest_passing(case, passes)


def _line_search(case: Case) -> Tensor:
    """The largest ζ of the grid with E_s[g_ζ] > 0 and E_s[KL(π ‖ π_ζ)] ≤ δ on held-out states: `[N]`."""
    judge = case.judge
    evidence = judge.held_out
    if evidence is None:
        raise ValueError("a line search needs held-out evidence")
    output = judge.policy.output(case.theta, evidence.observations)
    own, value = judge.policy.split(output), judge.value(output, evidence)

    def passes(mixed: Tensor) -> Tensor:
        output = judge.policy.output(mixed, evidence.observations)
        gain = (judge.value(output, evidence) - value).mean(dim=1)
        divergence = gaussian_kl(own, judge.policy.split(output)).mean(dim=1)
        return (gain > 0) & (divergence <= judge.settings.kl_limit)

    return _largest_passing(case, passes)


def _largest_passing(case: Case, passes: Callable[[Tensor], Tensor]) -> Tensor:
    """The largest ζ of the halving grid for which θ + ζ·direction passes, 0 where none does: `[N]`.

    Agents whose gate is closed are not waited for, and what they get means nothing.
    """
    judge, gate = case.judge, case.gate
    found = torch.zeros_like(judge.alpha)
    for halvings in range(GRID):
        # Looked at only where it costs no transfer: a GPU tries them all, which finds the same.
        if found.device.type == "cpu" and bool((~gate | (found > 0)).all()):
            break
        zeta = judge.settings.zeta_max * 0.5**halvings
        found = torch.where((found == 0) & passes(case.theta + zeta * case.direction), zeta, found)
    return found


# A new way of finding ζ is a line here and its name in rsm.config.catalogue.
RULES: dict[str, Rule] = {
    "theorem2": Rule(lambda case: case.bound),
    "certified": Rule(_certified),
    "line-search": Rule(_line_search, held_out=True),
    "trust-region": Rule(lambda case: torch.sqrt(2 * case.judge.settings.kl_limit / case.form)),
    "fixed": Rule(lambda case: torch.full_like(case.form, case.judge.settings.zeta_fixed)),
}
