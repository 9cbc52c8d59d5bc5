"""Soft actor-critic of N agents at once: acting and the three updates (arXiv:1812.05905)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from rsm.config.learning import Sac
from rsm.sac import mlp
from rsm.sac.critic import TwinCritic
from rsm.sac.kernels.adam import Adam
from rsm.sac.kernels.gradients import Buffers, backward, clip_norm_
from rsm.sac.kernels.products import product
from rsm.sac.policy import SquashedGaussian
from rsm.sac.replay import Batch, Replay


class Losses(NamedTuple):
    """What an update reports, each `[N]`, still on the device."""

    critic: Tensor  # mean squared Bellman error, both critics summed
    actor: Tensor  # mean of α log π − min Q
    entropy: Tensor  # mean of −log π of the unit action, nats


class Learner:
    """Actors `theta: [N, d]`, critics `critics: [N, 2, c]`, their targets and temperatures `[N]`.

    All agents start from the same parameters; otherwise averaging would be meaningless.
    """

    joint: ClassVar[bool] = False  # one pair of critics sees what all agents observe and do

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
        self.settings, self.agents = settings, agents
        self.policy = SquashedGaussian(observation_size, action_size, settings.hidden, action_scale)
        seen = agents if self.joint else 1  # agents that a critic sees
        self.critic = TwinCritic(seen * observation_size, seen * action_size, settings.hidden)
        target = settings.target_entropy
        self.target_entropy = -float(action_size) if target is None else target

        def initial(sizes: mlp.Sizes) -> Tensor:
            # Drawn on the device of the generator: a run begins with the same parameters on every device.
            return mlp.initial_parameters(sizes, generator, dtype).to(device)

        self.theta = initial(self.policy.sizes).repeat(agents, 1)
        twins = torch.stack((initial(self.critic.sizes), initial(self.critic.sizes)))
        self.critics = twins.repeat(agents // seen, 1, 1)
        self.targets = self.critics.clone()
        self.log_alpha = torch.full_like(self.theta[:, 0], settings.alpha_init).log()

        flat = self.critics.flatten(0, 1)
        self._adams = {
            "actor": Adam(self.theta, settings.actor_lr),
            "critic": Adam(flat, settings.critic_lr),
            "alpha": Adam(self.log_alpha, settings.alpha_lr),
        }
        # Parameters and gradients layer by layer: views of the flat tensors.
        self._actor = mlp.layers(self.theta, self.policy.sizes)
        self._critics = mlp.layers(flat, self.critic.sizes)
        self._targets = mlp.layers(self.targets.flatten(0, 1), self.critic.sizes)
        self._actor_gradient = mlp.layers(self._adams["actor"].gradient, self.policy.sizes)
        self._critic_gradient = mlp.layers(self._adams["critic"].gradient, self.critic.sizes)
        self._buffers: tuple[Buffers, Buffers] | None = None  # of actors and critics, by batch size

    @property
    def alpha(self) -> Tensor:
        """Temperatures `[N]`."""
        return self.log_alpha.exp()

    def draw(self, replay: Replay, generator: torch.Generator) -> Batch:
        """A batch to update with."""
        return replay.sample(self.settings.batch_size, generator)

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Unit actions `[N, A]` and log π `[N]` by `observations: [N, O]`, standard normal `noise: [N, A]`."""
        batch = observations.unsqueeze(1)
        actions, log_density = self.policy.sample(self._actor, batch, noise.unsqueeze(1))
        return actions.squeeze(1), log_density.squeeze(1)

    @torch.no_grad()
    def update(self, batch: Batch, noise: Tensor, agents: list[int] | None = None) -> Losses:
        """One step of critics, actors and temperatures of these agents (by default all), then of the targets.

        `noise: [2, N, B, A]` is standard normal: for the next states, then for the states. No loss couples
        agents: rsm.sac.kernels.gradients computes the gradients of each from its own. The same for one agent,
        written plainly, is rsm.sac.reference.
        """
        settings, size = self.settings, batch.rewards.shape[1]
        alpha = self.alpha.unsqueeze(1)
        actor, critic = self._buffers_for(size)

        # The actors do not change before their own step: one pass serves the next states and the states.
        states = torch.cat((batch.next_observations, batch.observations), dim=1)
        noise = noise.transpose(0, 1).flatten(1, 2)
        output = mlp.forward(self._actor, states, actor.outputs)
        actions, log_density = self.policy.squash(output, noise)

        values = self._twins(self._targets, batch.next_observations, actions[:, :size])
        soft_value = values.amin(dim=1) - alpha * log_density[:, :size]
        td_target = batch.rewards + batch.discount * soft_value
        error = self._twins(self._critics, batch.observations, batch.unit_actions)
        error = error - td_target.unsqueeze(1)
        critic_loss = error.square().mean(dim=2).sum(dim=1)
        gradient = (2 / size) * error.view(2 * len(self.theta), size, 1)
        backward(self._critics, critic.activations, gradient, critic.deltas, self._critic_gradient)
        self._step("critic", agents)

        values = self._twins(self._critics, batch.observations, actions[:, size:])
        actor_loss = (alpha * log_density[:, size:] - values.amin(dim=1)).mean(dim=1)
        action_gradient = self._action_gradient(values)
        output, noise, actions = (part[:, size:] for part in (output, noise, actions))
        weight = alpha.unsqueeze(2) / size
        gradient = self.policy.output_gradient(output, noise, actions, action_gradient, weight)
        activations = [part[:, size:] for part in (states, *actor.outputs[:-1])]
        backward(self._actor, activations, gradient, actor.deltas, self._actor_gradient)
        self._step("actor", agents)

        entropy = -log_density[:, size:].mean(dim=1)
        self._step_temperatures(entropy, agents)
        # Targets of critics that took no step stay as they are.
        if agents is None:
            self.targets.lerp_(self.critics, settings.tau)
        else:
            for agent in agents:
                self.targets[agent].lerp_(self.critics[agent], settings.tau)
        return Losses(critic_loss, actor_loss, entropy)

    def _step_temperatures(self, entropy: Tensor, agents: list[int] | None) -> None:
        """d/d(log α) of J(α) = α (entropy − target), eq. 18 of arXiv:1812.05905, for `entropy: [N]`."""
        self._adams["alpha"].gradient.copy_(self.alpha * (entropy - self.target_entropy))
        self._adams["alpha"].step(agents)

    def _step(self, name: str, agents: list[int] | None) -> None:
        """One step of actors or critics down their gradients, which are clipped network by network."""
        adam = self._adams[name]
        rows = agents
        if agents is not None and name == "critic":  # two of each agent
            rows = [2 * agent + twin for agent in agents for twin in (0, 1)]
        if self.settings.gradient_clip is not None:
            clip_norm_(adam.gradient, self.settings.gradient_clip)
        adam.step(rows)

    def begin_anew(self, agent: int, generator: torch.Generator) -> None:
        """Make an agent a newcomer: freshly drawn actor and critics, reset optimisers."""
        dtype, device = self.theta.dtype, self.theta.device

        def initial(sizes: mlp.Sizes) -> Tensor:
            return mlp.initial_parameters(sizes, generator, dtype).to(device)

        self.theta[agent] = initial(self.policy.sizes)
        self.critics[agent] = torch.stack((initial(self.critic.sizes), initial(self.critic.sizes)))
        self.targets[agent] = self.critics[agent]
        self.log_alpha[agent] = math.log(self.settings.alpha_init)
        self._adams["actor"].forget(agent)
        self._adams["alpha"].forget(agent)
        for twin in (0, 1):
            self._adams["critic"].forget(2 * agent + twin)

    def _twins(self, network: mlp.Layers, observations: Tensor, unit_actions: Tensor) -> Tensor:
        """Q₁ and Q₂ `[N, 2, B]` of critics or targets, their activations kept until the next call."""
        agents, size, _ = observations.shape
        _, critic = self._buffers_for(size)
        inputs = critic.inputs.view(agents, 2, size, -1)
        inputs[..., : self.policy.observation_size].copy_(observations.unsqueeze(1))
        inputs[..., self.policy.observation_size :].copy_(unit_actions.unsqueeze(1))
        return mlp.forward(network, critic.inputs, critic.outputs).view(agents, 2, size)

    def _action_gradient(self, values: Tensor) -> Tensor:
        """∂/∂y of −mean min(Q₁, Q₂), `[N, B, A]`, after `values: [N, 2, B]` of the critics' last pass."""
        agents, _, size = values.shape
        _, critic = self._buffers_for(size)
        first = values[:, 0] <= values[:, 1]
        gradient = torch.stack((first, ~first), dim=1).to(values.dtype) / -size
        gradient = gradient.view(2 * agents, size, 1)
        gradient = backward(self._critics, critic.activations, gradient, critic.deltas, None)
        to_actions = self._critics[0][0][:, self.policy.observation_size :].mT
        out = gradient.new_empty(2 * agents, size, self.policy.action_size)
        return product(gradient, to_actions, out).view(agents, 2, size, -1).sum(dim=1)

    def _buffers_for(self, size: int) -> tuple[Buffers, Buffers]:
        """Buffers of actors (for two batches) and critics, kept while the batch size stays."""
        if self._buffers is None or self._buffers[1].inputs.shape[1] != size:
            self._buffers = (
                Buffers(self.policy.sizes, len(self.theta), 2 * size, size, self.theta),
                Buffers(self.critic.sizes, 2 * len(self.theta), size, size, self.theta),
            )
        return self._buffers

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: every tensor and the state of every optimiser."""
        return {
            "theta": self.theta,
            "critics": self.critics,
            "targets": self.targets,
            "log_alpha": self.log_alpha,
            "adams": {name: adam.state_dict() for name, adam in self._adams.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, in place, so that the layers stay views of it."""
        for name in ("theta", "critics", "targets", "log_alpha"):
            getattr(self, name).copy_(state[name])
        for name, adam in self._adams.items():
            adam.load_state_dict(state["adams"][name])
