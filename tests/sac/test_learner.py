"""The learner of N stacked agents is held to N reference agents, update for update, in float64."""

import copy

import pytest
import torch

from rsm.config.learning import Sac
from rsm.sac.learner import Learner
from rsm.sac.reference import ReferenceAgent, flat_parameters
from rsm.sac.replay import Batch

AGENTS, BATCH, SCALE = 3, 16, 3.0
SETTINGS = Sac(
    hidden=(12, 10), actor_lr=1e-3, critic_lr=2e-3, alpha_lr=3e-3, alpha_init=0.1, tau=0.05
)


def batch_of(generator: torch.Generator, action_size: int = 1) -> Batch:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    one = (AGENTS, BATCH)
    return Batch(
        draw(*one, 6),
        torch.tanh(draw(*one, action_size)),
        draw(*one),
        draw(*one),
        draw(*one, 6),
        SETTINGS.gamma * (draw(*one) <= 1).double(),
    )


def stacked(settings: Sac = SETTINGS, action_size: int = 1) -> Learner:
    generator = torch.Generator().manual_seed(0)
    return Learner(settings, AGENTS, 6, action_size, SCALE, generator, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("action_size", [1, 2])
@pytest.mark.parametrize("gradient_clip", [None, 0.5, 5.0])
def test_stack_learns_what_separate_agents_learn(gradient_clip, action_size):
    settings = SETTINGS.model_copy(update={"gradient_clip": gradient_clip})
    learner, generator = stacked(settings, action_size), torch.Generator().manual_seed(1)
    agents = [
        ReferenceAgent(settings, 6, action_size, learner.theta[agent], learner.critics[agent])
        for agent in range(AGENTS)
    ]
    close = {"rtol": 1e-9, "atol": 1e-11}
    for _ in range(20):
        batch, shape = batch_of(generator, action_size), (2, AGENTS, BATCH, action_size)
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        losses = learner.update(batch, noise)
        for number, agent in enumerate(agents):
            own = agent.update(Batch(*(part[number] for part in batch)), noise[:, number])
            for ours, theirs in zip(losses, own, strict=True):
                torch.testing.assert_close(ours[number], theirs, **close)
    for number, agent in enumerate(agents):
        torch.testing.assert_close(learner.theta[number], flat_parameters(agent.actor), **close)
        for twin in range(2):
            critic, target = learner.critics[number, twin], learner.targets[number, twin]
            torch.testing.assert_close(critic, flat_parameters(agent.critics[twin]), **close)
            torch.testing.assert_close(target, flat_parameters(agent.targets[twin]), **close)
        torch.testing.assert_close(learner.log_alpha[number], agent.log_alpha.detach(), **close)


def test_clipped_gradients_teach_something_else():
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(2, AGENTS, BATCH, 1, generator=generator, dtype=torch.float64)
    batches = [batch_of(generator) for _ in range(3)]
    learners = [stacked(SETTINGS.model_copy(update={"gradient_clip": c})) for c in (None, 0.5, 1e9)]
    for batch in batches:
        for learner in learners:
            learner.update(batch, noise)
    free, clipped, never = learners
    assert torch.equal(free.theta, never.theta) and torch.equal(free.critics, never.critics)
    assert not torch.equal(free.theta, clipped.theta)
    assert not torch.equal(free.critics, clipped.critics)


def test_target_entropy_is_minus_the_number_of_actions_unless_given():
    assert stacked(action_size=2).target_entropy == -2
    assert stacked(SETTINGS.model_copy(update={"target_entropy": -9.0})).target_entropy == -9


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
