"""Slow agents, newcomers and unreachable agents: who updates, who waits, who exchanges."""

import pandas as pd
import pytest
import torch

from rsm.errors import ConfigError
from rsm.sac.learner import Learner
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
from rsm.training.roster import Presence, Roster
from rsm.training.run import train

from .run_folders import assert_resumes_to_the_same_bits

FLEET = {"scenario": "fleet-figure-eight:5"}
SLOW = {"agents": 2, "factor": 3}


def occasions(config, count: int) -> tuple[Roster, list[list[int]]]:
    """Who updates at each of `count` occasions; a round is held where it is due without a barrier's wait."""
    roster, everybody, seen = Roster(config, 5), list(range(5)), []
    for occasion in range(1, count + 1):
        agents = roster.updating(occasion, pd.Series([100] * 5).to_numpy(), 20)
        seen.append(everybody if agents is None else agents)
        due = roster.all_made() if roster.waits else occasion % 4 == 0
        if due:
            roster.round_held()
    return roster, seen


def test_slow_agents_update_at_every_factor_th_occasion(tiny):
    config = tiny(traffic=FLEET, slow=SLOW, communication={"topology": "ring", "barrier": "none"})
    roster, seen = occasions(config, 12)
    assert len(roster.slow) == 2 and roster.not_made == 0
    for agent in range(5):
        made = sum(agent in agents for agents in seen)
        assert made == (4 if agent in roster.slow else 12)


def test_barrier_makes_the_others_wait_for_the_slowest(tiny):
    config = tiny(traffic=FLEET, slow=SLOW, communication={"topology": "ring"})
    roster, seen = occasions(
        config, 24
    )  # two rounds of U = 4 updates of agents at a third of the speed
    for agent in range(5):
        assert sum(agent in agents for agents in seen) == 8
    assert roster.not_made == 3 * (24 - 8)


def test_equal_agents_all_update_and_nobody_waits(tiny):
    roster, seen = occasions(tiny(traffic=FLEET, communication={"topology": "ring"}), 8)
    assert seen == [list(range(5))] * 8 and roster.not_made == 0 and not roster.waits


@pytest.mark.parametrize("section", ["slow", "restarts"])
def test_more_unlike_agents_than_agents_are_refused(section, tiny):
    config = tiny(**{section: {"agents": 10}})
    with (
        TrafficEnv(config.traffic) as env,
        pytest.raises(ConfigError, match=rf"{section}.agents: 10"),
    ):
        Training(config, env)


def batch_and_noise(generator):
    from rsm.sac.replay import Replay

    replay = Replay(3, 30, 6, 1)
    for _ in range(30):
        values = [torch.rand(3, size, generator=generator) for size in (6, 1, 6)]
        numbers = [torch.rand(3, generator=generator) for _ in range(3)]
        replay.add(values[0], values[1], numbers[0], numbers[1], values[2], numbers[2])
    noise = torch.randn(2, 3, 8, 1, generator=generator)
    return replay.sample(8, generator), noise


def learner_of(tiny) -> Learner:
    return Learner(tiny().sac, 3, 6, 1, 3.0, torch.Generator().manual_seed(0))


def test_agents_that_do_not_update_keep_every_bit_and_the_others_get_theirs(tiny):
    """Agent 1 sits out the second of three updates: for it there were two, for the others three."""
    whole, part, two = (learner_of(tiny) for _ in range(3))
    generator = torch.Generator().manual_seed(1)
    for number in range(3):
        batch, noise = batch_and_noise(generator)
        whole.update(batch, noise)
        before = part.theta[1].clone()
        part.update(batch, noise, [0, 2] if number == 1 else None)
        if number == 1:
            assert torch.equal(part.theta[1], before)
        else:
            two.update(batch, noise)
    for name in ("theta", "critics", "targets", "log_alpha"):
        for agent in (0, 2):
            torch.testing.assert_close(getattr(part, name)[agent], getattr(whole, name)[agent])
        torch.testing.assert_close(getattr(part, name)[1], getattr(two, name)[1])


def test_newcomer_has_other_parameters_an_empty_replay_and_waits_until_it_has_stored_enough(tiny):
    config = tiny(method="independent", traffic=FLEET, restarts={"agents": 1, "episode": 2})
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        [newcomer] = run.roster.newcomers
        before, stored = run.learner.theta.clone(), run.replay.stored.copy()
        run.episode += 1
        run.welcome_newcomers()
        run.episode -= 1
        changed = (run.learner.theta != before).any(dim=1)
        assert changed.tolist() == [agent == newcomer for agent in range(5)]
        assert run.replay.stored[newcomer] == 0
        assert (run.replay.stored == stored).sum() == 4
        needed = config.sac.learning_starts
        assert newcomer not in run.roster.updating(1, run.replay.stored, needed)


def test_newcomer_draws_only_what_it_has_stored_itself(tiny):
    from rsm.sac.replay import Replay

    replay = Replay(2, 50, 1, 1)
    for number in range(40):
        if number == 30:
            replay.forget(1)
        ones = torch.ones(2, 1)
        replay.add(number * ones, ones, torch.ones(2), torch.ones(2), ones, torch.ones(2))
    drawn = replay.sample(500, torch.Generator().manual_seed(0)).observations
    assert float(drawn[1].min()) == 30 and float(drawn[0].min()) < 5
    assert set(drawn[1].flatten().tolist()) == set(map(float, range(30, 40)))


def test_absent_agents_neither_send_nor_receive(tiny, tmp_path):
    for method in ("average", "fmarl", "rsm"):
        communication = {} if method == "fmarl" else {"topology": "complete"}
        config = tiny(
            method=method,
            traffic=FLEET,
            communication=communication,
            churn={"rate": 400.0, "absence": 20.0},
        )
        train(config, tmp_path / method)
        rounds = pd.read_parquet(tmp_path / method / "rounds.parquet")
        assert rounds["links"].nunique() > 2 and rounds["links"].max() <= 20
        assert rounds["messages"].nunique() > 2 and (rounds["refused"] == 0).all()


def test_presence_follows_its_rate_and_absence(tiny):
    presence = Presence(tiny(churn={"rate": 60.0, "absence": 30.0}), 200)
    shares = [presence.at(float(time)).mean() for time in range(0, 3600, 10)]
    assert abs(sum(shares[60:]) / len(shares[60:]) - 60 / 90) < 0.05


def test_unequal_run_resumes_to_the_same_bits(tiny, tmp_path):
    config = tiny(
        traffic=FLEET,
        communication={"topology": "complete"},
        slow=SLOW,
        restarts={"agents": 1, "episode": 2},
        churn={"rate": 200.0, "absence": 20.0},
        attack={"agents": 1, "kind": "gaussian"},
    )
    assert_resumes_to_the_same_bits(config, tmp_path)
