"""The reference for learning: N separate soft actor-critic agents in a Python loop, as a textbook has them.

torch modules, one optimiser per network, a list as replay and `random.sample` to draw from it.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from rsm.config.run import Sac
from rsm.sac.learner import Learner
from rsm.sac.mlp import Sizes, layers


class Transition(NamedTuple):
    """What one agent stores in one step."""

    state: Tensor  # [O]
    action: Tensor  # [A], unit
    reward: float
    next_state: Tensor  # [O]
    terminated: float


def module_of(row: Tensor, sizes: Sizes) -> nn.Sequential:
    """The network whose flat parameters are `row: [d]`, as torch modules with parameters of their own."""
    modules: list[nn.Module] = []
    for weight, bias in layers(row[None], sizes):
        linear = nn.Linear(weight.shape[1], weight.shape[2], dtype=row.dtype)
        linear.weight.data, linear.bias.data = weight[0].T.clone(), bias[0, 0].clone()
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class PlainAgent:
    """One agent; starts as agent `number` of a stack."""

    def __init__(self, learner: Learner, number: int, settings: Sac) -> None:
        self.settings = settings
        self.target_entropy = learner.target_entropy
        self.actor = module_of(learner.theta[number], learner.policy.sizes)
        rows = learner.critics[number]
        self.critics = nn.ModuleList(module_of(row, learner.critic.sizes) for row in rows)
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = learner.log_alpha[number].clone().requires_grad_()
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=settings.actor_lr)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=settings.critic_lr)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=settings.alpha_lr)
        self.replay: list[Transition] = []

    def act(self, states: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Unit actions `[B, A]` and log π `[B]`."""
        mean, log_std = self.actor(states).chunk(2, dim=1)
        log_std = log_std.clamp(-20, 2)
        before = mean + log_std.exp() * noise
        log_pi = torch.distributions.Normal(mean, log_std.exp()).log_prob(before)
        actions = torch.tanh(before)
        return actions, (log_pi - torch.log(1 - actions**2 + 1e-9)).sum(dim=1)

    def q(self, critics: Iterable[nn.Module], states: Tensor, actions: Tensor) -> list[Tensor]:
        """Q₁ and Q₂, each `[B]`."""
        inputs = torch.cat((states, actions), dim=1)
        return [critic(inputs).squeeze(1) for critic in critics]

    def sample(self, generator: random.Random) -> list[Tensor]:
        """A batch from the list: states, actions, rewards, next states, terminated."""
        batch = generator.sample(self.replay, self.settings.batch_size)
        states, actions, rewards, next_states, terminated = zip(*batch, strict=True)
        numbers = (torch.tensor(rewards), torch.tensor(terminated))
        return [
            torch.stack(states),
            torch.stack(actions),
            numbers[0],
            torch.stack(next_states),
            numbers[1],
        ]

    def update(self, batch: list[Tensor], noise: Tensor) -> None:
        """One step of critics, actor and temperature; `noise: [2, B, A]` is standard normal."""
        states, unit_actions, rewards, next_states, terminated = batch
        settings, alpha = self.settings, self.log_alpha.exp().detach()
        with torch.no_grad():
            actions, log_pi = self.act(next_states, noise[0])
            value = torch.min(*self.q(self.targets, next_states, actions)) - alpha * log_pi
            aim = rewards + settings.gamma * (1 - terminated) * value
        self.critic_adam.zero_grad()
        loss = torch.stack([mse_loss(q, aim) for q in self.q(self.critics, states, unit_actions)])
        loss.sum().backward()
        self.critic_adam.step()

        actions, log_pi = self.act(states, noise[1])
        value = torch.min(*self.q(self.critics, states, actions))
        self.actor_adam.zero_grad()
        (alpha * log_pi - value).mean().backward()
        self.actor_adam.step()

        self.alpha_adam.zero_grad()
        entropy_gap = -log_pi.detach() - self.target_entropy
        (self.log_alpha.exp() * entropy_gap).mean().backward()
        self.alpha_adam.step()
        pairs = zip(self.targets.parameters(), self.critics.parameters(), strict=True)
        for slow, fast in pairs:
            slow.data.lerp_(fast.data, settings.tau)
