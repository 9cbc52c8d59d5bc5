"""Soft actor-critic of N agents at once: acting and the three updates (arXiv:1812.05905)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rsm.config import Sac
from rsm.sac import networks
from rsm.sac.critic import TwinCritic
from rsm.sac.policy import SquashedGaussian
from rsm.sac.replay import Batch


class Losses(NamedTuple):
    """What an update reports, each `[N]`, still on the device."""

    critic: Tensor  # mean squared Bellman error, both critics summed
    actor: Tensor  # mean of α log π − min Q
    entropy: Tensor  # mean of −log π, nats


class Learner:
    """Actors `theta: [N, d]`, critics `critics: [N, 2, c]`, their targets and temperatures `[N]`.

    All agents start from the same parameters: averaging means nothing otherwise.
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
    ) -> None:
        self.settings, self.agents = settings, agents
        self.policy = SquashedGaussian(observation_size, action_size, settings.hidden, action_scale)
        self.critic = TwinCritic(observation_size, action_size, settings.hidden)
        aim = settings.target_entropy
        self.target_entropy = -float(action_size) if aim is None else aim

        def start(sizes: networks.Sizes) -> Tensor:
            return networks.initial_parameters(sizes, generator, dtype)

        self.theta = start(self.policy.sizes).repeat(agents, 1)
        twins = torch.stack((start(self.critic.sizes), start(self.critic.sizes)))
        self.critics = twins.repeat(agents, 1, 1)
        self.targets = self.critics.clone()
        self.log_alpha = torch.full_like(self.theta[:, 0], settings.alpha_init).log()
        self.log_alpha.grad = torch.zeros_like(self.log_alpha)

        # The same storage four times over: what learns, and what a gradient must not reach.
        flat = self.critics.flatten(0, 1)
        self._actor = networks.trainable_layers(self.theta, self.policy.sizes)
        self._frozen_critics = networks.layers(flat, self.critic.sizes)
        self._critics = networks.trainable_layers(flat, self.critic.sizes)
        self._targets = networks.layers(self.targets.flatten(0, 1), self.critic.sizes)
        self._optimisers = {
            "actor": torch.optim.Adam([self.theta], lr=settings.actor_lr, fused=True),
            "critic": torch.optim.Adam([flat], lr=settings.critic_lr, fused=True),
            "alpha": torch.optim.Adam([self.log_alpha], lr=settings.alpha_lr, fused=True),
        }

    @property
    def alpha(self) -> Tensor:
        """Temperatures `[N]`."""
        return self.log_alpha.exp()

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Unit actions `[N, A]` and log π `[N]` for `observations: [N, O]`.

        `noise: [N, A]` is standard normal; None gives the mean action (its log π is that of the mean).
        """
        batch = observations.unsqueeze(1)
        if noise is None:
            noise = torch.zeros_like(batch[..., : self.policy.action_size])
        else:
            noise = noise.unsqueeze(1)
        actions, log_density = self.policy.sample(self.theta, batch, noise)
        return actions.squeeze(1), log_density.squeeze(1)

    def update(self, batch: Batch, noise: Tensor) -> Losses:
        """One step of critics, actors and temperatures of all agents, then of the targets.

        `noise: [2, N, B, A]` is standard normal: for the next states, then for the states.
        """
        settings = self.settings
        alpha = self.alpha.unsqueeze(1)

        with torch.no_grad():
            actions, log_pi = self.policy.sample(self.theta, batch.next_observations, noise[0])
            soft_value = self.critic.smaller(self._targets, batch.next_observations, actions)
            soft_value -= alpha * log_pi
            bootstrap = settings.gamma * (1 - batch.terminated) * soft_value
            aim = (batch.rewards + bootstrap).unsqueeze(1)
        values = self.critic.both(self._critics, batch.observations, batch.unit_actions)
        critic_loss = (values - aim).square().mean(dim=2).sum(dim=1)
        self._descend("critic", critic_loss)

        actions, log_pi = self.policy.sample(self._actor, batch.observations, noise[1])
        values = self.critic.smaller(self._frozen_critics, batch.observations, actions)
        actor_loss = (alpha * log_pi - values).mean(dim=1)
        self._descend("actor", actor_loss)

        entropy = -log_pi.detach().mean(dim=1)
        # d/d(log α) of J(α) = α (entropy − target), eq. 18 of arXiv:1812.05905
        self.log_alpha.grad = alpha.squeeze(1) * (entropy - self.target_entropy)
        self._optimisers["alpha"].step()
        self.targets.lerp_(self.critics, settings.tau)
        return Losses(critic_loss.detach(), actor_loss.detach(), entropy)

    def _descend(self, name: str, loss: Tensor) -> None:
        """One Adam step; the sum over agents keeps their gradients apart."""
        optimiser = self._optimisers[name]
        optimiser.zero_grad(set_to_none=False)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: every tensor and the state of every optimiser."""
        return {
            "theta": self.theta,
            "critics": self.critics,
            "targets": self.targets,
            "log_alpha": self.log_alpha,
            "optimisers": {
                name: optimiser.state_dict() for name, optimiser in self._optimisers.items()
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, in place, so that the layers stay views of it."""
        for name in ("theta", "critics", "targets", "log_alpha"):
            getattr(self, name).copy_(state[name])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
