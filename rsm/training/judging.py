"""Judging of referential policies by each receiver's own critic, temperature and replayed states."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rsm.config.run import Mixing
from rsm.mixing.published_code import STATES, published_verdict
from rsm.mixing.rules import RULES, Evidence, Judge, Verdict, mixing_metric
from rsm.sac.learner import Learner
from rsm.sac.replay import Batch, Replay


class Judges(Protocol):
    """Judges one referential policy of each of R receivers, by actors `[R, d]` and critics `[R, 2, c]`."""

    def verdict(
        self, receivers: list[int], theta: Tensor, critics: Tensor, theta_tilde: Tensor
    ) -> Verdict:
        """A⁺, q and ζ of `theta_tilde: [R, d]`."""


class OwnCritic:
    """The receivers judge by what each has learnt itself, on its recent states (algorithm.md)."""

    def __init__(
        self, settings: Mixing, learner: Learner, replay: Replay, generator: torch.Generator
    ) -> None:
        self._settings, self._learner, self._replay = settings, learner, replay
        self._generator = generator

    def verdict(
        self, receivers: list[int], theta: Tensor, critics: Tensor, theta_tilde: Tensor
    ) -> Verdict:
        """By the rule of the settings."""
        learner = self._learner
        rule = RULES[self._settings.rule]
        judge = Judge(
            policy=learner.policy,
            q_function=lambda states, actions: learner.critic.min_q(critics, states, actions),
            alpha=_of(receivers, learner.alpha.detach()),
            gamma=learner.settings.gamma,
            settings=self._settings,
            choice=self._evidence(receivers, 0, 2 if rule.held_out else 1),
            held_out=self._evidence(receivers, 1, 2) if rule.held_out else None,
            coin=self._coin(receivers) if rule.needs_coin else None,
        )
        return mixing_metric(judge, theta, theta_tilde)

    def _coin(self, receivers: list[int]) -> Tensor:
        """A uniform draw in [0, 1) for each receiver."""
        alpha = self._learner.alpha
        draws = torch.rand(len(alpha), generator=self._generator, device=alpha.device)
        return _of(receivers, draws)

    def _evidence(self, receivers: list[int], fold: int, folds: int) -> Evidence:
        """States drawn anew, with replacement, from the `recent` latest transitions of each agent.

        Held-out states are of other episodes than those that choose θ̃ (Replay.sample_recent).
        """
        settings = self._settings
        batch = self._replay.sample_recent(
            settings.states, settings.recent, self._generator, fold, folds
        )
        noise = torch.randn(
            batch.unit_actions.shape, generator=self._generator, device=batch.rewards.device
        )
        return _evidence_of(receivers, batch, noise)


class PublishedCode:
    """The receivers judge as a public version of the code does, on states of their whole replay."""

    def __init__(
        self, settings: Mixing, learner: Learner, replay: Replay, generator: torch.Generator
    ) -> None:
        assert settings.published_code is not None
        self._version, self._zeta_max = settings.published_code, settings.zeta_max
        self._learner, self._replay, self._generator = learner, replay, generator

    def verdict(
        self, receivers: list[int], theta: Tensor, critics: Tensor, theta_tilde: Tensor
    ) -> Verdict:
        """By the formulas of the version."""
        learner = self._learner
        batch = self._replay.sample(STATES, self._generator)
        return published_verdict(
            learner.policy,
            lambda states, actions: learner.critic.min_q(critics, states, actions),
            _of(receivers, learner.alpha.detach()),
            learner.settings.gamma,
            self._zeta_max,
            self._version,
            theta,
            theta_tilde,
            _evidence_of(receivers, batch, torch.zeros_like(batch.unit_actions)),
        )


def _of(receivers: list[int], values: Tensor) -> Tensor:
    """The rows of some agents; no copy where they are all of them."""
    return values if len(receivers) == len(values) else values[receivers]


def _evidence_of(receivers: list[int], batch: Batch, noise: Tensor) -> Evidence:
    parts = (batch.observations, batch.unit_actions, batch.log_density, noise)
    return Evidence(*(_of(receivers, part) for part in parts))
