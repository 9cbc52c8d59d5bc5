"""Judging of referential policies by each receiver's own critic, temperature and replayed states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.run import RunConfig
from rsm.exchange.replicas import Came, Post
from rsm.mixing.published_code import STATES, published_verdict
from rsm.mixing.rules import RULES, Evidence, Judge, Verdict, mixing_metric
from rsm.sac.learner import Learner
from rsm.sac.replay import Batch, Replay

# One stream for all agents, where they are judged in step, or one of each agent.
Generators = torch.Generator | Sequence[torch.Generator]


class Judgement(NamedTuple):
    """One referential policy of each of R receivers, to be judged."""

    came: Came  # one replica of every receiver
    theta: Tensor  # [R, d], actors
    critics: Tensor  # [R, 2, c]
    theta_tilde: Tensor  # [R, d], referential actors
    neighbours: NDArray[np.bool_]  # [N, N]
    post: Post  # of the round


class Opinion(NamedTuple):
    """A verdict, and the jurors it is based on."""

    verdict: Verdict  # [R]
    # [r] peers whose answers it is based on; empty where the own critic judged
    jurors: list[list[int]]


class Judges(Protocol):
    """What judges replicas: own critics, peers, or the published code."""

    def opinion(self, case: Judgement, replica: int) -> Opinion:
        """A⁺, q and ζ of the `replica`-th referential policies of a round."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""


class _Stateless:
    """Judges that draw from the generator of the round alone."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class OwnCritic(_Stateless):
    """Each receiver judges by its own critic, on its recent states (docs/concepts/algorithm.md)."""

    def __init__(
        self, config: RunConfig, learner: Learner, replay: Replay, generator: Generators
    ) -> None:
        self._settings, self._learner, self._replay = config.mixing, learner, replay
        self._generator = generator

    @property
    def each_draws_alone(self) -> bool:
        """Whether every agent has a stream of its own."""
        return not isinstance(self._generator, torch.Generator)

    def opinion(self, case: Judgement, replica: int) -> Opinion:
        """By the rule of the settings."""
        receivers = case.came.receivers
        judge = self.judge(receivers, case.critics)
        return Opinion(mixing_metric(judge, case.theta, case.theta_tilde), [[] for _ in receivers])

    def judge(self, receivers: list[int], critics: Tensor) -> Judge:
        """What R receivers judge with: their `critics: [R, 2, c]`, temperatures, and states drawn anew."""
        learner, rule = self._learner, RULES[self._settings.rule]
        return Judge(
            policy=learner.policy,
            q_function=lambda states, actions: learner.critic.min_q(critics, states, actions),
            alpha=rows_of(receivers, learner.alpha.detach()),
            gamma=learner.settings.gamma,
            settings=self._settings,
            choice=self.evidence(receivers, 0, 2 if rule.held_out else 1),
            held_out=self.evidence(receivers, 1, 2) if rule.held_out else None,
            coin=self.coin(receivers) if rule.needs_coin else None,
        )

    def coin(self, receivers: list[int]) -> Tensor:
        """A uniform draw in [0, 1) for each receiver."""
        alpha, generator = self._learner.alpha, self._generator
        if isinstance(generator, torch.Generator):
            draws = torch.rand(len(alpha), generator=generator, device=alpha.device)
            return rows_of(receivers, draws)
        alone = [torch.rand(1, generator=generator[i], device=alpha.device) for i in receivers]
        return torch.cat(alone)

    def evidence(self, receivers: list[int], fold: int, folds: int) -> Evidence:
        """States drawn anew, with replacement, from the `recent` latest transitions of each agent.

        Held-out states are of other episodes than those that choose θ̃ (Replay.sample_recent).
        """
        settings, generator = self._settings, self._generator
        amounts, device = (settings.judged_states, settings.recent), self._learner.theta.device
        if isinstance(generator, torch.Generator):
            batch = self._replay.sample_recent(*amounts, generator, fold, folds)
            shape = batch.unit_actions.shape
            noise = torch.randn(shape, generator=generator, device=device)
            return _evidence_of(receivers, batch, noise)
        own = {agent: generator[agent] for agent in receivers}
        batch = self._replay.sample_recent(*amounts, own, fold, folds)
        shape = batch.unit_actions.shape[1:]
        alone = [torch.randn(shape, generator=own[agent], device=device) for agent in receivers]
        return _evidence_of(list(range(len(own))), batch, torch.stack(alone))


class PublishedCode(_Stateless):
    """The receivers judge as a public version of the code does, on states of their whole replay."""

    def __init__(
        self, config: RunConfig, learner: Learner, replay: Replay, generator: Generators
    ) -> None:
        assert config.mixing.published_code is not None
        assert isinstance(generator, torch.Generator)  # its rounds are in step
        self._version, self._zeta_max = config.mixing.published_code, config.mixing.zeta_max
        self._learner, self._replay, self._generator = learner, replay, generator

    def opinion(self, case: Judgement, replica: int) -> Opinion:
        """By the formulas of the version."""
        learner, receivers = self._learner, case.came.receivers
        batch = self._replay.sample(STATES, self._generator)
        verdict = published_verdict(
            learner.policy,
            lambda states, actions: learner.critic.min_q(case.critics, states, actions),
            rows_of(receivers, learner.alpha.detach()),
            learner.settings.gamma,
            self._zeta_max,
            self._version,
            case.theta,
            case.theta_tilde,
            _evidence_of(receivers, batch, torch.zeros_like(batch.unit_actions)),
        )
        return Opinion(verdict, [[] for _ in receivers])


def rows_of(receivers: list[int], values: Tensor) -> Tensor:
    """The rows of some agents; no copy where they are all of them."""
    return values if len(receivers) == len(values) else values[receivers]


def _evidence_of(receivers: list[int], batch: Batch, noise: Tensor) -> Evidence:
    parts = (batch.observations, batch.unit_actions, batch.log_density, noise)
    return Evidence(*(rows_of(receivers, part) for part in parts))
