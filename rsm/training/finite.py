"""Detecting NaN and infinity before they spread: a run that diverges ends as a failed result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.errors import RunError
from rsm.traffic.environment import Step


class Diverged(RunError):
    """A loss, parameter, reward or observation is not finite: quantity, agent and place are named."""


class Unseen(NamedTuple):
    """Values of an update that are still to be checked, on a device where each check would be a transfer."""

    quantities: Mapping[str, Tensor]  # each [N, …]
    sums: Tensor  # of each quantity, [quantities]


def require_finite(
    quantities: Mapping[str, Tensor], place: Callable[[], str], sums: Tensor | None = None
) -> None:
    """Raise Diverged for the first value in `quantities`, each `[N, …]`, that is NaN or infinite.

    Sums detect it cheaply, since NaN and infinity survive them. Only then the agent is searched for and `place`
    is called, which says where in the run or the episode it happened.
    """
    if sums is None:
        sums = sums_of(quantities)
    if math.isfinite(sum(sums.tolist())):
        return
    for name, values in quantities.items():
        rows = values.detach().reshape(len(values), -1)
        wrong = ~torch.isfinite(rows)
        if wrong.any():
            agent = int(wrong.any(dim=1).nonzero()[0])
            value = float(rows[agent][wrong[agent]][0])
            raise Diverged(f"{name} of agent {agent} is {value} {place()}")


def require_finite_step(step: Step, place: Callable[[], str]) -> None:
    """The same for the reward and the observation of a step, whose sums are taken as plain floats."""
    if not math.isfinite(sum(step.reward.tolist()) + sum(step.observation.ravel().tolist())):
        reward, observation = torch.from_numpy(step.reward), torch.from_numpy(step.observation)
        require_finite({"reward": reward, "observation": observation}, place)


def sums_of(quantities: Mapping[str, Tensor]) -> Tensor:
    """The sum of each quantity, [quantities]."""
    return torch.stack([values.sum() for values in quantities.values()])


class Watch:
    """Checks the result of each update: at once on the host, elsewhere with the next copy to the host."""

    def __init__(self, device: torch.device, place: Callable[[], str]) -> None:
        self.unseen: Unseen | None = None
        self._later, self._place = device.type != "cpu", place

    def require_finite(self, quantities: Mapping[str, Tensor]) -> None:
        """Check now; raises Diverged."""
        require_finite(quantities, self._place)

    def driven(self, step: Step) -> None:
        """Check what a step of the traffic led to, now; raises Diverged."""
        require_finite_step(step, self._place)

    def updated(self, quantities: Mapping[str, Tensor]) -> None:
        """Check the result of an update, or keep it to be checked later; raises Diverged."""
        if self._later:
            self.unseen = Unseen(quantities, sums_of(quantities))
        else:
            require_finite(quantities, self._place)

    def to_host(self, values: Tensor) -> Tensor:
        """`values` on the host; values still to be checked travel with them, in one copy. Raises Diverged."""
        if self.unseen is None:
            return values.cpu()
        both = torch.cat((values.flatten(), self.unseen.sums)).cpu()
        self.look(both[values.numel() :])
        return both[: values.numel()].view(values.shape)

    def look(self, sums: Tensor | None = None) -> None:
        """Check what is left to check, by its `sums` if they are on the host; raises Diverged.

        To be called before the environment, a round or the next update could spread a NaN.
        """
        unseen, self.unseen = self.unseen, None
        if unseen is not None:
            require_finite(unseen.quantities, self._place, unseen.sums if sums is None else sums)
