"""The policy: a Gaussian squashed by tanh.

The unit action is y = tanh(u) with u ~ N(μ(s), σ(s)²). It lies in (-1, 1), though in float32 it rounds to ±1
for |u| > 9. The environment receives scale · y. Every log-density is that of the unit action, change of
variables included, without the scale: an entropy target then means the same for every range of actions.
Source: Haarnoja et al. 2018 (arXiv:1812.05905), appendix C.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rsm.sac import mlp

LOG_STD_RANGE = (-20.0, 2.0)
LARGEST_UNIT_ACTION = 1 - 1e-6  # atanh stays finite, also in float32


class SquashedGaussian(NamedTuple):
    """A policy class; its parameters are passed to every function as `theta: [N, d]`."""

    observation_size: int
    action_size: int
    hidden: tuple[int, ...]
    scale: float = 1.0  # the largest action, e.g. 3 m/s²; no density depends on it

    @property
    def sizes(self) -> mlp.Sizes:
        """Units from input to output; the last layer holds means and log standard deviations."""
        return (self.observation_size, *self.hidden, 2 * self.action_size)

    @property
    def parameter_count(self) -> int:
        """d."""
        return mlp.parameter_count(self.sizes)

    def output(self, theta: Tensor | mlp.Layers, observations: Tensor) -> Tensor:
        """What the networks put out for `observations: [N, B, O]`: means and raw log σ, `[N, B, 2A]`.

        `theta` is `[N, d]`, or its layers where the caller holds them already.
        """
        network = mlp.layers(theta, self.sizes) if isinstance(theta, Tensor) else theta
        return mlp.forward(network, observations)

    def output_and_tangent(
        self, theta: Tensor, direction: Tensor, observations: Tensor
    ) -> tuple[Tensor, Tensor]:
        """That output and its directional derivative along `direction: [N, d]`, in one pass."""
        pair = mlp.layers(theta, self.sizes), mlp.layers(direction, self.sizes)
        return mlp.forward_tangent(*pair, observations)

    def gaussian(self, theta: Tensor | mlp.Layers, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of u, each `[N, B, A]`, for `observations: [N, B, O]`."""
        return self.split(self.output(theta, observations))

    def split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of u from the networks' output."""
        mean, log_std = output.chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def sample(
        self, theta: Tensor | mlp.Layers, observations: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Unit actions y `[N, B, A]` and log π(y|s) `[N, B]`, from standard normal `noise: [N, B, A]`."""
        return self.squash(self.output(theta, observations), noise)

    @torch.no_grad()
    def act(
        self, theta: Tensor | mlp.Layers, observations: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """Those actions alone, the mean actions tanh(μ) by default: what it takes to drive."""
        mean, log_std = self.gaussian(theta, observations)
        return torch.tanh(mean if noise is None else mean + log_std.exp() * noise)

    def squash(self, output: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Unit actions y `[N, B, A]` and log π(y|s) `[N, B]` from the network's `output: [N, B, 2A]`."""
        mean, log_std = self.split(output)
        before_squash = mean + log_std.exp() * noise
        log_density = self._log_density(noise, log_std, before_squash)
        return torch.tanh(before_squash), log_density

    def output_gradient(
        self,
        output: Tensor,
        noise: Tensor,
        unit_actions: Tensor,
        action_gradient: Tensor,
        weight: Tensor,
    ) -> Tensor:
        """∂L/∂output `[N, B, 2A]` from ∂L/∂y = `action_gradient: [N, B, A]` and ∂L/∂log π = `weight`.

        With y = tanh(μ + σε) at a fixed ε: ∂L/∂μ = ∂L/∂y · (1 − y²) + weight · 2y, since
        ∂(−log(1 − y²))/∂u = 2y, and ∂L/∂(log σ) = ∂L/∂μ · σε − weight, 0 where log σ is clamped.
        """
        raw = output[..., self.action_size :]
        log_std = raw.clamp(*LOG_STD_RANGE)
        mean_gradient = action_gradient * (1 - unit_actions.square()) + 2 * weight * unit_actions
        std_gradient = mean_gradient * log_std.exp() * noise - weight
        return torch.cat((mean_gradient, std_gradient * (raw == log_std)), dim=-1)

    def log_density(
        self, theta: Tensor | mlp.Layers, observations: Tensor, unit_actions: Tensor
    ) -> Tensor:
        """log π(y|s) `[N, B]` of stored unit actions `[N, B, A]`, by atanh clipped inside (-1, 1).

        In float32 no u beyond ±7.25 can be recovered from its action. The log-density that `sample` gives, and
        the replay keeps, is of u itself: the weights of `advantage: importance` compare two different u there.
        """
        return self.density(self.output(theta, observations), unit_actions)

    def density(self, output: Tensor, unit_actions: Tensor) -> Tensor:
        """The same log π(y|s) from the networks' output `[N, B, 2A]`."""
        mean, log_std = self.split(output)
        clipped = unit_actions.clamp(-LARGEST_UNIT_ACTION, LARGEST_UNIT_ACTION)
        before_squash = torch.atanh(clipped)
        noise = (before_squash - mean) * torch.exp(-log_std)
        return self._log_density(noise, log_std, before_squash)

    def _log_density(self, noise: Tensor, log_std: Tensor, before_squash: Tensor) -> Tensor:
        normal = torch.add(log_std, noise.square(), alpha=0.5)  # −log N(u), without its constant
        # −log(1 − tanh(u)²) = 2 (u + softplus(−2u)) − 2 log 2 neither overflows nor loses digits for large |u|.
        squash = before_squash + softplus(-2 * before_squash)
        constant = 0.5 * math.log(2 * math.pi) + 2 * math.log(2)
        return (2 * squash - normal - constant).sum(dim=-1)
