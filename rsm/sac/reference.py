"""Soft actor-critic of one agent, written plainly: torch modules, autograd, torch.optim.Adam.

It is the readable form of rsm.sac.learner, which computes the same for N agents at once: tests hold N agents of
that learner to N of these, and the benchmarks time a loop over them. No run uses it.
Source: Haarnoja et al. 2018 (arXiv:1812.05905); equation numbers are theirs.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import mse_loss, softplus
from torch.nn.utils import clip_grad_norm_, skip_init

from rsm.config.learning import Sac
from rsm.sac.learner import Losses
from rsm.sac.mlp import Sizes, layers
from rsm.sac.policy import LOG_STD_RANGE
from rsm.sac.replay import Batch


def network_of(row: Tensor, sizes: Sizes) -> nn.Sequential:
    """The multilayer perceptron whose flat parameters (as in rsm.sac.mlp) are `row: [d]`, copied."""
    modules: list[nn.Module] = []
    for weight, bias in layers(row.detach()[None], sizes):
        linear = skip_init(nn.Linear, weight.shape[1], weight.shape[2], dtype=row.dtype)
        linear.weight.data, linear.bias.data = weight[0].T.clone(), bias[0, 0].clone()
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def flat_parameters(network: nn.Module) -> Tensor:
    """The flat parameters `[d]` of such a network; the inverse of `network_of`."""
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    parts = [(linear.weight.detach().T.flatten(), linear.bias.detach()) for linear in linears]
    return torch.cat(list(itertools.chain.from_iterable(parts)))


class ReferenceAgent:
    """One agent that starts from the flat parameters of an actor `theta: [d]` and of two critics `[2, c]`."""

    def __init__(
        self,
        settings: Sac,
        observation_size: int,
        action_size: int,
        theta: Tensor,
        critics: Tensor,
    ) -> None:
        self.settings = settings
        actor_sizes = (observation_size, *settings.hidden, 2 * action_size)
        critic_sizes = (observation_size + action_size, *settings.hidden, 1)
        self.actor = network_of(theta, actor_sizes)
        self.critics = nn.ModuleList(network_of(row, critic_sizes) for row in critics)
        self.targets = copy.deepcopy(self.critics)
        alpha = torch.tensor(settings.alpha_init, dtype=theta.dtype)
        self.log_alpha = alpha.log().requires_grad_()
        target = settings.target_entropy
        self.target_entropy = -float(action_size) if target is None else target

        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=settings.actor_lr)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=settings.critic_lr)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=settings.alpha_lr)

    def act(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Unit actions `[B, A]` and log π `[B]` for `observations: [B, O]`, standard normal `noise: [B, A]`."""
        mean, log_std = self.actor(observations).chunk(2, dim=1)
        std = log_std.clamp(*LOG_STD_RANGE).exp()
        u = mean + std * noise
        # log(1 − tanh(u)²) = 2 (log 2 − u − softplus(−2u)), finite however large |u| is
        log_slope = 2 * (torch.log(u.new_tensor(2)) - u - softplus(-2 * u))
        log_pi = Normal(mean, std).log_prob(u) - log_slope
        return torch.tanh(u), log_pi.sum(dim=1)

    def q_values(self, critics: nn.ModuleList, observations: Tensor, actions: Tensor) -> Tensor:
        """Q₁ and Q₂ as `[2, B]` of critics or targets, at unit actions `[B, A]`."""
        inputs = torch.cat((observations, actions), dim=1)
        return torch.stack([critic(inputs).squeeze(1) for critic in critics])

    def update(self, batch: Batch, noise: Tensor) -> Losses:
        """One step of critics, actor and temperature, then of the targets.

        `batch` is of this agent alone (`[B, …]`); `noise: [2, B, A]` is standard normal, for the next
        observations and for the observations.
        """
        settings, alpha = self.settings, self.log_alpha.exp().detach()

        # Critics: mean squared error to the clipped double-Q target (5, 6).
        with torch.no_grad():
            next_actions, next_log_pi = self.act(batch.next_observations, noise[0])
            next_q = self.q_values(self.targets, batch.next_observations, next_actions).amin(dim=0)
            td_target = batch.rewards + batch.discount * (next_q - alpha * next_log_pi)
        q = self.q_values(self.critics, batch.observations, batch.unit_actions)
        critic_loss = mse_loss(q[0], td_target) + mse_loss(q[1], td_target)
        self.critic_adam.zero_grad()
        critic_loss.backward()  # type: ignore[no-untyped-call]
        for critic in self.critics:
            self.clip(critic)
        self.critic_adam.step()

        # Actor: reparametrised gradient, judged by the critics as they are now (7).
        actions, log_pi = self.act(batch.observations, noise[1])
        min_q = self.q_values(self.critics, batch.observations, actions).amin(dim=0)
        actor_loss = (alpha * log_pi - min_q).mean()
        self.actor_adam.zero_grad()
        actor_loss.backward()  # type: ignore[no-untyped-call]
        self.clip(self.actor)
        self.actor_adam.step()

        # Temperature: toward the target entropy (18).
        entropy = -log_pi.detach().mean()
        alpha_loss = self.log_alpha.exp() * (entropy - self.target_entropy)
        self.alpha_adam.zero_grad()
        alpha_loss.backward()  # type: ignore[no-untyped-call]
        self.alpha_adam.step()

        # Targets: a Polyak average of the critics.
        with torch.no_grad():
            pairs = zip(self.targets.parameters(), self.critics.parameters(), strict=True)
            for target, current in pairs:
                target.lerp_(current, settings.tau)
        return Losses(critic_loss.detach(), actor_loss.detach(), entropy)

    def clip(self, network: nn.Module) -> None:
        """Clip the norm of the network's gradient where the settings say so."""
        if self.settings.gradient_clip is not None:
            clip_grad_norm_(network.parameters(), self.settings.gradient_clip)
