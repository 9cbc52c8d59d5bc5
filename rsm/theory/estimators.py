"""Error of the two estimators of A⁺ against its exact value, and how often their sign is right.

A pool is M receivers with real policies and critics, a referential policy for each and a window of states.
The exact A⁺ of a pool integrates over the action on a fine grid at every state of the window (one action
dimension), so that an estimate from n samples is wrong only by its draw of states and actions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from rsm.mixing.advantage import direct_advantage, importance_advantage
from rsm.mixing.distances import kl_divergence
from rsm.mixing.fisher import fisher_quadratic_form
from rsm.sac.critic import TwinCritic
from rsm.sac.policy import SquashedGaussian

SAMPLES = (50, 256, 1024)  # numbers of samples in the table
ESTIMATORS = ("direct", "importance")
AT_ONCE = 40_000  # states in one pass, few enough for the cache
GRID = 61  # actions of the exact integral, within ±6 standard deviations


class Pool(NamedTuple):
    """M receivers that judge, each with W states of a replay window."""

    policy: SquashedGaussian
    critic: TwinCritic
    phi: Tensor  # [M, 2, c]
    alpha: Tensor  # [M]
    theta: Tensor  # [M, d]
    theta_tilde: Tensor  # [M, d]
    states: Tensor  # [M, W, O]
    unit_actions: Tensor  # [M, W, 1], as replayed
    log_behaviour: Tensor  # [M, W]

    def q(self, states: Tensor, actions: Tensor) -> Tensor:
        """min(Q₁, Q₂) of every receiver, `[M, B]`."""
        return self.critic.min_q(self.phi, states, actions)

    def towards(self, share: float) -> Pool:
        """The same receivers judging θ + share · (θ̃ − θ)."""
        return self._replace(theta_tilde=self.theta + share * (self.theta_tilde - self.theta))

    def distance(self) -> Tensor:
        """E_s[KL(π ‖ π̃)] over the window, nats, `[M]`."""
        return kl_divergence(self.policy, self.theta, self.theta_tilde, self.states).mean(dim=1)


def random_pool(
    generator: torch.Generator, kl: float, receivers: int = 16, window: int = 450
) -> Pool:
    """Random float64 policies and critics on normal states; θ̃ at about `kl` nats from θ.

    The replayed actions are those of a policy 0.01 nats from θ, as an earlier θ of the same agent would be.
    """
    policy = SquashedGaussian(observation_size=6, action_size=1, hidden=(32, 32), scale=3.0)
    critic = TwinCritic(observation_size=6, action_size=1, hidden=(32, 32))

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    theta = 0.3 * draw(receivers, policy.parameter_count)
    theta[:, -1] -= 1.0
    states = draw(receivers, window, 6)

    def at(distance: float) -> Tensor:
        direction = draw(receivers, policy.parameter_count)
        form = fisher_quadratic_form(policy, theta, direction, states)
        return theta + torch.sqrt(2 * distance / form).unsqueeze(1) * direction

    actions, log_mu = policy.sample(at(0.01), states, draw(receivers, window, 1))
    phi = 0.3 * draw(receivers, 2, critic.parameter_count)
    alpha = torch.full((receivers,), 0.02, dtype=torch.float64)
    return Pool(policy, critic, phi, alpha, theta, at(kl), states, actions, log_mu)


@torch.no_grad()
def exact_advantage(pool: Pool) -> Tensor:
    """A⁺ over the whole window, `[M]`, by integration over the action."""
    points = torch.linspace(-6, 6, GRID, dtype=pool.states.dtype)
    weights = torch.exp(-0.5 * points**2) / math.sqrt(2 * math.pi) * (points[1] - points[0])
    receivers, window, _ = pool.states.shape
    total = torch.zeros(receivers, dtype=pool.states.dtype)
    for point, weight in zip(points, weights, strict=True):
        noise = torch.full((receivers, window, 1), float(point), dtype=pool.states.dtype)
        total += weight * _direct(pool, pool.states, noise).mean(dim=1)
    return total


@torch.no_grad()
def estimates(
    pool: Pool, estimator: str, samples: int, repeats: int, generator: torch.Generator
) -> Tensor:
    """`repeats` estimates of A⁺ from `samples` states each, drawn with replacement: `[M, repeats]`."""
    at_once = max(1, AT_ONCE // (samples * len(pool.states)))
    parts = [
        _per_state(pool, estimator, samples * min(at_once, repeats - done), generator)
        for done in range(0, repeats, at_once)
    ]
    return torch.cat(parts, dim=1).view(-1, repeats, samples).mean(dim=2)


def _per_state(pool: Pool, estimator: str, samples: int, generator: torch.Generator) -> Tensor:
    """A⁺(s) estimated at `samples` states drawn from the window, `[M, samples]`."""
    receivers, window, width = pool.states.shape
    chosen = torch.randint(window, (receivers, samples), generator=generator)
    states = pool.states.gather(1, chosen.unsqueeze(2).expand(-1, -1, width))
    if estimator == "direct":
        shape = (receivers, samples, 1)
        noise = torch.randn(shape, generator=generator, dtype=states.dtype)
        return _direct(pool, states, noise)
    actions = pool.unit_actions.gather(1, chosen.unsqueeze(2))
    log_behaviour = pool.log_behaviour.gather(1, chosen)
    common = (pool.policy, pool.theta, pool.theta_tilde, pool.q, pool.alpha)
    return importance_advantage(*common, states, actions, log_behaviour)


def accuracy(
    pool: Pool, generator: torch.Generator, repeats: int = 60, **where: str | float
) -> pd.DataFrame:
    """One row per estimator and number of samples: error and sign over all receivers and repeats.

    `standard_error` is the root mean square error in units of |A⁺| (median over receivers), `bias` the same for
    the mean over repeats, `sign_right` the share of estimates with the sign of the exact A⁺, in percent.
    """
    exact, rows = exact_advantage(pool), []
    for estimator in ESTIMATORS:
        for samples in SAMPLES:
            drawn = estimates(pool, estimator, samples, repeats, generator)
            error = drawn - exact.unsqueeze(1)
            size = exact.abs()
            rows.append(
                {
                    **where,
                    "kl": float(pool.distance().median()),
                    "receivers": len(exact),
                    "positive": 100 * float((exact > 0).double().mean()),
                    "estimator": estimator,
                    "samples": samples,
                    "standard_error": float((error.square().mean(dim=1).sqrt() / size).median()),
                    "bias": float((error.mean(dim=1).abs() / size).median()),
                    "sign_right": 100
                    * float((drawn.sign() == exact.sign().unsqueeze(1)).double().mean()),
                }
            )
    return pd.DataFrame(rows)


def _direct(pool: Pool, states: Tensor, noise: Tensor) -> Tensor:
    return direct_advantage(
        pool.policy, pool.theta, pool.theta_tilde, pool.q, pool.alpha, states, noise
    )
