import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rsm.config.catalogue import METHODS
from rsm.config.loading import dump_yaml
from rsm.config.run import load_run
from rsm.errors import ConfigError
from rsm.runs.folder import finished_summary, run_files
from rsm.runs.schema import SUMMARY, TABLES
from rsm.traffic.environment import TrafficEnv
from rsm.training import run as training
from rsm.training.finite import Diverged
from rsm.training.loop import Training
from rsm.training.run import train

from .run_folders import assert_same_run, tables


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
def test_interrupted_run_resumes_to_the_same_end(communication, tiny, tmp_path, monkeypatch):
    config = tiny(communication=communication)
    train(config, tmp_path / "whole")
    real = Training.train_episode

    def stops_in_the_third(self):
        if self.episode == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "train_episode", stops_in_the_third)
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

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "measure_control", interrupted)
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

    def edited(run):
        said.update({"rev-parse": "after", "status": " M rsm/training/loop.py"})
        measure(run)

    measure = training.measure_control
    monkeypatch.setattr(training, "measure_control", edited)
    train(tiny(method="go"), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["commit"], manifest["dirty"]) == ("before", False)
    assert manifest["started"] <= manifest["ended"]


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

    monkeypatch.setattr(Training, "update", diverges)
    summary = train(tiny(), tmp_path / "run")
    assert summary["status"] == "failed" and "agent 4" in summary["reason"]
    assert summary["final_return"] is None
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("method", ["rsm", "average"])
def test_fleet_trains_exchanges_and_resumes_to_the_same_bits(method: str, tiny, tmp_path) -> None:
    config = tiny(
        method=method,
        traffic={"scenario": "fleet-figure-eight:3", "actions": "target-speed", "observation": "relative"},
        sac={"n_step": 3, "noise_correlation": 0.8, "random_decisions": 30},
        mixing={"accept_biased_critic": True},
        communication={"topology": "ring", "share": "actor+critic"},
    )  # fmt: skip
    whole = train(config, tmp_path / "whole")
    assert whole["agents"] == 3 and whole["bytes_sent"] > 0
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        (tmp_path / "again").mkdir()
        run.save(tmp_path / "again")
    train(config, tmp_path / "again")
    assert_same_run(tmp_path / "whole", tmp_path / "again")
