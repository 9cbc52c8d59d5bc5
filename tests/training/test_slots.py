"""Runs on an open road: agents are slots, some of them empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from rsm.config.run import RunConfig
from rsm.sac.exploration import Exploration
from rsm.traffic.environment import TrafficEnv
from rsm.training.communication import Communication
from rsm.training.loop import Training

from .run_folders import assert_resumes_to_the_same_bits

MERGE = {"scenario": "flow-merge-1", "decision_interval": 2, "horizon": 240}
AT_ONCE = {"topology": "complete"}
LATE = AT_ONCE | {"delay": "exponential", "delay_mean": 2.0, "bandwidth": 200_000.0, "segments": 2}
OWN_TIME = LATE | {"mode": "asynchronous"}


def settings(tiny, **changes) -> RunConfig:
    return tiny(**({"traffic": MERGE} | changes))


def test_empty_slot_neither_stores_nor_learns(tiny) -> None:
    config = settings(tiny, method="independent", sac={"n_step": 3})
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        stored, live = run.replay.stored, env.live
        assert stored.max() > 0 and stored.min() == 0, "some slot was never taken"
        before = run.learner.theta.clone()
        able = live & (stored >= config.sac.learning_starts)
        assert (able.any() and (stored[~live] > 0).any()) or not live.all()
        [losses] = run.update()
    changed = (run.learner.theta != before).any(dim=1).numpy()
    assert np.array_equal(changed, able)
    assert len(losses.critic) == able.sum(), "nor does it count"


@pytest.mark.parametrize("channel", [AT_ONCE, LATE, OWN_TIME])
def test_what_an_empty_slot_acts_and_holds_changes_nobodys_bits(channel, tiny, monkeypatch) -> None:
    """Garbage in place of its action and density, and of the parameters of a slot that was never taken."""
    found = []
    for garbage in (0.0, 0.7):
        config = settings(tiny, communication=channel, training={"episodes": 1})
        with TrafficEnv(config.traffic) as env:
            run = Training(config, env)
            act = run.exploration.act
            taken = np.zeros(env.n_agents, dtype=bool)

            def garbled(*told, act=act, env=env, garbage=garbage, taken=taken):  # type: ignore[no-untyped-def]
                actions, density = act(*told)
                empty = torch.from_numpy(~env.live)
                taken |= env.live
                actions[empty], density[empty] = actions[empty] + garbage, density[empty] - garbage
                return actions, density

            monkeypatch.setattr(run.exploration, "act", garbled)
            run.learner.theta[-1] += garbage
            row = run.train_episode()
            assert not taken[-1] and taken[0]
            found.append((run.learner.theta[:-1], run.learner.critics, row["return"]))
            assert run.exchange is not None and run.exchange.rounds > 3
    (theta, critics, value), (other_theta, other_critics, other) = found
    assert torch.equal(theta, other_theta) and torch.equal(critics, other_critics)
    assert value == other


@pytest.mark.parametrize("method", ["average", "fmarl", "rsm"])
def test_empty_slot_has_no_neighbours_and_sends_nothing(method, tiny) -> None:
    config = settings(tiny, method=method, communication={"topology": "complete", "segments": 2})
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        exchange = Communication(config, run.learner, run.replay)
    positions = np.zeros((env.n_agents, 2))
    positions[[1, 4]] = np.inf
    before = run.learner.theta.clone()
    run.learner.theta += torch.randn(run.learner.theta.shape) * 0.1
    started = run.learner.theta.clone()
    row = exchange.hold_round(positions).row
    sent = exchange.last_round
    assert not sent[[1, 4]].any() and not sent[:, [1, 4]].any() and sent.sum() > 0
    assert row["links"] == 11 * 10
    assert torch.equal(run.learner.theta[[1, 4]], started[[1, 4]])
    assert not torch.equal(run.learner.theta[0], before[0])


def test_radius_is_between_the_vehicles_that_hold_the_slots(tiny, tmp_path) -> None:
    config = settings(tiny, method="average", communication={"topology": "radius:100"})
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        assert run.exchange is not None
        run.exchange.hold_round(env.positions())
        places, sent = env.positions(), run.exchange.last_round
    for one in range(env.n_agents):
        for other in range(env.n_agents):
            near = np.isfinite(places[[one, other]]).all() and one != other
            near = near and np.hypot(*(places[one] - places[other])) <= 100
            assert (sent[one, other] > 0) == near


def test_noise_of_the_next_vehicle_does_not_go_on_from_the_one_that_left(tiny) -> None:
    config = settings(tiny, method="independent", sac={"noise_correlation": 0.9})
    with TrafficEnv(config.traffic) as env:
        learner, states = Training(config, env).learner, torch.zeros(env.n_agents, 5)
    drawn = []
    for left in (False, True):
        exploration = Exploration(config.sac, torch.Generator().manual_seed(0))
        exploration.begin()
        exploration.act(learner, states, 10**6)
        gone = np.zeros(env.n_agents, dtype=bool)
        gone[2] = left
        exploration.part(gone)
        drawn.append(exploration.act(learner, states, 10**6)[0])
    same = (drawn[0] == drawn[1]).all(dim=1).tolist()
    assert same == [slot != 2 for slot in range(env.n_agents)]


@pytest.mark.parametrize("channel", [LATE, OWN_TIME])
@pytest.mark.parametrize("method", ["average", "fmarl", "rsm"])
def test_round_that_a_vehicle_began_leaves_with_it(channel, method, tiny, monkeypatch) -> None:
    """Neither an empty slot nor the next vehicle mixes what it asked for."""
    config = settings(tiny, method=method, communication=channel, mixing={"rule": "trust-region"})
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        assert run.exchange is not None and run.exchange.timed is not None
        timed, communicate, part = run.exchange.timed, run.communicate, run.exchange.part
        under_way = []

        def parted(agents):  # type: ignore[no-untyped-def]
            under_way.append(timed.under_way or len(agents) - len(timed.closed(agents)))
            part(agents)
            assert timed.closed(agents) == agents

        def communicated(updated):  # type: ignore[no-untyped-def]
            before, empty = run.learner.theta.clone(), torch.from_numpy(~env.live)
            communicate(updated)
            assert torch.equal(run.learner.theta[empty], before[empty])

        monkeypatch.setattr(run.exchange, "part", parted)
        monkeypatch.setattr(run, "communicate", communicated)
        start = run.learner.theta.clone()
        run.train_episode()
        run.train_episode()
    assert sum(under_way) > 0, "some vehicle left while its round was under way"
    assert not torch.equal(run.learner.theta, start)


@pytest.mark.slow
@pytest.mark.parametrize("channel", [AT_ONCE, OWN_TIME])
def test_run_on_an_open_road_resumes_to_the_same_bits(channel, tiny, tmp_path) -> None:
    config = settings(
        tiny,
        communication=channel,
        mixing={"rule": "line-search"},
        sac={"n_step": 3, "replay_size": 60},
    )
    content = assert_resumes_to_the_same_bits(config, tmp_path)
    assert content["status"] == "finished" and content["agents"] == 13
    rounds = pd.read_parquet(tmp_path / "whole" / "rounds.parquet")
    assert rounds["links"].max() > 0
