"""n-step returns: single steps become transitions of up to n steps (Sutton and Barto, chapter 7)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.sac.replay import Replay


class NStepReturns:
    """Turns single steps into n-step transitions and stores them.

    A transition holds Σ γᵏ rₜ₊ₖ of up to n steps and γ to their number; a collision cuts both short,
    for its own agent. The last steps of an episode get fewer. Rewards were collected by older
    policies, and the entropies of the actions between are left out, as is usual for n-step SAC.

    Where vehicles of agents come and go, a transition ends with its vehicle: a truncation, so that the value
    is that of what the vehicle observed last. What a slot does with its next vehicle is no part of it.
    """

    def __init__(self, replay: Replay, steps: int, gamma: float) -> None:
        self._replay, self._steps, self._gamma = replay, steps, gamma
        self._pending: deque[_Step] = deque()

    def add(
        self,
        observations: Tensor,
        unit_actions: Tensor,
        log_density: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        terminated: Tensor,
        acted: NDArray[np.bool_] | None = None,
        left: NDArray[np.bool_] | None = None,
    ) -> None:
        """One step of every agent; `terminated: [N]` after a collision. Other shapes as in `Replay.add`.

        `acted: [N]` had a vehicle, which has `left: [N]`; by default everybody has one and nobody leaves. The
        next observation of one that left is what it observed last.
        """
        step = (observations, unit_actions, log_density, rewards, next_observations, terminated)
        self._pending.append(_Step(*step, acted, left))
        if len(self._pending) == self._steps:
            self._store()

    def flush(self) -> None:
        """The episode is over: store what still waits for more steps."""
        while self._pending:
            self._store()
        self._replay.end_episode()

    def _store(self) -> None:
        """Store the oldest pending step with all that followed it, and forget it."""
        first, *later = self._pending
        rewards, next_observations = first.rewards, self._pending[-1].next_observations
        discount = self._gamma * (1 - first.terminated.to(rewards.dtype))
        if first.left is None:
            for step in later:
                rewards = rewards + discount * step.rewards
                discount = self._gamma * discount * (1 - step.terminated.to(rewards.dtype))
        else:
            next_observations = first.next_observations
            stays = ~first.left
            for step in later:
                goes_on = torch.from_numpy(stays).to(rewards.device)
                further = self._gamma * discount * (1 - step.terminated.to(rewards.dtype))
                rewards = torch.where(goes_on, rewards + discount * step.rewards, rewards)
                discount = torch.where(goes_on, further, discount)
                next_observations = torch.where(
                    goes_on.unsqueeze(1), step.next_observations, next_observations
                )
                assert step.left is not None
                stays = stays & ~step.left
        parts = (first.observations, first.unit_actions, first.log_density)
        self._replay.add(*parts, rewards, next_observations, discount, first.acted)
        self._pending.popleft()


class _Step(NamedTuple):
    """What `NStepReturns.add` is given."""

    observations: Tensor
    unit_actions: Tensor
    log_density: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminated: Tensor
    acted: NDArray[np.bool_] | None
    left: NDArray[np.bool_] | None
