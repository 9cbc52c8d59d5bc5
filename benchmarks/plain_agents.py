"""The reference for learning: N separate soft actor-critic agents in a Python loop, as a textbook has them.

Each is the reference agent of rsm.sac, with a list as replay and `random.sample` to draw from it.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config.learning import Sac
from rsm.sac.learner import Learner
from rsm.sac.reference import ReferenceAgent
from rsm.sac.replay import Batch


class Transition(NamedTuple):
    """What one agent stores in one step."""

    observation: Tensor  # [O]
    action: Tensor  # [A], unit
    reward: float
    next_observation: Tensor  # [O]
    terminated: float


class PlainAgent(ReferenceAgent):
    """One agent with its replay; starts as agent `number` of a stack."""

    def __init__(self, learner: Learner, number: int, settings: Sac) -> None:
        sizes = learner.policy.observation_size, learner.policy.action_size
        super().__init__(settings, *sizes, learner.theta[number], learner.critics[number])
        self.replay: list[Transition] = []

    def sample(self, generator: random.Random) -> Batch:
        """A batch from the list, `[B, …]`."""
        drawn = generator.sample(self.replay, self.settings.batch_size)
        observations, actions, rewards, next_observations, terminated = zip(*drawn, strict=True)
        return Batch(
            observations=torch.stack(observations),
            unit_actions=torch.stack(actions),
            log_density=torch.zeros(len(drawn)),  # not used by an update
            rewards=torch.tensor(rewards),
            next_observations=torch.stack(next_observations),
            discount=self.settings.gamma * (1 - torch.tensor(terminated)),
        )
