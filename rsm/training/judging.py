"""Judging of referential policies by each receiver's own critic, temperature and recent states."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rsm.config.run import Mixing
from rsm.mixing.rules import RULES, Evidence, Judge, Verdict, mixing_metric
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay

Split = Callable[[Tensor], tuple[Tensor, Tensor]]  # shared parameters [R, D] → actors, critics


class OwnCritic:
    """A⁺, q and ζ of the receivers' referential policies, judged by what each has learnt itself."""

    def __init__(
        self, settings: Mixing, learner: Learner, replay: Replay, generator: torch.Generator
    ) -> None:
        self._settings, self._learner, self._replay = settings, learner, replay
        self._generator = generator

    def verdict(self, theta: Tensor, critics: Tensor, theta_tilde: Tensor) -> Verdict:
        """Of all N agents: current actors `[N, d]` and critics `[N, 2, c]`, and referential actors."""
        learner = self._learner
        split = RULES[self._settings.rule].held_out
        judge = Judge(
            policy=learner.policy,
            q_function=lambda states, actions: learner.critic.min_q(critics, states, actions),
            alpha=learner.alpha.detach(),
            gamma=learner.settings.gamma,
            settings=self._settings,
            choice=self._evidence(fold=0, folds=2) if split else self._evidence(),
            held_out=self._evidence(fold=1, folds=2) if split else None,
        )
        return mixing_metric(judge, theta, theta_tilde)

    def _evidence(self, fold: int = 0, folds: int = 1) -> Evidence:
        """States drawn anew, with replacement, from the `recent` latest transitions of each agent.

        Held-out states are of another fold than those that choose θ̃: every other transition each, so that both
        are as recent and none is in both.
        """
        settings = self._settings
        batch = self._replay.sample_recent(
            settings.states, settings.recent, self._generator, fold, folds
        )
        noise = torch.randn(
            batch.unit_actions.shape,
            generator=self._generator,
            device=self._learner.theta.device,
        )
        return Evidence(batch.observations, batch.unit_actions, batch.log_density, noise)
