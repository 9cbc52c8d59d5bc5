import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from rsm.config.catalogue import METHODS
from rsm.config.loading import dump_yaml
from rsm.config.run import load_run
from rsm.errors import ConfigError
from rsm.runs.folder import finished_summary, run_files
from rsm.runs.manifest import manifest
from rsm.runs.schema import SUMMARY, TABLES
from rsm.traffic.environment import TrafficEnv
from rsm.training import judging
from rsm.training import loop as training
from rsm.training.finite import Diverged
from rsm.training.loop import Training, train

TIMES = {"manifest.json", "summary.json", "episodes.parquet"}


def tables(folder):
    """The tables of a run folder, times left out."""
    return {
        name: pd.read_parquet(folder / f"{name}.parquet").drop(columns="wall_s", errors="ignore")
        for name in TABLES
    }


def assert_same_run(one, other):
    for name, table in tables(one).items():
        pd.testing.assert_frame_equal(table, tables(other)[name], check_exact=True)
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - TIMES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "summary.json").read_text()) for folder in (one, other))
    assert ours | {"wall_s": 0} == theirs | {"wall_s": 0}


@pytest.mark.parametrize("method", [*METHODS, "go"])
def test_run_leaves_a_whole_folder_with_the_documented_columns(method, tiny, tmp_path):
    config = tiny(method=method)
    summary = train(config, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == run_files(config)
    assert set(summary) == set(SUMMARY) - {"reason"}
    for name, table in tables(tmp_path / "run").items():
        assert set(table.columns) | {"wall_s"} == set(TABLES[name]) | {"wall_s"}
    assert 0 < summary["final_return"] < 1
    assert summary["status"] == "finished"


def test_totals_of_the_ledger_agree_everywhere(tiny, tmp_path):
    for method in METHODS:
        summary = train(tiny(method=method), tmp_path / method)
        table = tables(tmp_path / method)
        parts = ["request_bytes", "header_bytes", "payload_bytes"]
        assert summary["bytes_sent"] == table["exchange"][parts].to_numpy().sum()
        assert summary["bytes_sent"] == table["rounds"]["bytes_sent"].sum()
        assert summary["bytes_sent"] == table["episodes"]["bytes_sent"].iloc[-1]
        assert (summary["bytes_sent"] > 0) == (method != "independent")
        if method == "fmarl":
            expected = 2 * 9 * summary["parameters"] * 4 * summary["rounds"]
            assert summary["payload_bytes"] == expected
            assert summary["heaviest_share"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_exchange_tells_who_sent_how_much_in_the_last_round(method, tiny, tmp_path):
    train(tiny(method=method), tmp_path / "run")
    table = tables(tmp_path / "run")
    exchange, rounds = table["exchange"], table["rounds"]
    if method == "independent":
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


def test_same_seed_gives_the_same_folder_in_another_process_and_another_seed_does_not(
    tiny, tmp_path
):
    folders = {name: tmp_path / name for name in ("one", "two", "other")}
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(dump_yaml(tiny(seed=seed)))
        command = ["train", "--config", str(file), "--out", str(folders[name])]
        subprocess.run([sys.executable, "-m", "rsm", *command], check=True, capture_output=True)
    assert_same_run(folders["one"], folders["two"])
    assert not tables(folders["one"])["episodes"].equals(tables(folders["other"])["episodes"])


@pytest.mark.parametrize(
    "communication",
    [{"loss_rate": 0.1}, pytest.param({"period": 40}, id="no round after the interruption")],
)
def test_interrupted_run_goes_on_to_the_same_end(communication, tiny, tmp_path, monkeypatch):
    config = tiny(communication=communication)
    train(config, tmp_path / "whole")
    real = training.Training.train_episode

    def stops_in_the_third(self):
        if self.episode == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(training.Training, "train_episode", stops_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "resumed")
    assert [path.name for path in (tmp_path / "resumed").glob("checkpoint*")]
    assert not (tmp_path / "resumed" / "summary.json").exists()
    monkeypatch.undo()
    train(config, tmp_path / "resumed")
    assert_same_run(tmp_path / "whole", tmp_path / "resumed")
    if "period" in communication:
        table = tables(tmp_path / "resumed")
        assert table["rounds"]["episode"].tolist() == [2]
        assert table["exchange"]["last_round_bytes"].sum() > 0
    manifest = json.loads((tmp_path / "resumed" / "manifest.json").read_text())
    assert manifest["resumed"] == 1


def test_killed_run_leaves_nothing_that_looks_finished(tiny, tmp_path):
    config, folder = tiny(training={"episodes": 100_000}), tmp_path / "run"
    file = tmp_path / "run.yaml"
    file.write_text(dump_yaml(config))
    command = [sys.executable, "-m", "rsm", "train", "--config", str(file), "--out", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while not (folder / "checkpoint.pt").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "checkpoint.pt").exists()
    assert not (folder / "summary.json").exists()
    assert finished_summary(folder, config) is None


def test_finished_run_is_not_run_again_and_other_settings_rebuild_it(tiny, tmp_path):
    folder = tmp_path / "run"
    train(tiny(method="go"), folder)
    written = (folder / "manifest.json").stat().st_mtime_ns
    train(tiny(method="go"), folder)
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    changed = train(tiny(method="go", seed=5), folder)
    assert changed["seed"] == 5
    assert json.loads((folder / "summary.json").read_text())["seed"] == 5


def test_settings_file_in_the_run_folder_itself_survives_an_interruption(
    tiny, tmp_path, monkeypatch
):
    config = tiny(method="go")
    (tmp_path / "config.yaml").write_text("# mine\n" + dump_yaml(config))

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Training, "measure_control", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(load_run(tmp_path / "config.yaml"), tmp_path)
    assert load_run(tmp_path / "config.yaml") == config
    assert finished_summary(tmp_path, config) is None


def test_interrupted_folder_says_which_settings_it_is_of(tiny, tmp_path, monkeypatch):
    train(tiny(method="go", seed=1), tmp_path)
    monkeypatch.setattr(training, "carry_out", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(tiny(method="go", seed=2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert load_run(tmp_path / "config.yaml").seed == 2


def test_run_that_another_process_finished_before_we_held_the_folder_is_left_alone(
    tiny, tmp_path, monkeypatch
):
    config = tiny(method="go")
    theirs = train(config, tmp_path)
    written = (tmp_path / "manifest.json").stat().st_mtime_ns
    answers = iter([None])  # not there when we look first
    monkeypatch.setattr(
        training, "finished_summary", lambda *a: next(answers, finished_summary(*a))
    )
    assert train(config, tmp_path) == theirs
    assert (tmp_path / "manifest.json").stat().st_mtime_ns == written


def test_manifest_names_the_tree_that_the_run_began_with(tiny, tmp_path, monkeypatch):
    said = {"rev-parse": "before", "status": ""}
    monkeypatch.setattr("rsm.runs.manifest._git", lambda command, *_: said[command])

    def edited(self):
        said.update({"rev-parse": "after", "status": " M rsm/training/loop.py"})
        measure(self)

    measure = training.Training.measure_control
    monkeypatch.setattr(training.Training, "measure_control", edited)
    train(tiny(method="go"), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["commit"], manifest["dirty"]) == ("before", False)
    assert manifest["started"] <= manifest["ended"]


def test_manifest_does_not_call_clean_what_git_says_nothing_of(tiny, monkeypatch):
    for answer, dirty in ((None, None), ("", False), (" M rsm/training/loop.py", True)):
        monkeypatch.setattr("rsm.runs.manifest._git", lambda *_, answer=answer: answer)
        assert manifest(tiny())["dirty"] is dirty


def test_folder_that_holds_something_else_is_left_alone(tiny, tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="thesis.tex"):
        train(tiny(method="go"), folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "communication", [{"topology": "regular:9"}, {"segments": 60_000}, {"topology": "regular:3"}]
)
def test_exchange_that_cannot_be_is_refused_before_anything_is_created(
    communication, tiny, tmp_path
):
    with pytest.raises(ConfigError, match=r"communication\.(topology|segments): .* is not allowed"):
        train(tiny(communication=communication), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_run_that_diverges_is_recorded_as_failed(tiny, tmp_path, monkeypatch):
    def diverges(self):
        raise Diverged("critic loss of agent 4 is nan at update 7, episode 1")

    monkeypatch.setattr(training.Training, "update", diverges)
    summary = train(tiny(), tmp_path / "run")
    assert summary["status"] == "failed" and "agent 4" in summary["reason"]
    assert summary["final_return"] is None
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"


def test_a_loss_that_is_not_finite_names_quantity_agent_and_step(tiny, tmp_path):
    from rsm.traffic.environment import TrafficEnv

    config = tiny()
    with TrafficEnv(config.traffic) as env:
        run = training.Training(config, env)
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


@pytest.mark.parametrize("method", ["rsm", "average"])
def test_fleet_trains_exchanges_and_resumes_to_the_same_bits(method: str, tiny, tmp_path) -> None:
    config = tiny(
        method=method,
        traffic={"scenario": "fleet-figure-eight:3", "actions": "target-speed", "observation": "relative"},
        sac={"n_step": 3, "noise_correlation": 0.8, "random_decisions": 30},
        communication={"topology": "ring", "share": "actor+critic"},
    )  # fmt: skip
    whole = train(config, tmp_path / "whole")
    assert whole["agents"] == 3 and whole["bytes_sent"] > 0
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.recorder.add("episodes", run.train_episode() | {"wall_s": 0.0})
        (tmp_path / "again").mkdir()
        run.save(tmp_path / "again")
    train(config, tmp_path / "again")
    assert_same_run(tmp_path / "whole", tmp_path / "again")
