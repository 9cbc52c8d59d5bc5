"""Adam on the rows of one tensor (arXiv:1412.6980), by torch's fused kernel.

`torch.optim.Adam` computes the same; its bookkeeping in Python costs 0.1 ms a step, more than the kernel on a
small network, and its first use imports torch's compiler, a second of every start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Moments of `parameters: [M, …]`, which every step changes in place by `gradient`, of the same shape.

    Rows may take different numbers of steps. Each has a count of its own, which corrects the bias of its
    moments.
    """

    def __init__(self, parameters: Tensor, learning_rate: float) -> None:
        self.parameters, self.gradient = parameters, torch.zeros_like(parameters)
        self._learning_rate = learning_rate
        self._moments = (torch.zeros_like(parameters), torch.zeros_like(parameters))
        self._steps = torch.zeros(len(parameters), device=parameters.device)
        self._alike = True  # every row has taken the same steps

    def step(self, rows: list[int] | None = None) -> None:
        """One step of these rows down their gradients; of all rows by default."""
        if rows is None and self._alike:
            self._fused([slice(None)], [self._steps[0].clone()])
            self._steps += 1
            return
        self._alike = False
        taken = list(range(len(self._steps))) if rows is None else rows
        if not taken:
            return
        self._fused(taken, [self._steps[row].clone() for row in taken])
        self._steps[taken] += 1

    def forget(self, row: int) -> None:
        """Reset a row: no moments, no steps."""
        self._alike = False
        for tensor in (*self._moments, self._steps):
            tensor[row] = 0

    def _fused(self, rows: Sequence[int | slice], steps: list[Tensor]) -> None:
        for count in steps:
            count += 1
        mean, square = self._moments
        torch._fused_adam_(
            [self.parameters[row] for row in rows],
            [self.gradient[row] for row in rows],
            [mean[row] for row in rows],
            [square[row] for row in rows],
            [],
            steps,
            lr=self._learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        mean, square = self._moments
        return {"steps": self._steps, "mean": mean, "square": square}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, in place."""
        names = ("steps", "mean", "square")
        for own, name in zip((self._steps, *self._moments), names, strict=True):
            own.copy_(state[name])
        self._alike = bool((self._steps == self._steps[0]).all())
