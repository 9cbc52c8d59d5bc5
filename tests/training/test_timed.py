"""Runs whose rounds take simulated time: who waits, what is written down, and that they resume."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from rsm.traffic.environment import TrafficEnv
from rsm.training import communication
from rsm.training.loop import Training

from .run_folders import assert_resumes_to_the_same_bits, tables

FLEET = {"scenario": "fleet-figure-eight:4"}
DELAYS = {"delay": "lognormal", "delay_mean": 1.0, "bandwidth": 50_000.0}
PEERS = {"rule": "trust-region", "judge": "peers"}


def driven(config) -> Training:
    """A run after two episodes, its accounts closed."""
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        for _ in range(2):
            run.train_episode()
        run.close_accounts()
    return run


def config_of(tiny, mode="asynchronous", **changes):
    channel = {"topology": "complete", "mode": mode} | changes.pop("communication", {})
    return tiny(traffic=FLEET, communication=channel, **changes)


@pytest.mark.parametrize(
    ("changes", "channel"),
    [
        ({"mixing": PEERS}, {"share": "actor+critic", "encoding": "int8"}),
        ({"mixing": {"rule": "trust-region"}}, {"topology": "random:2"}),
    ],
)
def test_asynchronous_agents_in_lockstep_give_the_bits_of_synchronous_rounds(
    changes, channel, tiny, monkeypatch
):
    """With the draws of rounds in step; agents in their own time draw from streams of their own."""
    streams_of = communication.streams_of

    def in_step(config, agents, device):
        as_before = {"mode": "synchronous", "delay": "none", "bandwidth": None}
        plain = config.communication.model_copy(update=as_before)
        return streams_of(config.model_copy(update={"communication": plain}), agents, device)

    monkeypatch.setattr(communication, "streams_of", in_step)
    sharing = channel | {"segments": 2}
    plain = driven(config_of(tiny, "synchronous", communication=sharing, **changes))
    runs = [
        driven(config_of(tiny, "asynchronous", communication=sharing, **changes)),
        driven(
            config_of(tiny, "synchronous", communication=sharing | {"bandwidth": 1e300}, **changes)
        ),
    ]
    for run in runs:
        assert torch.equal(run.learner.theta, plain.learner.theta)
        assert torch.equal(run.learner.critics, plain.learner.critics)
        for table in ("rounds", "zeta"):
            frames = (one.recorder.table(table).to_pandas() for one in (run, plain))
            pd.testing.assert_frame_equal(*frames, check_exact=True)


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_run_with_frames_in_flight_resumes_to_the_same_bits(mode, tiny, tmp_path):
    config = config_of(
        tiny,
        mode,
        communication={
            **DELAYS,
            "delay_mean": 3.0,
            "loss_rate": 0.1,
            "timeout": 12.0,
            "segments": 2,
        },
        mixing=PEERS,
        slow={"agents": 1, "factor": 3},
        churn={"rate": 60.0, "absence": 20.0},
        restarts={"agents": 1, "episode": 2},
        attack={"agents": 1, "kind": "gaussian"},
    )
    content = assert_resumes_to_the_same_bits(config, tmp_path)
    table = tables(tmp_path / "whole")
    assert table["rounds"]["bytes_sent"].sum() == content["bytes_sent"] > 0
    assert table["rounds"]["judged"].sum() == len(table["zeta"]) > 0
    waited = table["episodes"]["updates_not_made"]
    assert waited.is_monotonic_increasing and (waited.iloc[-1] > 0) == (mode == "synchronous")


def test_nobody_updates_while_a_synchronous_round_is_under_way(tiny):
    config = config_of(
        tiny, "synchronous", method="average", communication=DELAYS | {"delay": "constant"}
    )
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        run.train_episode()
        began, waited = run.roster.updates.copy(), run.roster.not_made
        assert began.tolist() == [began[0]] * 4 and waited > 0
        # A decision a second, a delay of a second: one occasion is lost a round, two where bytes take long.
        rounds = run.recorder.table("rounds").to_pandas()
        assert (rounds["env_steps"].diff().dropna() >= 50).all() and len(rounds) > 1
        occasions = run.updates * 4
        assert int(began.sum()) + waited == occasions


def test_random_peers_answer_until_whoever_drew_them_begins_another_round(tiny):
    channel = {"topology": "random:1", "timeout": 600.0, **DELAYS}
    run = driven(config_of(tiny, communication=channel, slow={"agents": 1, "factor": 3}))
    assert run.ledger.total("refused") == 0
    trace = run.recorder.table("zeta").to_pandas()
    assert len(trace) > 0 and (trace["lost_segments"] == 0).all()
    assert len({tuple(sources) for sources in trace[trace["agent"] == 0]["sources"]}) > 1


def test_asynchronous_stragglers_begin_fewer_rounds_and_make_nobody_wait(tiny):
    config = config_of(tiny, communication=DELAYS, slow={"agents": 1, "factor": 4})
    run = driven(config)
    [slow] = run.roster.slow
    trace = run.recorder.table("zeta").to_pandas()
    rounds = trace.groupby("agent")["round"].max()
    assert rounds[slow] * 2 < rounds.drop(slow).min()
    assert run.roster.not_made == 0
    ages = trace["segment_ages"].explode().dropna().astype(float)
    assert (ages >= 0).all() and ages.max() > 1
