"""The plain references of the benchmarks compute the same as our code; speed is not tested."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.paper import fill
from benchmarks.plain_agents import PlainAgent, Transition
from benchmarks.plain_environment import PlainEnvironment
from benchmarks.plain_fisher import explicit_form
from benchmarks.plain_run import PlainRun
from rsm.config.exchanging import Mixing
from rsm.config.learning import Sac, Traffic
from rsm.config.run import RunConfig
from rsm.mixing.fisher import fisher_quadratic_form
from rsm.sac.learner import Learner
from rsm.sac.policy import SquashedGaussian
from rsm.sac.reference import flat_parameters
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training


def test_agent_of_the_loop_draws_batches_of_what_it_stored():
    settings = Sac(hidden=(9, 8), batch_size=12)
    learner = Learner(settings, 2, 3, 1, 3.0, torch.Generator().manual_seed(0))
    agent = PlainAgent(learner, 1, settings)
    agent.replay = [
        Transition(torch.full((3,), i), torch.zeros(1), i, torch.full((3,), i + 1.0), float(i < 10))
        for i in map(float, range(20))
    ]
    batch = agent.sample(random.Random(0))
    assert len(set(batch.rewards.tolist())) == 12
    assert torch.equal(batch.observations, batch.rewards.unsqueeze(1).expand(12, 3))
    assert torch.equal(batch.next_observations, batch.observations + 1)
    assert torch.equal(batch.discount, settings.gamma * (batch.rewards >= 10))
    agent.update(batch, torch.zeros(2, 12, 1))
    assert not torch.equal(flat_parameters(agent.actor), learner.theta[1])


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


def test_plain_run_moves_by_the_trust_region_where_a_replica_is_a_gain():
    config = RunConfig(method="rsm", sac=Sac(hidden=(9, 8)), mixing=Mixing(rule="trust-region"))
    learner = Learner(config.sac, 2, 3, 1, 3.0, torch.Generator().manual_seed(0))
    run = PlainRun(config, SimpleNamespace(), learner)
    state, draw = torch.tensor([0.3, -0.2, 0.5]), torch.Generator().manual_seed(1)
    run.agents[0].replay = [Transition(state, torch.zeros(1), 0.0, state, 0.0)]
    own, found = learner.theta[0], []
    for _ in range(8):
        direction = 0.3 * torch.randn(own.shape, generator=draw)
        form = fisher_quadratic_form(learner.policy, own[None], direction[None], state[None, None])
        step = min(config.mixing.zeta_max, (2 * config.mixing.kl_limit / float(form)) ** 0.5)
        found.append(run.zeta(run.agents[0], own, own + direction))
        assert found[-1] == 0 or found[-1] == pytest.approx(step, rel=1e-3)
    assert 0 < sum(zeta > 0 for zeta in found) < 8


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


def test_replay_of_a_paper_run_is_filled_to_its_last_place():
    config = RunConfig(
        method="rsm", sac=Sac(hidden=(9, 8), replay_size=40, batch_size=8, learning_starts=8)
    )
    with TrafficEnv(config.driven) as env:
        run = Training(config, env)
        fill(run)
    assert run.replay.stored.tolist() == [40] * 9
    assert (run.replay.latest(40).discount == 0).all()
