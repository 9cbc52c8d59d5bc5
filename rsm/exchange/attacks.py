"""What attackers send in place of their parameters.

An attacker drives and learns like any agent; only what it sends is altered. `alie` and `ipm` know the
parameters of all honest agents.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import torch
from torch import Tensor

SCALE = 10.0  # of `scaled`
IPM = 0.5  # ε of `ipm`

# Parameters of all and those at the start, both [N, D], attackers, generator → what they send [F, D].
Altered = Callable[[Tensor, Tensor, list[int], torch.Generator], Tensor]


def _gaussian(
    theta: Tensor, start: Tensor, attackers: list[int], generator: torch.Generator
) -> Tensor:
    """Noise of mean 0 with the spread of the attacker's own parameters."""
    own = theta[attackers]
    noise = torch.randn(own.shape, generator=generator, dtype=own.dtype, device=own.device)
    return noise * own.std(dim=1, keepdim=True)


def _alie(theta: Tensor, start: Tensor, attackers: list[int], generator: torch.Generator) -> Tensor:
    """μ − zσ of the honest parameters, z as large as stays unnoticed (Baruch, Baruch and Goldberg 2019)."""
    honest, agents = _honest(theta, attackers), len(theta)
    supporters = agents // 2 + 1 - len(attackers)
    share = (len(honest) - supporters) / len(honest)
    z = NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))
    target = honest.mean(dim=0) - z * honest.std(dim=0, correction=0)
    return target.repeat(len(attackers), 1)


def _ipm(theta: Tensor, start: Tensor, attackers: list[int], generator: torch.Generator) -> Tensor:
    """−ε times the mean of the honest parameters: inner product manipulation (Xie, Koyejo and Gupta 2020)."""
    return (-IPM * _honest(theta, attackers).mean(dim=0)).repeat(len(attackers), 1)


def _honest(theta: Tensor, attackers: list[int]) -> Tensor:
    honest = torch.ones(len(theta), dtype=torch.bool, device=theta.device)
    honest[attackers] = False
    return theta[honest]


ATTACKS: dict[str, Altered] = {
    "sign-flip": lambda theta, start, attackers, _: -theta[attackers],
    "gaussian": _gaussian,
    "zero": lambda theta, start, attackers, _: torch.zeros_like(theta[attackers]),
    "scaled": lambda theta, start, attackers, _: SCALE * theta[attackers],
    "stale": lambda theta, start, attackers, _: start[attackers],
    "alie": _alie,
    "ipm": _ipm,
    "liar": lambda theta, start, attackers, _: theta[
        attackers
    ],  # honest parameters; it only lies as a juror
}


def sent_parameters(
    kind: str, theta: Tensor, start: Tensor, attackers: list[int], generator: torch.Generator
) -> Tensor:
    """What every agent sends, `[N, D]`, where `theta: [N, D]` are the true parameters.

    `start: [N, D]` are those at the start of the run.
    """
    if not attackers:
        return theta
    sent = theta.clone()
    sent[attackers] = ATTACKS[kind](theta, start, attackers, generator)
    return sent
