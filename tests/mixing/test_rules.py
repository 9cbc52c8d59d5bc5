import math

import pytest
import torch

from rsm.config.catalogue import RULES as NAMES
from rsm.config.exchanging import Mixing
from rsm.mixing.distances import kl_divergence, total_variation
from rsm.mixing.fisher import fisher_quadratic_form
from rsm.mixing.rules import (
    RULES,
    Evidence,
    Judge,
    Rule,
    mixing_metric,
    promises_gain,
    theorem2_bound,
    theorem2_constant,
)

GAMMA = 0.99
GATED = tuple(name for name, rule in RULES.items() if rule.gate is promises_gain)


def judge_of(world, seed: int = 0, **settings) -> Judge:
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.randn(world.states.shape, generator=generator, dtype=torch.float64)
    unused = torch.zeros_like(world.noise), torch.zeros_like(world.noise[..., 0])
    return Judge(
        world.policy,
        world.q,
        world.alpha,
        settings.pop("gamma", GAMMA),
        Mixing(**settings),
        Evidence(world.states, *unused, world.noise),
        Evidence(held_out, *unused, world.noise),
        torch.rand(2, generator=generator, dtype=torch.float64),
    )


def verdicts(make_world, rule: str, **settings):
    """(judge, θ, θ̃, verdict) of worlds in which both signs of A⁺ occur."""
    for seed in range(12):
        world = make_world(seed, states=200)
        judge = judge_of(world, rule=rule, **settings)
        other = world.theta + world.direction
        yield judge, world.theta, other, mixing_metric(judge, world.theta, other)


@pytest.mark.slow
@pytest.mark.parametrize("rule", GATED)
def test_replica_without_a_positive_advantage_is_rejected(rule, make_world):
    seen = {True: 0, False: 0}
    for _, _, _, verdict in verdicts(make_world, rule):
        positive = verdict.advantage > 0
        assert (verdict.zeta[~positive] == 0).all()
        assert (verdict.accepted == (verdict.zeta > 0)).all()
        assert not verdict.identical.any()
        for sign in (True, False):
            seen[sign] += int((positive == sign).sum())
    assert min(seen.values()) > 2


@pytest.mark.parametrize("rule", NAMES)
def test_identical_policy_is_neither_accepted_nor_rejected(rule, world):
    verdict = mixing_metric(judge_of(world, rule=rule), world.theta, world.theta.clone())
    assert verdict.identical.all() and not verdict.accepted.any()
    assert (verdict.zeta == 0).all() and verdict.bound.isnan().all()


@pytest.mark.slow
def test_theorem2_is_the_published_formula(make_world):
    for judge, theta, other, verdict in verdicts(make_world, "theorem2"):
        gain = judge.advantage(theta, other, judge.choice)
        for agent in range(2):
            mean, largest = float(gain[agent].mean()), float(gain[agent].abs().max())
            form = float(
                fisher_quadratic_form(
                    judge.policy, theta, other - theta, judge.choice.observations
                )[agent]
            )
            constant = 2 * GAMMA * largest / (1 - GAMMA) ** 2
            assert float(verdict.constant[agent]) == pytest.approx(constant)
            if mean > 0:
                bound = math.sqrt(2 * mean / (constant * form))
                assert float(verdict.zeta[agent]) == pytest.approx(min(0.8, bound))


@pytest.mark.slow
def test_zeta_never_exceeds_its_cap(make_world):
    for rule in NAMES:
        for *_, verdict in verdicts(make_world, rule, zeta_max=0.05, kl_limit=10.0):
            assert (verdict.zeta <= 0.05).all()


def test_bound_grows_as_the_discount_falls():
    epsilon, form = torch.tensor([0.5]), torch.tensor([2.0])
    advantage = torch.tensor([0.1])
    bounds = [
        theorem2_bound(advantage, theorem2_constant(epsilon, gamma), form)
        for gamma in (0.99, 0.9, 0.5)
    ]
    assert bounds[0] < bounds[1] < bounds[2]
    assert float(bounds[1]) == pytest.approx(math.sqrt(2 * 0.1 / (2 * 0.9 * 0.5 / 0.01 * 2)))


def test_trust_region_keeps_the_kl_divergence_to_second_order(make_world):
    for judge, theta, other, verdict in verdicts(make_world, "trust-region", kl_limit=1e-4):
        form = fisher_quadratic_form(judge.policy, theta, other - theta, judge.choice.observations)
        on = verdict.accepted
        torch.testing.assert_close(
            0.5 * verdict.zeta[on] ** 2 * form[on], torch.full_like(form[on], 1e-4)
        )


@pytest.mark.slow
def test_line_search_holds_on_the_held_out_states(make_world):
    accepted = 0
    for judge, theta, other, verdict in verdicts(make_world, "line-search"):
        mixed = theta + verdict.zeta[:, None] * (other - theta)
        gain = judge.advantage(theta, mixed, judge.held_out).mean(dim=1)
        divergence = kl_divergence(judge.policy, theta, mixed, judge.held_out.observations)
        on = verdict.accepted
        accepted += int(on.sum())
        assert (gain[on] > 0).all() and (divergence.mean(dim=1)[on] <= 0.01).all()
    assert accepted > 4


@pytest.mark.slow
def test_certified_step_satisfies_its_bound_and_twice_the_step_does_not(make_world):
    accepted = 0
    for judge, theta, other, verdict in verdicts(make_world, "certified", gamma=0.5):

        def margin(zeta, judge=judge, theta=theta, other=other):
            mixed = theta + zeta[:, None] * (other - theta)
            gain = judge.advantage(theta, mixed, judge.choice)
            distance = total_variation(judge.policy, theta, mixed, judge.choice.observations)
            return gain.mean(dim=1) - 2 * gain.abs().amax(dim=1) * distance.mean(dim=1)

        on = verdict.accepted
        accepted += int(on.sum())
        assert (margin(verdict.zeta)[on] > 0).all()
        halved = on & (verdict.zeta < 0.8)
        assert (margin(2 * verdict.zeta)[halved] <= 0).all()
    assert accepted > 0


def test_policy_that_cannot_be_judged_is_rejected(world):
    broken = world.theta + world.direction
    broken[0, 0] = torch.nan
    verdict = mixing_metric(judge_of(world), world.theta, broken)
    assert not verdict.accepted[0] and verdict.zeta[0] == 0


@pytest.mark.parametrize("rule", NAMES)
def test_rule_gets_held_out_evidence_only_where_it_says_that_it_needs_it(rule, world):
    judge = judge_of(world, rule=rule)._replace(held_out=None)
    other = world.theta + world.direction
    if RULES[rule].held_out:
        with pytest.raises(ValueError, match="held-out"):
            mixing_metric(judge, world.theta, other)
    else:
        mixing_metric(judge, world.theta, other)


@pytest.mark.parametrize("rule", NAMES)
def test_rule_gets_a_draw_only_where_it_says_that_it_needs_one(rule, world):
    judge = judge_of(world, rule=rule)._replace(coin=None)
    other = world.theta + world.direction
    if RULES[rule].needs_coin:
        with pytest.raises(ValueError, match="coin needs a draw"):
            mixing_metric(judge, world.theta, other)
    else:
        mixing_metric(judge, world.theta, other)


@pytest.mark.slow
def test_coin_takes_the_step_of_the_trust_region_by_its_draw_alone(make_world):
    signs = set()
    for seed in range(12):
        world = make_world(seed)
        other = world.theta + world.direction
        judge = judge_of(world, rule="coin")
        form = fisher_quadratic_form(world.policy, world.theta, other - world.theta, world.states)
        step = torch.sqrt(2 * 0.01 / form).clamp_max(0.8)
        for draw, heads in (([0.0, 0.5], [True, False]), ([0.999, 0.4999], [False, True])):
            tossed = judge._replace(coin=torch.tensor(draw, dtype=torch.float64))
            verdict = mixing_metric(tossed, world.theta, other)
            assert verdict.accepted.tolist() == heads
            torch.testing.assert_close(verdict.zeta, torch.where(torch.tensor(heads), step, 0))
            signs |= set((verdict.advantage[torch.tensor(heads)] > 0).tolist())
    assert signs == {True, False}


def test_new_rule_is_a_line_of_the_table(world, monkeypatch):
    monkeypatch.setitem(RULES, "fixed", Rule(lambda case: 0.5 * case.bound))
    judge, other = judge_of(world, rule="fixed", zeta_max=1.0), world.theta + world.direction
    verdict = mixing_metric(judge, world.theta, other)
    on = verdict.accepted
    torch.testing.assert_close(verdict.zeta[on], (0.5 * verdict.bound[on]).clamp_max(1.0))
