import math

import pytest
import torch

from rsm.config.learning import Sac
from rsm.sac.exploration import Exploration
from rsm.sac.learner import Learner

AGENTS = 9


def drawn(settings: Sac, decisions: int, begin_every: int | None = None):
    """Unit actions `[decisions, N]` and log μ of an exploration that starts at decision 0."""
    learner = Learner(settings, AGENTS, 6, 1, 3.0, torch.Generator().manual_seed(0))
    exploration = Exploration(settings, torch.Generator().manual_seed(1))
    states, rows = torch.zeros(AGENTS, 6), []
    for number in range(decisions):
        if begin_every and number % begin_every == 0:
            exploration.begin()
        rows.append(exploration.act(learner, states, number))
    actions, logs = zip(*rows, strict=True)
    return torch.stack(actions)[..., 0], torch.stack(logs)


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1])


def test_first_decisions_are_uniform_and_correlated_over_time_but_not_between_agents():
    actions, logs = drawn(Sac(noise_correlation=0.8, random_decisions=4000), 4000)
    assert actions.abs().max() < 1
    assert abs(float(actions.mean())) < 0.03
    assert float(actions.var()) == pytest.approx(1 / 3, abs=0.02)
    # Of Φ of two normals with correlation ρ: 6/π asin(ρ/2).
    expected = 6 / math.pi * math.asin(0.4)
    assert correlation(actions[1:], actions[:-1]) == pytest.approx(expected, abs=0.02)
    assert abs(correlation(actions[:, 0], actions[:, 1])) < 0.15
    assert torch.equal(logs, torch.full((4000, AGENTS), -math.log(2.0)))


def test_policy_takes_over_after_the_random_decisions_with_its_own_density():
    settings = Sac(noise_correlation=0.5, random_decisions=3)
    _, logs = drawn(settings, 6)
    assert (logs[:3] == -torch.tensor(2.0).log()).all()
    assert not (logs[3:] == -torch.tensor(2.0).log()).any()


def test_noise_of_an_episode_does_not_reach_into_the_next():
    settings = Sac(noise_correlation=0.9, random_decisions=4000)
    actions, _ = drawn(settings, 4000, begin_every=2)
    within, across = (correlation(actions[i:-1:2], actions[i + 1 :: 2]) for i in (0, 1))
    assert within > 0.8
    assert abs(across) < 0.05


def test_published_exploration_is_the_plain_sampled_action():
    learner = Learner(Sac(), AGENTS, 6, 1, 3.0, torch.Generator().manual_seed(0))
    draw, again = (torch.Generator().manual_seed(1) for _ in range(2))
    exploration, states = Exploration(Sac(), draw), torch.rand(AGENTS, 6)
    for number in range(3):
        ours = exploration.act(learner, states, number)
        theirs = learner.act(states, torch.randn(AGENTS, 1, generator=again))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
