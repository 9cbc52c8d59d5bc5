"""Judging by peers: questions, answers of jurors, and the verdict."""

import pytest
import torch

from rsm.config.exchanging import Mixing
from rsm.mixing.advantage import direct_advantage
from rsm.mixing.fisher import fisher_quadratic_form
from rsm.mixing.jury import answer, jury_verdict, question
from rsm.mixing.rules import Evidence

GAMMA = 0.99


def asked_of(world):
    evidence = Evidence(world.states, None, None, world.noise)
    tilde = world.theta + world.direction
    return question(world.policy, world.theta, tilde, world.alpha, evidence)


def answers_of(world, asked, critics):
    return answer(
        lambda states, actions: world.critic.min_q(critics, states, actions),
        asked.packed(),
        world.states.shape[1],
        (world.policy.observation_size, world.policy.action_size),
    )


def test_receivers_own_critics_as_jurors_give_the_advantage_that_they_estimate_themselves(world):
    asked = asked_of(world)
    own = answers_of(world, asked, world.phi) + asked.entropy_gain
    expected = direct_advantage(
        world.policy,
        world.theta,
        world.theta + world.direction,
        world.q,
        world.alpha,
        world.states,
        world.noise,
    )
    torch.testing.assert_close(own, expected)
    form = fisher_quadratic_form(world.policy, world.theta, world.direction, world.states)
    torch.testing.assert_close(asked.form, form)


def test_question_has_states_and_two_actions_and_nothing_of_the_receivers_parameters(world):
    asked = asked_of(world)
    agents, states, size = world.states.shape
    assert asked.packed().shape == (agents, states * (size + 2 * world.policy.action_size))
    assert float(asked.actions.abs().max()) <= 1


def test_one_liar_among_three_decides_nothing(world):
    asked = asked_of(world)
    honest = torch.stack([answers_of(world, asked, world.phi) + shift for shift in (0.0, 0.1)])
    for lie in (-1e6, 1e6):
        answers = torch.cat((honest, torch.full_like(honest[:1], lie)))
        verdict = jury_verdict(Mixing(rule="trust-region"), GAMMA, answers, asked)
        low, high = ((honest[i] + asked.entropy_gain).mean(dim=1) for i in (0, 1))
        assert ((low - 1e-5 <= verdict.advantage) & (verdict.advantage <= high + 1e-5)).all()


@pytest.mark.parametrize("rule", ["theorem2", "trust-region", "fixed"])
def test_replica_that_no_juror_answers_for_is_rejected(rule, world):
    asked = asked_of(world)
    answers = answers_of(world, asked, world.phi).unsqueeze(0).clone()
    answers[0, 1] = torch.nan
    verdict = jury_verdict(Mixing(rule=rule), GAMMA, answers, asked)
    assert torch.isnan(verdict.advantage[1]) and not torch.isnan(verdict.advantage[0])
    assert not verdict.accepted[1] and verdict.zeta[1] == 0 and not verdict.identical[1]


def test_two_jurors_are_averaged_and_a_silent_one_is_left_out(world):
    asked = asked_of(world)
    one = answers_of(world, asked, world.phi)
    silent = torch.full_like(one, torch.nan)
    verdict = jury_verdict(Mixing(), GAMMA, torch.stack((one, one + 2, silent)), asked)
    torch.testing.assert_close(verdict.advantage, (one + 1 + asked.entropy_gain).mean(dim=1))
