"""Finite maximum-entropy MDPs whose every quantity is exact: B of them at once, as batched linear algebra.

Maximum-entropy return: J(π) = E_ρ[V^π] with V^π = Σ_t γ^t (r + α H(π)). The visitation is normalised,
d^π(s) = (1−γ) Σ_t γ^t P(s_t = s), so that Σ_s d^π(s) = 1.
Shapes: B worlds, S states, A actions; a policy is `[B, S, A]`, its rows sum to 1 and may hold zeros.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class FiniteMDP(NamedTuple):
    """B worlds of one size."""

    transitions: Floats  # [B, S, A, S], P(s'|s, a)
    rewards: Floats  # [B, S, A]
    start: Floats  # [B, S], ρ
    gamma: Floats  # [B], in [0, 1)
    alpha: Floats  # [B], temperature, at least 0


class Evaluation(NamedTuple):
    """What is known of a policy π in its worlds."""

    q: Floats  # [B, S, A], Q^π(s, a) = r + γ E[V^π(s')]
    value: Floats  # [B, S], V^π(s) = E_a[Q^π] + α H(π(·|s))
    visitation: Floats  # [B, S], d^π, normalised
    objective: Floats  # [B], J(π)


def random_mdp(
    generator: np.random.Generator,
    batch: int,
    states: int,
    actions: int,
    gamma: tuple[float, float] = (0.5, 0.99),
    alpha: tuple[float, float] = (1e-3, 1.0),
) -> FiniteMDP:
    """Worlds with standard normal rewards and Dirichlet transitions whose concentration is drawn too.

    The concentration is log-uniform in 0.1 to 3 (from nearly deterministic to well mixed), α log-uniform
    and γ uniform in the given ranges.
    """
    shape = (batch, states, actions)
    concentration = np.exp(generator.uniform(np.log(0.1), np.log(3), (batch, 1, 1, 1)))
    start = generator.gamma(1.0, size=(batch, states))
    return FiniteMDP(
        _normalised(
            generator.gamma(np.broadcast_to(concentration, (*shape, states))) + 1e-12, axis=3
        ),
        generator.standard_normal(shape),
        _normalised(start, axis=1),
        generator.uniform(*gamma, batch),
        np.exp(generator.uniform(math.log(alpha[0]), math.log(alpha[1]), batch)),
    )


def softmax(logits: Floats) -> Floats:
    """The tabular softmax policy of parameters θ `[B, S, A]`: the policy class of the checks of Theorem 2."""
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return _normalised(powers, axis=2)


def entropy(policy: Floats) -> Floats:
    """H(π(·|s)) in nats, `[B, S]`; 0 log 0 is 0."""
    logarithm = np.log(policy, where=policy > 0, out=np.zeros_like(policy))
    return -(policy * logarithm).sum(axis=2)


def evaluate(mdp: FiniteMDP, policy: Floats) -> Evaluation:
    """Q^π, V^π, d^π and J(π) by two linear solves a world."""
    kernel = np.einsum("bsa,bsat->bst", policy, mdp.transitions)
    system = np.eye(kernel.shape[1]) - mdp.gamma[:, None, None] * kernel
    gain = (policy * mdp.rewards).sum(axis=2) + mdp.alpha[:, None] * entropy(policy)
    value = np.linalg.solve(system, gain[..., None])[..., 0]
    visits = np.linalg.solve(system.swapaxes(1, 2), mdp.start[..., None])[..., 0]
    following = np.einsum("bsat,bt->bsa", mdp.transitions, value)
    return Evaluation(
        mdp.rewards + mdp.gamma[:, None, None] * following,
        value,
        (1 - mdp.gamma)[:, None] * visits,
        (mdp.start * value).sum(axis=1),
    )


def merl_advantage(mdp: FiniteMDP, judged_by: Evaluation, other: Floats) -> Floats:
    """A⁺(s) of the policy `other` against the π of `judged_by`, eq. (3), `[B, S]`.

    With `other` = π_mix this is g_mix(s), with `other` = π_ζ it is g_ζ(s) of the mixed parameters.
    """
    expected = (other * judged_by.q).sum(axis=2)
    return expected + mdp.alpha[:, None] * entropy(other) - judged_by.value


def mixture(policy: Floats, other: Floats, beta: Floats) -> Floats:
    """π_mix = (1−β) π + β π̃ as distributions, `[B, S, A]`, for β `[B]`."""
    weight = beta[:, None, None]
    return (1 - weight) * policy + weight * other


def jensen_shannon(policy: Floats, other: Floats, beta: Floats) -> Floats:
    """JSD_β(s) = H(π_mix) − (1−β) H(π) − β H(π̃), `[B, S]`, at least 0."""
    weight = beta[:, None]
    parts = (1 - weight) * entropy(policy) + weight * entropy(other)
    return entropy(mixture(policy, other, beta)) - parts


def total_variation(policy: Floats, other: Floats) -> Floats:
    """TV(π(·|s), π̃(·|s)), `[B, S]`."""
    return 0.5 * np.abs(policy - other).sum(axis=2)


def kl_divergence(policy: Floats, other: Floats) -> Floats:
    """KL(π(·|s) ‖ π̃(·|s)) in nats, `[B, S]`; both policies positive."""
    return (policy * (np.log(policy) - np.log(other))).sum(axis=2)


def expectation(weights: Floats, values: Floats) -> Floats:
    """E_{s~d}[values(s)] for d and values `[B, S]`: `[B]`."""
    return (weights * values).sum(axis=1)


def select(mdp: FiniteMDP, worlds: NDArray[np.bool_] | NDArray[np.int64]) -> FiniteMDP:
    """Some of the worlds, by a mask or by their numbers."""
    return FiniteMDP(*(field[worlds] for field in mdp))


def _normalised(values: Floats, axis: int) -> Floats:
    return np.asarray(values / values.sum(axis=axis, keepdims=True))
