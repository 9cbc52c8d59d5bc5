"""One policy for all agents, taught by what all of them see: `shared-policy`."""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.config.learning import Sac
from rsm.sac.learner import Learner, Losses
from rsm.sac.replay import Batch


class SharedLearner(Learner):
    """A learner of one row, `theta: [1, d]` and `critics: [1, 2, c]`, that acts for N agents.

    An update pools the batches that N agents would take, as if their replays were one, and makes one step. With
    one agent it is `Learner`, to the bit. Source: parameter sharing, Gupta, Egorov and Kochenderfer 2017.
    """

    def __init__(
        self,
        settings: Sac,
        agents: int,
        observation_size: int,
        action_size: int,
        action_scale: float,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        size = (observation_size, action_size)
        super().__init__(settings, 1, *size, action_scale, generator, dtype, device)
        self.agents = agents

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Unit actions `[N, A]` and log π `[N]`, as in `Learner.act`."""
        actions, log_density = self.policy.sample(self._actor, observations[None], noise[None])
        return actions[0], log_density[0]

    def update(self, batch: Batch, noise: Tensor, agents: list[int] | None = None) -> Losses:
        """One step with the N · B transitions of `batch: [N, B, …]`; losses are `[1]`."""
        assert agents is None  # settings refuse slow agents and newcomers
        pooled = Batch(*(part.flatten(0, 1)[None] for part in batch))
        return super().update(pooled, noise.flatten(1, 2)[:, None])
