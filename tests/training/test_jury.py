"""Jurors in a run: who is asked, what is transmitted, and what is recorded."""

import numpy as np
import pandas as pd
import pytest
import torch

from rsm.exchange.frames import HEADER_SIZE
from rsm.training.run import train

from .run_folders import assert_resumes_to_the_same_bits

FLEET = {"scenario": "fleet-figure-eight:5"}


def config_of(tiny, topology="complete", **changes):
    communication = {"topology": topology, "segments": 2, "replicas": 2}
    communication |= changes.pop("communication", {})
    mixing = {"rule": "trust-region", "judge": "peers"} | changes.pop("mixing", {})
    return tiny(traffic=FLEET, communication=communication, mixing=mixing, **changes)


def run_of(tiny, folder, topology="complete", **changes):
    config = config_of(tiny, topology, **changes)
    return config, train(config, folder)


def trace_of(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "zeta.parquet")


def test_jurors_are_neighbours_that_sent_nothing_of_the_replica(tiny, tmp_path):
    run_of(tiny, tmp_path)
    trace = trace_of(tmp_path)
    assert len(trace) > 20
    for row in trace.itertuples():
        assert len(row.jurors) == 2  # of four neighbours two sent segments
        assert not {*row.jurors} & {*row.sources, row.agent}
    assert trace["agent"].nunique() == 5


def test_agent_on_a_ring_leaves_one_of_its_two_neighbours_to_judge(tiny, tmp_path):
    run_of(tiny, tmp_path, "ring")
    for row in trace_of(tmp_path).itertuples():
        neighbours = {(row.agent - 1) % 5, (row.agent + 1) % 5}
        assert len(row.sources) == 1 and {*row.jurors, *row.sources} == neighbours


def test_agent_with_one_neighbour_judges_by_its_own_critic_and_asks_nothing(tiny, tmp_path):
    _, content = run_of(tiny, tmp_path, "star")
    trace = trace_of(tmp_path)
    leaves = trace[trace["agent"] != 0]
    assert len(leaves) and not leaves["jurors"].map(len).any()
    assert leaves["advantage"].notna().all()
    assert trace.loc[trace["agent"] == 0, "jurors"].map(len).all()
    exchange = pd.read_parquet(tmp_path / "exchange.parquet")
    asked_by_leaves = exchange[(exchange["receiver"] == 0)]
    answered = exchange[(exchange["sender"] == 0)]
    assert content["bytes_sent"] > 0
    # Questions of the centre are larger than the answers of the leaves.
    assert answered["question_bytes"].sum() > asked_by_leaves["question_bytes"].sum() > 0


def test_bytes_of_questions_and_answers_follow_from_the_states(tiny, tmp_path):
    config, _ = run_of(tiny, tmp_path, mixing={"jurors": 1})
    rounds = pd.read_parquet(tmp_path / "rounds.parquet")
    states, observation, action = config.mixing.judged_states, 6, 1
    pair = 4 * states * (observation + 2 * action + 1) + 2 * HEADER_SIZE
    assert (rounds["question_bytes"] == rounds["judged"] * pair).all()
    columns = ["request_bytes", "question_bytes", "header_bytes", "payload_bytes"]
    assert (rounds[columns].sum(axis=1) == rounds["bytes_sent"]).all()


def test_lost_questions_and_answers_leave_fewer_jurors_and_without_any_nothing_is_mixed(
    tiny, tmp_path
):
    run_of(tiny, tmp_path, communication={"loss_rate": 0.6})
    trace = trace_of(tmp_path)
    heard = trace["jurors"].map(len)
    assert {0, 1} <= set(heard)
    silent = trace[heard == 0]
    assert silent["advantage"].isna().all() and not (silent["outcome"] == "accepted").any()


def test_run_judged_by_peers_resumes_to_the_same_bits(tiny, tmp_path):
    assert_resumes_to_the_same_bits(config_of(tiny), tmp_path)


@pytest.mark.parametrize("share", ["actor", "actor+critic"])
def test_peers_and_own_critic_judge_differently(share, tiny, tmp_path):
    for judge in ("own", "peers"):
        run_of(tiny, tmp_path / judge, communication={"share": share}, mixing={"judge": judge})
    own, peers = (trace_of(tmp_path / judge) for judge in ("own", "peers"))
    assert not np.allclose(own["advantage"], peers["advantage"])
    assert not own["jurors"].map(len).any()
    assert torch.isfinite(torch.tensor(peers["advantage"].to_numpy())).all()


def test_liar_answers_the_opposite_of_what_its_critic_holds(tiny, tmp_path):
    """All jurors of agent i lie where the four others do; entropies, which they do not know, are small."""
    advantages = {}
    for name, attack in (("honest", {}), ("liars", {"agents": 4, "kind": "liar"})):
        run_of(tiny, tmp_path / name, sac={"alpha_init": 1e-4}, attack=attack)
        trace = trace_of(tmp_path / name)
        advantages[name] = trace[(trace["round"] == 1) & (trace["replica"] == 1)]["advantage"]
    together = advantages["honest"].to_numpy(), advantages["liars"].to_numpy()
    assert np.corrcoef(*together)[0, 1] < 0
