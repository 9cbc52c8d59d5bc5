"""Twin critics of N agents: `[N, 2, c]` parameters, two soft Q functions per agent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsm.sac import mlp


class TwinCritic(NamedTuple):
    """A class of critics; their parameters are passed as `phi: [N, 2, c]`."""

    observation_size: int
    action_size: int
    hidden: tuple[int, ...]

    @property
    def sizes(self) -> mlp.Sizes:
        """Units from input to output."""
        return (self.observation_size + self.action_size, *self.hidden, 1)

    @property
    def parameter_count(self) -> int:
        """c, of one critic."""
        return mlp.parameter_count(self.sizes)

    def q_values(
        self, phi: Tensor | mlp.Layers, observations: Tensor, unit_actions: Tensor
    ) -> Tensor:
        """Q₁ and Q₂ as `[N, 2, B]`, for observations `[N, B, O]` and unit actions `[N, B, A]`.

        `phi` is `[N, 2, c]`, or the layers of its `[2N, c]` form where the caller holds them already.
        """
        network = mlp.layers(phi.flatten(0, 1), self.sizes) if isinstance(phi, Tensor) else phi
        inputs = torch.cat((observations, unit_actions), dim=-1)
        agents, batch, width = inputs.shape
        twice = inputs.unsqueeze(1).expand(agents, 2, batch, width).reshape(-1, batch, width)
        return mlp.forward(network, twice).view(agents, 2, batch)

    def min_q(self, phi: Tensor | mlp.Layers, observations: Tensor, unit_actions: Tensor) -> Tensor:
        """min(Q₁, Q₂) as `[N, B]`."""
        return self.q_values(phi, observations, unit_actions).amin(dim=1)
