"""How agents explore while they train: noise that is correlated over the decisions of an episode."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.learning import Sac
from rsm.sac.learner import Learner
from rsm.sac.policy import LARGEST_UNIT_ACTION


class Exploration:
    """Noise of N agents: standard normal at every decision, a stationary autoregressive process over them."""

    def __init__(self, settings: Sac, generator: torch.Generator) -> None:
        """Independent from decision to decision where `noise_correlation` is 0 (published)."""
        self._settings, self._generator = settings, generator
        self._noise: Tensor | None = None  # [N, A], of the previous decision
        self._parted: Tensor | None = None  # [N, 1], whose vehicle has left since

    def begin(self) -> None:
        """A new episode, whose noise is independent of the one before."""
        self._noise = self._parted = None

    def part(self, left: NDArray[np.bool_]) -> None:
        """Vehicles of these agents have left, `[N]`: their noise goes on independent of the one before."""
        self._parted = torch.from_numpy(left).unsqueeze(1) if left.any() else None

    def act(self, learner: Learner, states: Tensor, decisions: int) -> tuple[Tensor, Tensor]:
        """Unit actions `[N, A]` and log μ `[N]` for `states: [N, O]`, after so many `decisions`.

        The first `random_decisions` are uniform: the normal distribution function of the same noise.
        """
        shape = (len(states), learner.policy.action_size)
        device = self._generator.device
        noise = torch.randn(shape, generator=self._generator, device=device)
        rho = self._settings.noise_correlation
        if self._noise is not None and rho > 0:
            further = rho * self._noise + math.sqrt(1 - rho**2) * noise
            parted = self._parted
            noise = further if parted is None else torch.where(parted.to(device), noise, further)
        self._noise = noise
        if decisions >= self._settings.random_decisions:
            return learner.act(states, noise)
        actions = torch.erf(noise / math.sqrt(2))
        actions = actions.clamp(-LARGEST_UNIT_ACTION, LARGEST_UNIT_ACTION)
        log_density = -learner.policy.action_size * math.log(2)  # uniform on (-1, 1)
        return actions, torch.full(shape[:1], log_density, device=device)
