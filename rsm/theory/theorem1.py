"""Theorem 1: the lower bound on the gain of a mixture of distributions, with every term exact.

J(π_mix) − J(π) ≥ β/(1−γ) E_{d^π}[A⁺] − 2γεβ²/(1−γ)² + α/(1−γ) E_{d^{π_mix}}[JSD_β]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rsm.theory import mdp as worlds
from rsm.theory.mdp import Evaluation, FiniteMDP, Floats

SIZES = ((2, 2), (3, 2), (3, 3), (5, 3), (8, 4), (12, 3))  # states and actions
ROUNDING = 1e-12  # relative to the returns: rounding errors of double precision


class Theorem1(NamedTuple):
    """Both sides for B draws, each `[B]`."""

    gain: Floats  # J(π_mix) − J(π)
    linear: Floats  # β/(1−γ) E_{d^π}[A⁺]
    penalty: Floats  # 2γεβ²/(1−γ)²
    entropy: Floats  # α/(1−γ) E_{d^{π_mix}}[JSD_β]
    advantage: Floats  # E_{d^π}[A⁺]
    size: Floats  # |J(π)| + |J(π_mix)|, of which rounding errors are a share

    @property
    def bound(self) -> Floats:
        """The right-hand side."""
        return self.linear - self.penalty + self.entropy

    @property
    def needed(self) -> Floats:
        """The share of the penalty that this draw needs: the bound with a smaller one is violated."""
        return np.asarray((self.linear + self.entropy - self.gain) / self.penalty)

    def violated(self, scale: float = 1.0) -> Floats:
        """Where the bound with `scale` × penalty exceeds the gain by more than rounding, bool `[B]`."""
        excess = self.linear - scale * self.penalty + self.entropy - self.gain
        return np.asarray(excess > ROUNDING * (1 + self.size))


def theorem1(
    mdp: FiniteMDP,
    policy: Floats,
    other: Floats,
    beta: Floats,
    evaluated: Evaluation | None = None,
) -> Theorem1:
    """Both sides of Theorem 1 for π and π̃ `[B, S, A]` and β `[B]`; `evaluated` saves evaluating π."""
    evaluated = evaluated or worlds.evaluate(mdp, policy)
    mixed = worlds.evaluate(mdp, worlds.mixture(policy, other, beta))
    per_state = worlds.merl_advantage(mdp, evaluated, other)
    advantage = worlds.expectation(evaluated.visitation, per_state)
    epsilon = np.abs(per_state).max(axis=1)
    rest = 1 - mdp.gamma
    divergence = worlds.jensen_shannon(policy, other, beta)
    return Theorem1(
        mixed.objective - evaluated.objective,
        beta / rest * advantage,
        2 * mdp.gamma * epsilon * beta**2 / rest**2,
        mdp.alpha / rest * worlds.expectation(mixed.visitation, divergence),
        advantage,
        np.abs(mixed.objective) + np.abs(evaluated.objective),
    )


def random_pair(
    generator: np.random.Generator, mdp: FiniteMDP, deterministic: float = 0.0
) -> tuple[Floats, Floats]:
    """Policies π and π̃ of random logits, whose spread is log-uniform in 0.3 to 10, for every world.

    A share `deterministic` of the worlds has two deterministic policies instead, which differ somewhere.
    """
    shape = mdp.rewards.shape
    certain = generator.random((shape[0], 1, 1)) < deterministic
    logits = random_logits(generator, shape), random_logits(generator, shape)
    best, other_best = (values.argmax(axis=2) for values in logits)
    same = (best == other_best).all(axis=1, keepdims=True)
    other_best = np.where(same, (other_best + 1) % shape[2], other_best)
    sure = np.eye(shape[2])
    return (
        np.where(certain, sure[best], worlds.softmax(logits[0])),
        np.where(certain, sure[other_best], worlds.softmax(logits[1])),
    )


def random_logits(
    generator: np.random.Generator, shape: tuple[int, int, int], spread: float | None = None
) -> Floats:
    """Normal θ `[B, S, A]` of standard deviation `spread`; None: log-uniform in 0.3 to 10, for each world."""
    if spread is None:
        drawn = generator.uniform(np.log(0.3), np.log(10), (shape[0], 1, 1))
        return np.asarray(np.exp(drawn) * generator.standard_normal(shape))
    return spread * generator.standard_normal(shape)


def random_draws(generator: np.random.Generator, draws: int) -> tuple[Theorem1, Floats]:
    """At least `draws` random (MDP, π, π̃, β) over all sizes; their two sides, and β.

    β is uniform in (0, 1) for half of them and log-uniform from 1e-3 for the others; one pair in four is
    deterministic. Pairs of either sign of A⁺ count: the theorem does not ask for A⁺ > 0.
    """
    parts, betas = [], []
    each = -(-draws // len(SIZES))
    for states, actions in SIZES:
        mdp = worlds.random_mdp(generator, each, states, actions)
        policy, other = random_pair(generator, mdp, deterministic=0.25)
        even = generator.random(each) < 0.5
        beta = np.where(even, generator.uniform(0, 1, each), 10.0 ** generator.uniform(-3, 0, each))
        parts.append(theorem1(mdp, policy, other, beta))
        betas.append(beta)
    joined = Theorem1(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return joined, np.concatenate(betas)


def tight_example(gamma: float = 0.9) -> tuple[FiniteMDP, Floats, Floats]:
    """A world of two states in which the penalty of Theorem 1 is needed whole as β → 0.

    Action 0 of the first state stays for nothing, action 1 goes to the second for the reward that makes
    A⁺ = 1 there; the second state keeps forever, π for nothing and π̃ at a loss of 1. π never leaves, so
    d^π sees only the gain of 1; the mixture leaves, and finds the loss.
    """
    transitions = np.array([[[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]]])
    rewards = np.array([[[0.0, 1.0], [0.0, -1.0]]])
    start = np.array([[1.0, 0.0]])
    mdp = FiniteMDP(transitions, rewards, start, np.array([gamma]), np.zeros(1))
    stay, leave = np.array([[[1.0, 0], [1, 0]]]), np.array([[[0.0, 1], [0, 1]]])
    return mdp, stay, leave
