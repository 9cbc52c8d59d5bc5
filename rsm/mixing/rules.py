"""The mixing metric ζ of Theorem 2, and the other ways of finding ζ that a study may name.

| `rule`         | ζ                                                         | promises |
| `theorem2`     | min(ζ_max, sqrt(2A⁺/(Cq))), C = 2γε/(1−γ)² (published)    | what the paper states |
| `certified`    | largest of a halving grid with E[g] > 2γ/(1−γ) max|g| E[TV] | improvement of the mixture |
| `line-search`  | largest of that grid with E[g] > 0 and KL ≤ δ, held out   | likely improvement |
| `trust-region` | min(ζ_max, sqrt(2δ/q))                                    | KL ≤ δ to second order |
| `fixed`        | min(ζ_max, a given ζ)                                     | nothing |
| `coin`         | that of `trust-region` with probability ½                 | nothing |

All rules except `coin` mix only where A⁺ > 0. A rule is a function of a `Case`, whatever the source of its
numbers: training estimates them from the replay, the checks of theory/theorem2.py compute them exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config.exchanging import Mixing
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
    """The judgement of one referential policy by its receiver, each `[N]`."""

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
    held_out: Evidence | None  # decides on ζ where the rule says `held_out`
    coin: Tensor | None = None  # [N], uniform in [0, 1), where the rule says `needs_coin`

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


class Moved(NamedTuple):
    """Quantities of π_ζ, the policy of θ + ζ(θ̃ − θ), at one ζ; each `[N]`."""

    gain: Tensor  # E_s[g_ζ(s)]
    largest: Tensor  # max_s |g_ζ(s)|
    total_variation: Callable[[], Tensor]  # E_s[TV(π_ζ, π)]
    kl_divergence: Callable[[], Tensor]  # E_s[KL(π ‖ π_ζ)]


class Case(NamedTuple):
    """N receivers and the quantities from which their ζ is computed."""

    settings: Mixing
    gamma: float | Tensor  # [N] where it differs between them
    advantage: Tensor  # [N], A⁺
    form: Tensor  # [N], q
    bound: Tensor  # [N], of Theorem 2
    moved: Callable[[float], Moved]  # on held-out states where the rule says so
    coin: Tensor | None = None  # as in `Judge`

    @property
    def gate(self) -> Tensor:
        """Which receivers mix at all, bool `[N]`."""
        return RULES[self.settings.rule].gate(self)


def promises_gain(case: Case) -> Tensor:
    """The gate of the method: A⁺ > 0, and the policies differ. Comparisons are False for NaN."""
    return (case.advantage > 0) & (case.form > 0)


class Rule(NamedTuple):
    """A way of finding ζ. One that asks for `Case.moved` cannot be judged by peers, who know π and π̃ alone."""

    zeta: Callable[[Case], Tensor]  # [N], without ζ_max; means nothing where the gate is closed
    gate: Callable[[Case], Tensor] = promises_gain  # [N], who mixes at all
    held_out: bool = False  # whether it needs held-out evidence
    needs_coin: bool = False  # whether it needs a uniform draw for every receiver


@torch.no_grad()
def mixing_metric(judge: Judge, theta: Tensor, theta_tilde: Tensor) -> Verdict:
    """Judge the referential policies `theta_tilde: [N, d]` of N receivers with policies `theta: [N, d]`."""
    policy, choice, settings = judge.policy, judge.choice, judge.settings
    rule, direction = RULES[settings.rule], theta_tilde - theta
    # One pass of the current policy serves V^π, q and, where they are needed, TV and KL.
    output, tangent = policy.output_and_tangent(theta, direction, choice.observations)
    value = judge.value(output, choice)
    tilde = judge.value(policy.output(theta_tilde, choice.observations), choice)
    per_state, form = tilde - value, form_of_tangent(policy, output, tangent)

    states = choice
    if rule.held_out:
        if judge.held_out is None:
            raise ValueError(f"{settings.rule} needs held-out evidence")
        states = judge.held_out
        output = policy.output(theta, states.observations)
        value = judge.value(output, states)
    own = policy.split(output)

    def moved(zeta: float) -> Moved:
        there = policy.output(theta + zeta * direction, states.observations)
        gain, gaussian = judge.value(there, states) - value, policy.split(there)
        return Moved(
            gain.mean(dim=1),
            gain.abs().amax(dim=1),
            lambda: gaussian_tv(own, gaussian).mean(dim=1),
            lambda: gaussian_kl(own, gaussian).mean(dim=1),
        )

    return verdict(settings, judge.gamma, per_state, form, moved, judge.coin)


def verdict(
    settings: Mixing,
    gamma: float,
    per_state: Tensor,
    form: Tensor,
    moved: Callable[[float], Moved],
    coin: Tensor | None = None,
) -> Verdict:
    """What follows from A⁺(s) `[N, B]` and q `[N]`; the other arguments are as in `Case`."""
    advantage, epsilon = per_state.mean(dim=1), per_state.abs().amax(dim=1)
    constant = theorem2_constant(epsilon, gamma)
    bound = theorem2_bound(advantage, constant, form)
    zeta = step_size(Case(settings, gamma, advantage, form, bound, moved, coin))
    return Verdict(advantage, epsilon, form, constant, bound, zeta, zeta > 0, form == 0)


def step_size(case: Case) -> Tensor:
    """ζ `[N]` by the rule of the settings, at most ζ_max; 0 where its gate is closed or nothing is found."""
    found = RULES[case.settings.rule].zeta(case).clamp_max(case.settings.zeta_max)
    # A policy that cannot be judged is rejected.
    return torch.where(case.gate, found, 0).nan_to_num(nan=0.0)


def theorem2_constant(epsilon: Tensor, gamma: float | Tensor) -> Tensor:
    """C = 2γε / (1−γ)², `[N]`."""
    return 2 * gamma * epsilon / (1 - gamma) ** 2


def theorem2_bound(advantage: Tensor, constant: Tensor, form: Tensor) -> Tensor:
    """sqrt(2A⁺ / (Cq)), `[N]`; NaN where A⁺ ≤ 0 or q = 0."""
    bound = torch.sqrt(2 * advantage / (constant * form))
    return torch.where((advantage > 0) & (form > 0), bound, torch.nan)


def _heads(case: Case) -> Tensor:
    """The outcome of the coin, regardless of A⁺, where the policies differ."""
    if case.coin is None:
        raise ValueError(f"{case.settings.rule} needs a draw in [0, 1) for every receiver: coin")
    return (case.coin < 0.5) & (case.form > 0)


def _trust_region(case: Case) -> Tensor:
    """sqrt(2δ / q): KL ≤ δ to second order."""
    return torch.sqrt(2 * case.settings.kl_limit / case.form)


def _certified(case: Case) -> Tensor:
    """The largest ζ of the grid with E_s[g_ζ] > (2γ/(1−γ)) max_s|g_ζ| E_s[TV(π_ζ, π)]: `[N]`.

    The performance-difference bound of the parameter mixture itself.
    """
    weight = 2 * case.gamma / (1 - case.gamma)
    return _largest_passing(
        case, lambda moved: moved.gain > weight * moved.largest * moved.total_variation()
    )


def _line_search(case: Case) -> Tensor:
    """The largest ζ of the grid with E_s[g_ζ] > 0 and E_s[KL(π ‖ π_ζ)] ≤ δ: `[N]`."""
    limit = case.settings.kl_limit
    return _largest_passing(case, lambda moved: (moved.gain > 0) & (moved.kl_divergence() <= limit))


def _largest_passing(case: Case, passes: Callable[[Moved], Tensor]) -> Tensor:
    """The largest ζ of the halving grid at which the policy passes, 0 where none does: `[N]`.

    Values of receivers that reject are meaningless, and the search does not continue for them.
    """
    gate, found = case.gate, torch.zeros_like(case.form)
    for halvings in range(GRID):
        # The early exit is for the processor: on a GPU the check is a transfer, so all values are tried.
        if found.device.type == "cpu" and bool((~gate | (found > 0)).all()):
            break
        zeta = case.settings.zeta_max * 0.5**halvings
        found = torch.where((found == 0) & passes(case.moved(zeta)), zeta, found)
    return found


# A new way of finding ζ is a line here and its name in rsm.config.catalogue.
RULES: dict[str, Rule] = {
    "theorem2": Rule(lambda case: case.bound),
    "certified": Rule(_certified),
    "line-search": Rule(_line_search, held_out=True),
    "trust-region": Rule(_trust_region),
    "fixed": Rule(lambda case: torch.full_like(case.form, case.settings.zeta_fixed)),
    "coin": Rule(_trust_region, gate=_heads, needs_coin=True),
}
