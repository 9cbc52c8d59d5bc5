"""Learners that see everything: one policy for all, or one critic of the joint observation and action."""

import copy

import pytest
import torch
from torch.nn.functional import mse_loss

from rsm.config.learning import Sac
from rsm.sac.joint import JointLearner
from rsm.sac.learner import Learner
from rsm.sac.reference import flat_parameters, network_of
from rsm.sac.replay import Batch, Replay
from rsm.sac.shared import SharedLearner

AGENTS, BATCH, OBSERVED, ACTS = 3, 16, 4, 2
SETTINGS = Sac(
    hidden=(12, 10), actor_lr=1e-3, critic_lr=2e-3, alpha_lr=3e-3, alpha_init=0.1, tau=0.05
)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def made(kind: type[Learner], agents: int = AGENTS, settings: Sac = SETTINGS) -> Learner:
    generator = torch.Generator().manual_seed(0)
    return kind(settings, agents, OBSERVED, ACTS, 3.0, generator, dtype=torch.float64)


def batch_and_noise(generator: torch.Generator, agents: int = AGENTS) -> tuple[Batch, torch.Tensor]:
    """Transitions of moments that all agents share, so that episodes end for all at once."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    one = (agents, BATCH)
    discount = (SETTINGS.gamma * (draw(1, BATCH) <= 1).double()).expand(one)
    actions = torch.tanh(draw(*one, ACTS))
    batch = Batch(
        draw(*one, OBSERVED), actions, draw(one), draw(one), draw(*one, OBSERVED), discount
    )
    return batch, draw(2, *one, ACTS)


class PlainMasac:
    """The same updates for agents and critics one after another: modules, autograd, torch.optim.Adam."""

    def __init__(self, settings: Sac, theta: torch.Tensor, critics: torch.Tensor) -> None:
        self.settings, agents = settings, len(theta)
        self.actors = [network_of(row, (OBSERVED, *settings.hidden, 2 * ACTS)) for row in theta]
        sizes = (agents * (OBSERVED + ACTS), *settings.hidden, 1)
        self.critics = [network_of(row, sizes) for row in critics[0]]
        self.targets = copy.deepcopy(self.critics)
        start = torch.tensor(settings.alpha_init, dtype=theta.dtype).log()
        self.log_alphas = [start.clone().requires_grad_() for _ in range(agents)]
        adam = torch.optim.Adam
        self.actor_adams = [adam(a.parameters(), lr=settings.actor_lr) for a in self.actors]
        self.critic_adams = [adam(c.parameters(), lr=settings.critic_lr) for c in self.critics]
        self.alpha_adam = adam(self.log_alphas, lr=settings.alpha_lr)

    def act(self, agent: int, states: torch.Tensor, noise: torch.Tensor):
        mean, log_std = self.actors[agent](states).chunk(2, dim=1)
        normal = torch.distributions.Normal(mean, log_std.exp())
        u = mean + log_std.exp() * noise
        y = torch.tanh(u)
        return y, (normal.log_prob(u) - torch.log(1 - y**2)).sum(dim=1)

    def joint(self, networks: list, states: torch.Tensor, actions: list) -> torch.Tensor:
        everything = torch.cat([*states, *actions], dim=1)
        return torch.stack([network(everything).squeeze(1) for network in networks])

    def update(self, batch: Batch, noise: torch.Tensor) -> None:
        agents, alphas = range(len(self.actors)), [a.exp().detach() for a in self.log_alphas]
        with torch.no_grad():
            following = [self.act(i, batch.next_observations[i], noise[0, i]) for i in agents]
            value = self.joint(
                self.targets, batch.next_observations, [y for y, _ in following]
            ).amin(dim=0)
            for alpha, (_, log_pi) in zip(alphas, following, strict=True):
                value = value - alpha * log_pi / len(agents)
            target = batch.rewards.mean(dim=0) + batch.discount[0] * value
        stored = self.joint(self.critics, batch.observations, list(batch.unit_actions))
        for adam in self.critic_adams:
            adam.zero_grad()
        (mse_loss(stored[0], target) + mse_loss(stored[1], target)).backward()
        for adam in self.critic_adams:
            adam.step()

        acted = [self.act(i, batch.observations[i], noise[1, i]) for i in agents]
        q = self.joint(self.critics, batch.observations, [y for y, _ in acted]).amin(dim=0)
        bonus = sum(alpha * log_pi for alpha, (_, log_pi) in zip(alphas, acted, strict=True))
        for adam in self.actor_adams:
            adam.zero_grad()
        (bonus / len(agents) - q).mean().backward()
        for adam in self.actor_adams:
            adam.step()

        self.alpha_adam.zero_grad()
        for log_alpha, (_, log_pi) in zip(self.log_alphas, acted, strict=True):
            (log_alpha.exp() * (-log_pi.detach().mean() + ACTS)).backward()
        self.alpha_adam.step()
        with torch.no_grad():
            for target, critic in zip(self.targets, self.critics, strict=True):
                for old, new in zip(target.parameters(), critic.parameters(), strict=True):
                    old.lerp_(new, self.settings.tau)


def test_masac_learns_what_its_plain_transcription_learns():
    learner, generator = made(JointLearner), torch.Generator().manual_seed(1)
    plain = PlainMasac(SETTINGS, learner.theta, learner.critics)
    for _ in range(15):
        batch, noise = batch_and_noise(generator)
        learner.update(batch, noise)
        plain.update(batch, noise)
    for agent in range(AGENTS):
        torch.testing.assert_close(
            learner.theta[agent], flat_parameters(plain.actors[agent]), **CLOSE
        )
        torch.testing.assert_close(
            learner.log_alpha[agent], plain.log_alphas[agent].detach(), **CLOSE
        )
    for twin in range(2):
        for ours, theirs in ((learner.critics, plain.critics), (learner.targets, plain.targets)):
            torch.testing.assert_close(ours[0, twin], flat_parameters(theirs[twin]), **CLOSE)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_masac_of_one_agent_is_independent_learning(clip):
    """By autograd and by the kernels: equal but for rounding."""
    settings = SETTINGS.model_copy(update={"gradient_clip": clip})
    learners = [made(kind, 1, settings) for kind in (JointLearner, Learner)]
    generator = torch.Generator().manual_seed(2)
    for _ in range(10):
        batch, noise = batch_and_noise(generator, 1)
        losses = [learner.update(batch, noise) for learner in learners]
        for ours, theirs in zip(*losses, strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)
    for name in ("theta", "critics", "targets", "log_alpha"):
        ours, theirs = (getattr(learner, name) for learner in learners)
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_shared_policy_of_one_agent_is_independent_learning_to_the_bit():
    learners = [made(kind, 1) for kind in (SharedLearner, Learner)]
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        batch, noise = batch_and_noise(generator, 1)
        for learner in learners:
            learner.update(batch, noise)
        shared, alone = (
            learner.act(batch.observations[:, 0], noise[0, :, 0]) for learner in learners
        )
        assert torch.equal(shared[0], alone[0]) and torch.equal(shared[1], alone[1])
    for name in ("theta", "critics", "targets", "log_alpha"):
        assert torch.equal(*(getattr(learner, name) for learner in learners))


def test_shared_policy_learns_from_all_agents_what_one_learns_from_all_their_transitions():
    shared, alone = made(SharedLearner), made(Learner, 1)
    batch, noise = batch_and_noise(torch.Generator().manual_seed(4))
    shared.update(batch, noise)
    order = torch.randperm(AGENTS * BATCH, generator=torch.Generator().manual_seed(5))
    pooled = Batch(*(part.flatten(0, 1)[order][None] for part in batch))
    alone.update(pooled, noise.flatten(1, 2)[:, order][:, None])
    torch.testing.assert_close(shared.theta, alone.theta, **CLOSE)
    torch.testing.assert_close(shared.critics, alone.critics, **CLOSE)


def test_agents_of_a_shared_policy_do_the_same_where_they_see_the_same():
    learner = made(SharedLearner)
    states = torch.randn(1, OBSERVED, dtype=torch.float64).expand(AGENTS, -1)
    actions, log_pi = learner.act(states, torch.zeros(AGENTS, ACTS, dtype=torch.float64))
    assert actions.shape == (AGENTS, ACTS) and log_pi.shape == (AGENTS,)
    assert torch.equal(actions, actions[:1].expand_as(actions))
    with torch.no_grad():
        learner.theta.mul_(1.5)
    assert not torch.equal(learner.act(states, torch.zeros(AGENTS, ACTS).double())[0], actions)


@pytest.mark.parametrize("kind", [JointLearner, SharedLearner])
def test_restored_learner_goes_on_as_if_never_stopped(kind):
    learner, other = made(kind), made(kind)
    generator = torch.Generator().manual_seed(6)
    rounds = [batch_and_noise(generator) for _ in range(4)]
    for batch, noise in rounds[:2]:
        learner.update(batch, noise)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    for batch, noise in rounds[2:]:
        learner.update(batch, noise)
        other.update(batch, noise)
    for name in ("theta", "critics", "targets", "log_alpha"):
        assert torch.equal(getattr(learner, name), getattr(other, name))


def test_joint_batch_shows_one_moment_of_all_agents_and_for_one_agent_is_its_own_draw():
    replay = Replay(AGENTS, 50, 1, 1)
    for number in range(60):
        ones = torch.ones(AGENTS, 1)
        place = number * ones + 100 * torch.arange(AGENTS).unsqueeze(1)
        replay.add(place, ones, ones[:, 0], ones[:, 0], ones, ones[:, 0])
    drawn = made(JointLearner).draw(replay, torch.Generator().manual_seed(7)).observations[..., 0]
    assert drawn.shape == (AGENTS, SETTINGS.batch_size)
    assert torch.equal(drawn[1:] - drawn[:1], torch.tensor([[100.0], [200.0]]).expand(2, 256))
    assert drawn[0].min() >= 10 and drawn[0].unique().numel() > 40
    one = Replay(1, 50, 1, 1)
    state = replay.state_dict()
    first = {name: state[name][:1] for name in ("data", "added", "episodes", "began")}
    one.load_state_dict(state | first)
    draws = [
        draw(8, torch.Generator().manual_seed(8)) for draw in (one.sample, one.sample_together)
    ]
    assert torch.equal(draws[0].observations, draws[1].observations)


@pytest.mark.parametrize("kind", [Learner, JointLearner, SharedLearner])
def test_every_learner_masters_a_team_task_of_one_step(kind):
    """Each agent is paid, with all others, for the mean closeness of all actions to a number that each sees."""
    settings = SETTINGS.model_copy(
        update={"actor_lr": 3e-3, "critic_lr": 1e-2, "target_entropy": -3.0, "batch_size": 64}
    )
    learner = kind(settings, AGENTS, OBSERVED, 1, 1.0, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(9)

    def reward(states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        wanted = 0.8 * torch.tanh(states[..., 0])
        return (
            -(actions[..., 0] - wanted).square().mean(dim=0, keepdim=True).expand(len(states), -1)
        )

    def achieved() -> float:
        states = torch.randn(AGENTS, 200, OBSERVED, generator=generator)
        still = torch.zeros(AGENTS, 1)
        acted = [learner.act(states[:, moment], still)[0] for moment in range(200)]
        return float(reward(states, torch.stack(acted, dim=1)).mean())

    before = achieved()
    for _ in range(300):
        states = torch.randn(AGENTS, 64, OBSERVED, generator=generator)
        actions = 2 * torch.rand(AGENTS, 64, 1, generator=generator) - 1
        rewards = reward(states, actions)
        nothing = torch.zeros_like(rewards)
        batch = Batch(states, actions, nothing, rewards, states, nothing)
        learner.update(batch, torch.randn(2, AGENTS, 64, 1, generator=generator))
    assert achieved() > 0.1 * before, "both are negative"
