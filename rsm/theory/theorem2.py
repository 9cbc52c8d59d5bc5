"""Theorem 2 and the other ways of finding ζ, on tabular softmax policies with every quantity exact.

A step goes along a straight line in parameters, θ + ζ(θ̃ − θ). That is not a mixture of distributions, to
which alone Theorem 1 applies, so the sign of A⁺(π̃) need not be that of the first-order gain of the step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rsm.config.exchanging import Mixing
from rsm.mixing.rules import (
    RULES,
    Case,
    Moved,
    step_size,
    theorem2_bound,
    theorem2_constant,
)
from rsm.theory import mdp as worlds
from rsm.theory.mdp import Evaluation, FiniteMDP, Floats
from rsm.theory.theorem1 import ROUNDING, SIZES, random_logits

# Without `coin`: pairs here have A⁺ > 0, so it would take half of the steps of `trust-region`.
GATED = tuple(name for name, rule in RULES.items() if not rule.needs_coin)


class Pair(NamedTuple):
    """A receiver θ and a referential θ̃ in B worlds, with what a judge knows exactly."""

    mdp: FiniteMDP
    theta: Floats  # [B, S, A], logits of π
    direction: Floats  # [B, S, A], θ̃ − θ
    evaluated: Evaluation  # of π
    advantage: Floats  # [B], E_{d^π}[A⁺(s)]
    epsilon: Floats  # [B]
    form: Floats  # [B], q

    @property
    def policy(self) -> Floats:
        """π."""
        return worlds.softmax(self.theta)

    def moved(self, zeta: Floats) -> Floats:
        """π_ζ, the policy of θ + ζ(θ̃ − θ), for ζ `[B]`."""
        return worlds.softmax(self.theta + zeta[:, None, None] * self.direction)

    def gain(self, zeta: Floats) -> Floats:
        """J(π_ζ) − J(π), `[B]`, exact."""
        moved = worlds.evaluate(self.mdp, self.moved(zeta))
        return moved.objective - self.evaluated.objective

    def lowers(self, zeta: Floats) -> Floats:
        """Where the step lowers J by more than rounding, bool `[B]`."""
        return np.asarray(self.gain(zeta) < -ROUNDING * (1 + np.abs(self.evaluated.objective)))

    def first_order_gain(self) -> Floats:
        """dJ/dζ at 0, `[B]`: 1/(1−γ) E_{d^π} Cov_π(δθ, Q − α log π), the policy gradient along θ̃ − θ."""
        policy, (q, _, visitation, _) = self.policy, self.evaluated
        score = self.direction - (policy * self.direction).sum(axis=2, keepdims=True)
        value = q - self.mdp.alpha[:, None, None] * np.log(policy)
        per_state = (policy * score * value).sum(axis=2)
        return worlds.expectation(visitation, per_state) / (1 - self.mdp.gamma)


def pair(mdp: FiniteMDP, theta: Floats, theta_tilde: Floats) -> Pair:
    """Judge θ̃ exactly: A⁺ and ε by eq. (3), and q = E_{d^π} Var_π(δθ), the form of eq. (4) for a softmax."""
    policy, direction = worlds.softmax(theta), theta_tilde - theta
    evaluated = worlds.evaluate(mdp, policy)
    per_state = worlds.merl_advantage(mdp, evaluated, worlds.softmax(theta_tilde))
    centred = direction - (policy * direction).sum(axis=2, keepdims=True)
    return Pair(
        mdp,
        theta,
        direction,
        evaluated,
        worlds.expectation(evaluated.visitation, per_state),
        np.abs(per_state).max(axis=1),
        worlds.expectation(evaluated.visitation, (policy * centred**2).sum(axis=2)),
    )


def random_pairs(
    generator: np.random.Generator, draws: int, spread: float | None = None
) -> list[Pair]:
    """At least `draws` pairs with A⁺ > 0, one batch for every size of world.

    Logits of both policies are independent and normal with standard deviation `spread`: at 0.3 policies
    are nearly uniform, at 10 nearly deterministic. Worlds as in `random_mdp`.
    """
    pairs = []
    each = -(-draws // len(SIZES))
    for states, actions in SIZES:
        kept: list[Pair] = []
        while sum(len(part.form) for part in kept) < each:
            mdp = worlds.random_mdp(generator, 2 * each, states, actions)
            shape = mdp.rewards.shape
            theta, tilde = (random_logits(generator, shape, spread) for _ in range(2))
            drawn = pair(mdp, theta, tilde)
            good = np.flatnonzero(drawn.advantage > 0)
            chosen = worlds.select(mdp, good)
            kept.append(pair(chosen, theta[good], tilde[good]))
        pairs.append(_joined(kept, each))
    return pairs


def _joined(parts: list[Pair], count: int) -> Pair:
    mdp = FiniteMDP(*(np.concatenate(f)[:count] for f in zip(*(p.mdp for p in parts), strict=True)))
    theta = np.concatenate([part.theta for part in parts])[:count]
    direction = np.concatenate([part.direction for part in parts])[:count]
    return pair(mdp, theta, theta + direction)


def step_sizes(
    drawn: Pair, settings: Mixing, generator: np.random.Generator | None = None
) -> Floats:
    """ζ `[B]` by the rule of the settings, the function that training calls, from exact quantities.

    0 where it rejects. The generator tosses the coin of a rule that needs one.
    """
    coin = None
    if RULES[settings.rule].needs_coin:
        if generator is None:
            raise ValueError(f"{settings.rule} needs a generator")
        coin = torch.from_numpy(generator.uniform(size=len(drawn.form)))

    def moved(zeta: float) -> Moved:
        visits = drawn.evaluated.visitation
        policy = drawn.moved(np.full_like(drawn.form, zeta))
        gain = worlds.merl_advantage(drawn.mdp, drawn.evaluated, policy)

        def mean(values: Floats) -> torch.Tensor:
            return torch.from_numpy(worlds.expectation(visits, values))

        return Moved(
            mean(gain),
            torch.from_numpy(np.abs(gain).max(axis=1)),
            lambda: mean(worlds.total_variation(drawn.policy, policy)),
            lambda: mean(worlds.kl_divergence(drawn.policy, policy)),
        )

    advantage, form, gamma, limit = (
        torch.from_numpy(values)
        for values in (drawn.advantage, drawn.form, drawn.mdp.gamma, bound(drawn))
    )
    case = Case(settings, gamma, advantage, form, limit, moved, coin)
    return np.asarray(step_size(case).numpy())


def bound(drawn: Pair) -> Floats:
    """sqrt(2A⁺/(Cq)) `[B]`, by the code that training uses."""
    advantage, epsilon, form, gamma = (
        torch.from_numpy(values)
        for values in (drawn.advantage, drawn.epsilon, drawn.form, drawn.mdp.gamma)
    )
    return np.asarray(theorem2_bound(advantage, theorem2_constant(epsilon, gamma), form).numpy())


def smallest_example(gamma: float = 0.9) -> Pair:
    """One state, three actions, no entropy: A⁺(π̃) > 0 and yet every small step toward θ̃ lowers J.

    π plays a good action (reward 1) with 1 %, a neutral one (0) with 89 % and a bad one (−1) with 10 %.
    θ̃ raises the good logit by 6 and the bad one by 1, which makes π̃ far better. But a step of ζ acts on
    what π plays now: the bad action, ten times as frequent, gains more probability than the good one.
    One state and two actions cannot show it: there π_ζ is a mixture of π and π̃.
    """
    mdp = FiniteMDP(
        np.ones((1, 1, 3, 1)),
        np.array([[[1.0, 0.0, -1.0]]]),
        np.ones((1, 1)),
        np.array([gamma]),
        np.zeros(1),
    )
    theta = np.log([[[0.01, 0.89, 0.10]]])
    return pair(mdp, theta, theta + np.array([[[6.0, 0.0, 1.0]]]))
