import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from rsm.config.catalogue import METHODS
from rsm.traffic.environment import TrafficEnv
from rsm.training import judging
from rsm.training.finite import Diverged
from rsm.training.loop import Training
from rsm.training.run import train

from .run_folders import assert_resumes_to_the_same_bits, tables


def test_totals_of_the_ledger_agree_everywhere(tiny, tmp_path):
    for method in METHODS:
        summary = train(tiny(method=method), tmp_path / method)
        table = tables(tmp_path / method)
        parts = ["request_bytes", "header_bytes", "payload_bytes"]
        assert summary["bytes_sent"] == table["exchange"][parts].to_numpy().sum()
        assert summary["bytes_sent"] == table["rounds"]["bytes_sent"].sum()
        assert summary["bytes_sent"] == table["episodes"]["bytes_sent"].iloc[-1]
        assert (summary["bytes_sent"] > 0) == METHODS[method].exchanges
        if method == "fmarl":
            expected = 2 * 9 * summary["parameters"] * 4 * summary["rounds"]
            assert summary["payload_bytes"] == expected
            assert summary["heaviest_share"] == 1


@pytest.mark.parametrize("method", ["masac", "shared-policy"])
def test_agents_that_learn_together_resume_to_the_same_bits_and_send_nothing(
    method, tiny, tmp_path
):
    config = tiny(method=method, traffic={"scenario": "mixed-fleet:3"})
    content = assert_resumes_to_the_same_bits(config, tmp_path)
    assert content["updates"] > 0 == content["bytes_sent"] and content["agents"] == 3


@pytest.mark.parametrize("method", METHODS)
def test_exchange_tells_who_sent_how_much_in_the_last_round(method, tiny, tmp_path):
    train(tiny(method=method), tmp_path / "run")
    table = tables(tmp_path / "run")
    exchange, rounds = table["exchange"], table["rounds"]
    if not METHODS[method].exchanges:
        assert exchange.empty and rounds.empty
        return
    last = exchange["last_round_bytes"]
    assert last.sum() == rounds["bytes_sent"].iloc[-1] > 0
    parts = exchange[["request_bytes", "header_bytes", "payload_bytes"]].sum(axis=1)
    assert (last < parts).all()


def test_trace_has_a_row_for_every_judged_replica(tiny, tmp_path):
    train(tiny(communication={"topology": "complete"}), tmp_path / "run")
    table = tables(tmp_path / "run")
    zeta, rounds = table["zeta"], table["rounds"]
    assert len(rounds) > 3 and len(zeta) == len(rounds) * 9 * 3
    assert (rounds["judged"] == 27).all()
    assert rounds["accepted"].sum() == (zeta["outcome"] == "accepted").sum() > 0
    assert ((zeta["zeta"] > 0) == (zeta["outcome"] == "accepted")).all()
    assert (zeta.loc[zeta["advantage"] <= 0, "zeta"] == 0).all()
    published = zeta[zeta["bound"].notna()]
    bound = np.sqrt(
        2 * published["advantage"] / published["constant"] / published["quadratic_form"]
    )
    np.testing.assert_allclose(published["bound"], bound, rtol=1e-5)
    np.testing.assert_allclose(published["zeta"], published["bound"].clip(upper=0.8), rtol=1e-6)


def test_line_search_judges_on_no_state_that_chose_its_replica(tiny, tmp_path, monkeypatch):
    judges, judged = [], judging.mixing_metric

    def mixing_metric(judge, *policies):
        judges.append(judge)
        return judged(judge, *policies)

    monkeypatch.setattr(judging, "mixing_metric", mixing_metric)
    train(tiny(mixing={"rule": "line-search"}), tmp_path / "run")
    assert judges
    for judge in judges:
        chose, holds = judge.choice.observations, judge.held_out.observations
        for agent in range(9):
            # A vehicle that stands may observe the same twice: not so the noise that was acted with.
            densities = (judge.choice.log_behaviour[agent], judge.held_out.log_behaviour[agent])
            assert not set(densities[0].tolist()) & set(densities[1].tolist())
        assert chose.shape == holds.shape == (9, 32, chose.shape[2])


def test_a_loss_that_is_not_finite_names_quantity_agent_and_step(tiny, tmp_path):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        run.learner.critics[3] = float("nan")
        with pytest.raises(
            Diverged, match=r"critic loss of agent 3 is nan at update \d+, episode 1"
        ):
            run.update()


def test_critics_travel_only_when_they_are_shared(tiny, tmp_path):
    sizes = {}
    for share in ("actor", "actor+critic"):
        folder = tmp_path / share
        summary = train(tiny(method="fmarl", communication={"share": share}), folder)
        sizes[share] = summary["parameters"]
        shutil.rmtree(folder)
    actor = (6 + 1) * 16 + 17 * 16 + 17 * 2
    critic = (7 + 1) * 16 + 17 * 16 + 17
    assert sizes == {"actor": actor, "actor+critic": actor + 2 * critic}


def test_learner_sees_the_shifted_and_scaled_reward_and_the_records_the_reward(tiny) -> None:
    stored = []
    for changes in ({}, {"reward_shift": -0.25, "reward_scale": 10.0}):
        config = tiny(sac=changes | {"learning_starts": 200}, method="independent")
        with TrafficEnv(config.traffic) as env:
            run = Training(config, env)
            row = run.train_episode()
            batch = run.replay.sample(64, torch.Generator().manual_seed(0))
        stored.append((row["return"], batch.rewards))
    (plain, rewards), (same, seen) = stored
    assert plain == same
    torch.testing.assert_close(seen, (rewards - 0.25) * 10)


@pytest.mark.parametrize("scenario", ["figure-eight", "fleet-figure-eight:2"])
def test_nothing_is_expected_beyond_a_horizon_that_is_a_termination(scenario, tiny) -> None:
    discounts = {}
    for end in ("truncation", "termination"):
        config = tiny(
            method="independent",
            traffic={"scenario": scenario, "horizon_end": end},
            sac={"n_step": 3, "gamma": 0.9, "learning_starts": 200},
        )
        with TrafficEnv(config.traffic) as env:
            run = Training(config, env)
            run.train_episode()
            discounts[end] = run.replay.latest(4).discount
    # The newest first: the last three transitions reach to the end of the episode.
    agents = len(discounts["truncation"])
    bootstraps = torch.tensor([0.9, 0.9**2, 0.9**3, 0.9**3]).repeat(agents, 1)
    torch.testing.assert_close(discounts["truncation"], bootstraps)
    ends = torch.tensor([0.0, 0.0, 0.0, 0.9**3]).repeat(agents, 1)
    torch.testing.assert_close(discounts["termination"], ends)


@pytest.mark.parametrize(
    "mixing", [{"rule": "coin"}, {"published_code": "aug"}, {"published_code": "jul"}]
)
def test_coin_and_published_code_accept_about_half_and_differ_from_the_method_as_written(
    mixing, tiny, tmp_path
):
    traces = {}
    for name, settings in (("written", {}), ("variant", mixing)):
        train(tiny(mixing=settings), tmp_path / name)
        traces[name] = pd.read_parquet(tmp_path / name / "zeta.parquet")
    rounds = pd.read_parquet(tmp_path / "variant" / "rounds.parquet")
    first = 1 if "published_code" in mixing else 4
    assert rounds["updates"].tolist()[:2] == [first, first + 4]
    accepted = traces["variant"]["outcome"] == "accepted"
    assert len(accepted) > 200 and 0.3 < accepted.mean() < 0.7
    if mixing == {"rule": "coin"}:  # whatever A⁺ is
        assert 0.3 < accepted[traces["variant"]["advantage"] <= 0].mean() < 0.7
    else:
        assert not accepted[traces["variant"]["advantage"] <= 0].any()
    assert not traces["variant"]["zeta"].equals(traces["written"]["zeta"])
