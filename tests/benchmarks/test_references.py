"""The plain references of the benchmarks compute what our code computes; how fast is not tested."""

import numpy as np
import pytest
import torch

from benchmarks.plain_agents import PlainAgent, module_of
from benchmarks.plain_environment import PlainEnvironment
from benchmarks.plain_fisher import explicit_form
from rsm.config.run import Sac, Traffic
from rsm.mixing.fisher import fisher_quadratic_form
from rsm.sac.learner import Learner
from rsm.sac.policy import SquashedGaussian
from rsm.sac.replay import Batch
from rsm.traffic.environment import TrafficEnv

SETTINGS = Sac(hidden=(9, 8), actor_lr=1e-3, critic_lr=2e-3, tau=0.05, batch_size=12)


def test_loop_of_agents_learns_what_the_stack_learns():
    draw = torch.Generator().manual_seed(0)
    learner = Learner(SETTINGS, 2, 6, 1, 3.0, draw, dtype=torch.float64)
    agents = [PlainAgent(learner, number, SETTINGS) for number in range(2)]

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    for _ in range(3):
        states, next_states = normal(2, 12, 6), normal(2, 12, 6)
        actions, rewards = torch.tanh(normal(2, 12, 1)), normal(2, 12)
        ends, noise = (normal(2, 12) > 1).double(), normal(2, 2, 12, 1)
        discount = SETTINGS.gamma * (1 - ends)
        learner.update(Batch(states, actions, rewards, rewards, next_states, discount), noise)
        batches = zip(states, actions, rewards, next_states, ends, strict=True)
        for number, (agent, batch) in enumerate(zip(agents, batches, strict=True)):
            agent.update(list(batch), noise[:, number])
    for number, agent in enumerate(agents):
        stacked = module_of(learner.theta[number], learner.policy.sizes)
        for ours, theirs in zip(stacked.parameters(), agent.actor.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
        for row, critic in zip(learner.critics[number], agent.critics, strict=True):
            stacked = module_of(row, learner.critic.sizes)
            for ours, theirs in zip(stacked.parameters(), critic.parameters(), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(learner.log_alpha[number], agent.log_alpha.detach())


def test_explicit_fisher_is_the_form_within_the_noise_of_its_actions():
    draw = torch.Generator().manual_seed(1)
    policy = SquashedGaussian(3, 1, (5,), 3.0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    theta, direction = 0.4 * normal(policy.parameter_count), normal(policy.parameter_count)
    theta[-1] -= 1.5  # narrow, so that actions stay off the edges
    states = normal(3000, 3)
    explicit = explicit_form(policy, theta, direction, states, normal(3000, 1))
    form = fisher_quadratic_form(policy, theta[None], direction[None], states[None])
    assert float(explicit) == pytest.approx(float(form), rel=0.15)


def test_environment_over_a_socket_is_our_environment():
    traffic = Traffic(horizon=60)
    actions = np.random.default_rng(2).uniform(-1, 3, (60, 9)).astype(np.float32)
    with TrafficEnv(traffic) as env:
        ours = [env.reset(5)]
        steps = [env.step(row) for row in actions]
    with PlainEnvironment(traffic) as plain:
        theirs = [plain.reset(5)]
        plain_steps = [plain.step(row) for row in actions]
    ours += [step.observation for step in steps]
    theirs += [observation for observation, _ in plain_steps]
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    rewards = [step.reward[0] for step in steps]
    np.testing.assert_allclose([reward for _, reward in plain_steps], rewards, rtol=1e-5)
