"""The stacked learner is held to N separate, plainly written SAC agents, update for update, in float64."""

import copy
import math

import torch
from torch import nn
from torch.nn.functional import mse_loss

from rsm.config.run import Sac
from rsm.sac import mlp as networks
from rsm.sac.learner import Learner
from rsm.sac.replay import Batch

AGENTS, BATCH, SCALE = 3, 16, 3.0
SETTINGS = Sac(
    hidden=(12, 10), actor_lr=1e-3, critic_lr=2e-3, alpha_lr=3e-3, alpha_init=0.1, tau=0.05
)


def module_of(row: torch.Tensor, sizes: networks.Sizes) -> nn.Sequential:
    modules: list[nn.Module] = []
    for weight, bias in networks.layers(row[None], sizes):
        linear = nn.Linear(*weight.shape[1:], dtype=row.dtype)
        linear.weight.data, linear.bias.data = weight[0].T.clone(), bias[0, 0].clone()
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def flat(module: nn.Module) -> torch.Tensor:
    parts = []
    for linear in module:
        if isinstance(linear, nn.Linear):
            parts += [linear.weight.detach().T.flatten(), linear.bias.detach()]
    return torch.cat(parts)


class PlainAgent:
    """One soft actor-critic agent as a textbook has it."""

    def __init__(self, learner: Learner, agent: int) -> None:
        self.actor = module_of(learner.theta[agent].detach(), learner.policy.sizes)
        self.critics = [
            module_of(row.detach(), learner.critic.sizes) for row in learner.critics[agent]
        ]
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = torch.tensor(
            math.log(SETTINGS.alpha_init), dtype=torch.float64, requires_grad=True
        )
        critic_parameters = [p for critic in self.critics for p in critic.parameters()]
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=SETTINGS.actor_lr)
        self.critic_adam = torch.optim.Adam(critic_parameters, lr=SETTINGS.critic_lr)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=SETTINGS.alpha_lr)

    def act(self, states: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_std = self.actor(states).chunk(2, dim=1)
        log_std = log_std.clamp(-20, 2)
        normal = torch.distributions.Normal(mean, log_std.exp())
        before = mean + log_std.exp() * noise
        actions = torch.tanh(before)
        log_pi = normal.log_prob(before) - torch.log(1 - actions**2)
        return actions, log_pi.sum(dim=1)

    def q(self, critics: list[nn.Sequential], states: torch.Tensor, actions: torch.Tensor) -> list:
        return [critic(torch.cat((states, actions), dim=1)).squeeze(1) for critic in critics]

    def update(self, batch: Batch, noise: torch.Tensor) -> None:
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            actions, log_pi = self.act(batch.next_observations, noise[0])
            value = torch.min(*self.q(self.targets, batch.next_observations, actions))
            aim = batch.rewards + batch.discount * (value - alpha * log_pi)
        values = self.q(self.critics, batch.observations, batch.unit_actions)
        self.critic_adam.zero_grad()
        sum(mse_loss(value, aim) for value in values).backward()
        self.critic_adam.step()

        actions, log_pi = self.act(batch.observations, noise[1])
        value = torch.min(*self.q(self.critics, batch.observations, actions))
        self.actor_adam.zero_grad()
        (alpha * log_pi - value).mean().backward()
        self.actor_adam.step()

        self.alpha_adam.zero_grad()
        (-self.log_alpha.exp() * (log_pi.detach() - 1.0)).mean().backward()
        self.alpha_adam.step()
        for target, critic in zip(self.targets, self.critics, strict=True):
            for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
                slow.data.lerp_(fast.data, SETTINGS.tau)


def batch_of(generator: torch.Generator) -> Batch:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    one = (AGENTS, BATCH)
    return Batch(
        draw(*one, 6),
        torch.tanh(draw(*one, 1)),
        draw(*one),
        draw(*one),
        draw(*one, 6),
        SETTINGS.gamma * (draw(*one) <= 1).double(),
    )


def stacked() -> Learner:
    generator = torch.Generator().manual_seed(0)
    return Learner(SETTINGS, AGENTS, 6, 1, SCALE, generator, dtype=torch.float64)


def test_stack_learns_what_separate_agents_learn():
    learner, generator = stacked(), torch.Generator().manual_seed(1)
    agents = [PlainAgent(learner, agent) for agent in range(AGENTS)]
    for _ in range(20):
        batch = batch_of(generator)
        noise = torch.randn(2, AGENTS, BATCH, 1, generator=generator, dtype=torch.float64)
        learner.update(batch, noise)
        for number, agent in enumerate(agents):
            agent.update(Batch(*(part[number] for part in batch)), noise[:, number])
    for number, agent in enumerate(agents):
        close = {"rtol": 1e-9, "atol": 1e-11}
        torch.testing.assert_close(learner.theta[number].detach(), flat(agent.actor), **close)
        for twin in range(2):
            ours, aims = learner.critics[number, twin].detach(), learner.targets[number, twin]
            torch.testing.assert_close(ours, flat(agent.critics[twin]), **close)
            torch.testing.assert_close(aims, flat(agent.targets[twin]), **close)
        torch.testing.assert_close(learner.log_alpha[number], agent.log_alpha.detach(), **close)


def test_all_agents_start_equal():
    learner = stacked()
    assert torch.equal(learner.theta, learner.theta[:1].expand_as(learner.theta))
    assert torch.equal(learner.critics, learner.critics[:1].expand_as(learner.critics))
    assert not torch.equal(learner.critics[0, 0], learner.critics[0, 1])


def test_termination_stops_the_bootstrap():
    generator = torch.Generator().manual_seed(2)
    batch = batch_of(generator)._replace(discount=torch.zeros(AGENTS, BATCH).double())
    noise = torch.zeros(2, AGENTS, BATCH, 1, dtype=torch.float64)
    other = batch._replace(next_observations=batch.next_observations + 5)
    losses = [stacked().update(one, noise).critic for one in (batch, other)]
    assert torch.equal(losses[0], losses[1])
    goes_on = other._replace(discount=torch.full((AGENTS, BATCH), SETTINGS.gamma).double())
    assert not torch.equal(stacked().update(goes_on, noise).critic, losses[0])


def test_restored_learner_goes_on_as_if_never_stopped():
    learner, other = stacked(), stacked()
    generator = torch.Generator().manual_seed(3)
    batches = [batch_of(generator) for _ in range(4)]
    noise = torch.randn(2, AGENTS, BATCH, 1, generator=generator, dtype=torch.float64)
    for batch in batches[:2]:
        learner.update(batch, noise)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    for batch in batches[2:]:
        learner.update(batch, noise)
        other.update(batch, noise)
    assert torch.equal(learner.theta, other.theta)
    assert torch.equal(learner.critics, other.critics)


def test_action_without_noise_is_that_of_the_mean():
    learner, generator = stacked(), torch.Generator().manual_seed(4)
    states = torch.randn(AGENTS, 6, generator=generator, dtype=torch.float64)
    actions, _ = learner.act(states, torch.zeros(AGENTS, 1, dtype=torch.float64))
    mean, _ = learner.policy.gaussian(learner.theta, states.unsqueeze(1))
    torch.testing.assert_close(actions, torch.tanh(mean.squeeze(1)).detach())
