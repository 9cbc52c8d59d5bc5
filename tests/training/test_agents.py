"""What is recorded of single agents: returns of their own loops, and what they are."""

import numpy as np
import pandas as pd
import pytest

from rsm.config.run import parse_run
from rsm.config.study import merge
from rsm.runs.folder import finished_summary, run_files
from rsm.runs.schema import AGENTS_TABLE
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import controller_driver
from rsm.training.evaluation import agent_returns
from rsm.training.finite import Diverged
from rsm.training.loop import Training
from rsm.training.run import train

from ..conftest import TINY

FLEET = {
    "traffic": {"scenario": "fleet-figure-eight:4"},
    "communication": {"topology": "complete", "segments": 2},
    "attack": {"agents": 1},
    "slow": {"agents": 2, "factor": 2},
    "restarts": {"agents": 1, "episode": 3},
    "evaluation": {"episodes": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A fleet of unequal agents, one of which attacks: settings, summary and tables."""
    config, folder = parse_run(merge(TINY, FLEET), "tiny"), tmp_path_factory.mktemp("run")
    summary = train(config, folder)
    assert sorted(path.name for path in folder.iterdir()) == run_files(config)
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("agents", "episodes")}
    return (
        config,
        summary,
        tables | {"evaluations": pd.read_parquet(folder / "evaluations.parquet")},
    )


def test_every_evaluation_has_a_row_an_agent_that_says_what_it_is(run):
    config, _, tables = run
    agents = tables["agents"]
    assert list(agents.columns) == list(AGENTS_TABLE)
    asked = tables["evaluations"][["episode", "mode", "eval_seed"]]
    assert len(agents) == 4 * len(asked) and set(agents["mode"]) == set(asked["mode"])
    for name, count in (("slow", 2), ("newcomer", 1), ("attacker", 1)):
        assert agents.loc[agents[name], "agent"].nunique() == count
    assert (agents.groupby("agent")[["slow", "newcomer", "attacker"]].nunique() == 1).all(axis=None)
    assert set(agents["loop"]) == {"14 vehicles"}
    with TrafficEnv(config.traffic) as env:
        roster = Training(config, env).roster
    assert sorted(set(agents.loc[agents["slow"], "agent"])) == roster.slow


def test_return_of_a_run_under_attack_is_that_of_its_honest_agents(run):
    _, summary, tables = run
    key = ["episode", "mode", "eval_seed"]
    agents = tables["agents"]
    honest = agents[~agents["attacker"]].groupby(key)["return"].mean()
    recorded = tables["evaluations"].set_index(key)["return"]
    pd.testing.assert_series_equal(recorded, honest.loc[recorded.index])
    assert (recorded != agents.groupby(key)["return"].mean().loc[recorded.index]).all()
    last = agents[(agents["episode"] == 3) & (agents["mode"] == "deterministic")]
    own = last[~last["attacker"]].groupby("agent")["return"].mean()
    assert summary["final_return_worst"] == pytest.approx(own.min())
    assert summary["final_return"] == pytest.approx(own.mean())


def test_updates_that_waiting_costs_are_counted_so_far_and_in_the_summary(run):
    _, summary, tables = run
    counted = tables["episodes"]["updates_not_made"]
    assert (counted.diff().dropna() >= 0).all() and counted.iloc[-1] > 0
    assert summary["updates_not_made"] == counted.iloc[-1]


def test_under_a_team_reward_there_are_no_returns_of_single_agents(tiny, tmp_path):
    config = tiny(training={"episodes": 1}, attack={"agents": 2})
    summary = train(config, tmp_path)
    assert "agents.parquet" not in run_files(config)
    assert not (tmp_path / "agents.parquet").exists()
    assert summary["final_return_worst"] is None and summary["final_return"] > 0
    assert summary["updates_not_made"] == 0


def test_nobody_is_unlike_the_others_in_a_control(tiny, tmp_path):
    config = tiny(method="go", **FLEET)
    summary = train(config, tmp_path)
    agents = pd.read_parquet(tmp_path / "agents.parquet")
    assert not agents[["slow", "newcomer", "attacker"]].any(axis=None)
    assert agents["return"].mean() == pytest.approx(summary["final_return"])


def test_run_that_fails_before_its_first_evaluation_is_whole(tiny, tmp_path, monkeypatch):
    config = tiny(**FLEET, gate={"replicas": 1})

    def diverges(self):
        raise Diverged("loss is nan")

    monkeypatch.setattr(Training, "update", diverges)
    summary = train(config, tmp_path)
    assert summary["status"] == "failed" and summary["final_return_worst"] is None
    assert finished_summary(tmp_path, config) == summary


@pytest.mark.parametrize("collision", ["teleport", "terminate"])
def test_return_of_an_agent_is_the_sum_of_its_rewards_until_its_loop_ends(tiny, collision):
    """The sum is of single-precision rewards of decisions; a run adds up steps in double precision."""
    traffic = tiny(
        method="independent", traffic={"scenario": "fleet-figure-eight:3", "collision": collision}
    ).traffic
    with TrafficEnv(traffic) as env:
        driver = controller_driver("random")
        found = agent_returns(env, driver, 5)
        observation, earned = env.reset(5), np.zeros(3)
        act, driving = driver(env, 5), np.ones(3, dtype=np.bool_)
        while True:
            step = env.step(act(observation))
            earned += np.where(driving, step.reward, 0)
            driving &= ~step.terminated
            if step.over:
                break
            observation = step.observation
        assert found == pytest.approx(earned * traffic.decision_interval / env.horizon, rel=1e-5)
        assert found.mean() == pytest.approx(env.stats().episode_return)
