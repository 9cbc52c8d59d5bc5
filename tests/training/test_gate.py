import numpy as np
import pandas as pd
import pytest
import torch

from rsm.config.loading import dump_yaml
from rsm.errors import ConfigError
from rsm.runs.folder import run_files
from rsm.runs.schema import GATE_TABLE
from rsm.training import gate
from rsm.training.gate import JUDGES
from rsm.training.jury import Peers
from rsm.training.loop import Training
from rsm.training.run import train

from .run_folders import assert_same_run, tables

FLEET = {"scenario": "fleet-figure-eight:4"}
MEASURED = {"gate": {"replicas": 3, "episodes": 2}, "communication": {"segments": 2}}


@pytest.fixture(scope="module")
def gate_of(tmp_path_factory):
    """The table `gate` of a tiny run, by scenario."""
    from rsm.config.run import parse_run
    from rsm.config.study import merge

    from ..conftest import TINY

    def run(scenario, topology):
        changes = {
            "traffic": {"scenario": scenario},
            "communication": {"segments": 2, "topology": topology},
            "gate": {"replicas": 3, "episodes": 2},
            "training": {"episodes": 4},
        }
        folder = tmp_path_factory.mktemp("run")
        train(parse_run(merge(TINY, changes), "tiny"), folder)
        return pd.read_parquet(folder / "gate.parquet")

    return {
        "fleet": run("fleet-figure-eight:4", "complete"),
        "team": run("figure-eight", "radius:90"),
    }


@pytest.mark.parametrize("world", ["fleet", "team"])
def test_every_judge_judges_the_same_replicas_and_each_is_driven_with(world, gate_of):
    table = gate_of[world]
    assert list(table.columns) == list(GATE_TABLE)
    assert set(table["episode"]) == {2, 4}
    for _, part in table.groupby(["episode", "agent"]):
        assert list(part["judge"]) == list(JUDGES)
        assert part["sources"].map(tuple).nunique() == 1
        for column in ("return_with", "return_without", "gain_error"):
            assert part[column].nunique() == 1
        assert part["advantage"].nunique() == len(JUDGES)
    assert (table.groupby("episode")["agent"].nunique() == 3).all()
    assert (table["return_with"] != table["return_without"]).any()
    assert table[["return_with", "return_without"]].stack().between(0, 1).all()
    assert (table["gain_error"] >= 0).all()


def test_replica_holds_no_segment_of_the_juror_and_none_of_the_receiver(gate_of):
    for table in gate_of.values():
        for agent, sources in zip(table["agent"], table["sources"], strict=True):
            assert agent not in sources and len(set(sources)) == len(sources) <= 2


def test_what_is_measured_changes_nothing_of_the_run(tiny, tmp_path):
    settings = {"traffic": FLEET, "communication": {"topology": "complete", "segments": 2}}
    train(tiny(**settings), tmp_path / "plain")
    train(tiny(**settings, gate={"replicas": 2, "episodes": 1}), tmp_path / "measured")
    plain, measured = (tables(tmp_path / name) for name in ("plain", "measured"))
    for name, table in plain.items():
        pd.testing.assert_frame_equal(table, measured[name], check_exact=True)


def test_questions_of_fewer_states_are_asked_about_the_same_replicas_and_change_no_other_row(
    gate_of, tiny, tmp_path
):
    gate = MEASURED["gate"] | {"states": [4, 16]}
    communication = {"segments": 2, "topology": "complete"}
    config = tiny(traffic=FLEET, communication=communication, gate=gate, training={"episodes": 4})
    train(config, tmp_path)
    table = pd.read_parquet(tmp_path / "gate.parquet")
    known = table[table["judge"].isin(JUDGES)].reset_index(drop=True)
    pd.testing.assert_frame_equal(known, gate_of["fleet"], check_exact=True)
    for _, part in table.groupby(["episode", "agent"]):
        assert list(part["judge"]) == [*JUDGES, "peers:4", "peers:16"]
        assert part["return_with"].nunique() == part["sources"].map(tuple).nunique() == 1
        assert part["advantage"].nunique() == len(part)


def test_all_judges_have_the_states_of_the_run_and_ask_jurors_drawn_anew_each_time(
    tiny, tmp_path, monkeypatch
):
    """A run judged by its own critic has 256 states, where `judge: peers` usually takes 128."""
    seen, asked = {}, []
    real, real_jurors = gate.judges_of, Peers.jurors

    def judges_of(config, *rest):
        judge = real(config, *rest)
        seen.setdefault(config.mixing.judged_states, []).append(type(judge).__name__)
        return judge

    def jurors(self, *which):
        asked.append(real_jurors(self, *which))
        return asked[-1]

    monkeypatch.setattr(gate, "judges_of", judges_of)
    monkeypatch.setattr(Peers, "jurors", jurors)
    changes = MEASURED["gate"] | {"states": [8]}
    train(
        tiny(
            traffic={"scenario": "fleet-figure-eight:8"},
            communication={"topology": "complete", "segments": 2},
            mixing={"states": None, "jurors": 1},
            gate=changes,
            training={"episodes": 4},
        ),
        tmp_path,
    )
    assert set(seen) == {8, 256} and seen[8] == ["Peers", "Peers"], "two probes"
    assert len(seen[256]) == 2 * len(JUDGES)
    first, second = asked[: len(asked) // 2], asked[len(asked) // 2 :]
    for probe in (first, second):  # of eight receivers each
        assert probe[:8] == probe[8:], "questions of both sizes go to the same jurors"
    assert first != second


def test_further_questions_of_as_many_states_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"gate\.states: 32 is not allowed"):
        tiny(**MEASURED | {"gate": MEASURED["gate"] | {"states": [4, 32]}})


def test_one_loop_does_not_feel_the_replica_of_another(tiny):
    """All agents of a fleet try their replicas in one drive."""
    from rsm.traffic.environment import TrafficEnv
    from rsm.training.drivers import policy_driver
    from rsm.training.evaluation import agent_returns

    config = tiny(traffic=FLEET, communication={"topology": "complete"})
    with TrafficEnv(config.traffic) as env:
        learner = Training(config, env).learner
        other = learner.theta.clone()
        noise = torch.randn(other.shape[1], generator=torch.Generator().manual_seed(0))
        other[1] += noise
        before, after = (
            agent_returns(env, policy_driver(learner.policy, theta, "deterministic"), 1_000_000)
            for theta in (learner.theta, other)
        )
    assert before[1] != after[1]
    np.testing.assert_array_equal(np.delete(before, 1), np.delete(after, 1))


def test_interrupted_measurement_resumes_to_the_same_table(tiny, tmp_path, monkeypatch):
    config = tiny(**MEASURED, training={"episodes": 4})
    train(config, tmp_path / "whole")
    real = Training.train_episode

    def stops_in_the_fourth(self):
        if self.episode == 3:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "train_episode", stops_in_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "resumed")
    monkeypatch.undo()
    train(config, tmp_path / "resumed")
    assert_same_run(tmp_path / "whole", tmp_path / "resumed")
    assert set(pd.read_parquet(tmp_path / "resumed" / "gate.parquet")["episode"]) == {2, 4}


@pytest.mark.parametrize("method", ["independent", "go"])
def test_method_without_a_gate_leaves_no_such_table(method, tiny, tmp_path):
    config = tiny(**MEASURED, method=method)
    train(config, tmp_path / "run")
    assert "gate.parquet" not in run_files(config)
    assert not (tmp_path / "run" / "gate.parquet").exists()


def test_run_that_measures_nothing_has_the_hash_that_it_always_had(tiny):
    assert "gate" in dump_yaml(tiny())
    assert tiny(gate={"replicas": 0}).settings_hash == tiny().settings_hash
    assert tiny(gate={"replicas": 1}).settings_hash != tiny().settings_hash
