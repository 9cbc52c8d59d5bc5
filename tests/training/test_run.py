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

from .run_folders import assert_resumes_to_the_same_bits, assert_same_run, tables


@pytest.mark.parametrize("method", [*METHODS, "go"])
def test_run_leaves_a_whole_folder_with_the_documented_columns(method, tiny, tmp_path, monkeypatch):
    # Progress and tables are written after every episode, and are gone in the end.
    for limit, value in (("COST", 1e9), ("EVERY_S", 0.0), ("TABLES_EVERY_S", 0.0)):
        monkeypatch.setattr(f"rsm.runs.live.{limit}", value)
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
    train(tiny(seed=1), folders["one"])
    train(tiny(seed=2), folders["other"])
    file = tmp_path / "two.yaml"
    file.write_text(dump_yaml(tiny(seed=1)))
    command = ["train", "--config", str(file), "--out", str(folders["two"])]
    subprocess.run([sys.executable, "-m", "rsm", *command], check=True, capture_output=True)
    assert_same_run(folders["one"], folders["two"])
    assert not tables(folders["one"])["episodes"].equals(tables(folders["other"])["episodes"])


@pytest.mark.parametrize(
    "communication",
    [
        {"loss_rate": 0.1, "topology": "random:3", "encoding": "topk:0.1"},
        pytest.param({"period": 40}, id="no round after the interruption"),
    ],
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
    assert manifest["cpu_s"] > 0 and manifest["peak_memory_mb"] > 100


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


def test_finished_run_is_not_run_again(tiny, tmp_path):
    folder = tmp_path / "run"
    train(tiny(method="go"), folder)
    written = (folder / "manifest.json").stat().st_mtime_ns
    train(tiny(method="go"), folder)
    assert (folder / "manifest.json").stat().st_mtime_ns == written


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
        train(tiny(method="go", seed=2), tmp_path, force=True)
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
    monkeypatch.setattr("rsm.runs.manifest.git", lambda command, *_: said[command])

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
    whole = assert_resumes_to_the_same_bits(config, tmp_path)
    assert whole["agents"] == 3 and whole["bytes_sent"] > 0


@pytest.mark.parametrize("method", ["go", "independent"])
def test_finished_run_of_other_settings_is_kept_unless_it_is_given_up(method, tiny, tmp_path):
    folder = tmp_path / "run"
    train(tiny(method=method), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="a run of other settings .* or --force"):
        train(tiny(method=method, seed=5), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert train(tiny(method=method, seed=5), folder, force=True)["seed"] == 5


def test_failed_run_is_a_result_too_and_kept(tiny, tmp_path, monkeypatch):
    def diverges(self):
        raise Diverged("critic loss of agent 4 is nan at update 7, episode 1")

    with monkeypatch.context() as patched:
        patched.setattr(Training, "update", diverges)
        train(tiny(), tmp_path)
    with pytest.raises(ConfigError, match="--force"):
        train(tiny(seed=5), tmp_path)


def test_raised_number_of_episodes_continues_to_the_bits_of_a_longer_run(tiny, tmp_path):
    """Three episodes, evaluated every second: the evaluation after the third is of the short run alone."""
    sac = {"n_step": 3, "noise_correlation": 0.5}
    mixing = {"accept_biased_critic": True}

    def config(episodes):
        kept = {"episodes": episodes, "keep_checkpoint": True}
        return tiny(training=kept, sac=sac, mixing=mixing)

    train(config(3), tmp_path / "run")
    short = tables(tmp_path / "run")["evaluations"]
    assert short["episode"].unique().tolist() == [2, 3]
    again = (tmp_path / "run/checkpoint.pt").read_bytes()
    train(config(3), tmp_path / "run")
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == again, "a second call changes nothing"
    summary = train(config(5), tmp_path / "run")
    assert summary["episodes"] == 5
    train(config(5), tmp_path / "long")
    for folder in (tmp_path / "run", tmp_path / "long"):
        assert not (folder / "checkpoint.previous.pt").exists()
        (folder / "checkpoint.pt").unlink()
    assert_same_run(tmp_path / "run", tmp_path / "long")
    assert json.loads((tmp_path / "run/manifest.json").read_text())["resumed"] == 1


def test_run_killed_after_its_last_episode_has_its_last_evaluation(tiny, tmp_path, monkeypatch):
    config = tiny(training={"keep_checkpoint": True})
    monkeypatch.setattr(training, "save_policy", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "killed")
    monkeypatch.undo()
    train(config, tmp_path / "killed")
    train(config, tmp_path / "whole")
    for folder in ("killed", "whole"):
        (tmp_path / folder / "checkpoint.pt").unlink()
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(
    ("kept", "episodes", "words"),
    [(False, 5, "without a checkpoint"), (True, 2, "more than the 2 asked for")],
)
def test_other_number_of_episodes_that_cannot_be_continued_is_refused(
    kept, episodes, words, tiny, tmp_path
):
    train(tiny(training={"keep_checkpoint": kept}), tmp_path)
    other = tiny(training={"keep_checkpoint": kept, "episodes": episodes})
    with pytest.raises(ConfigError, match=f"a finished run of 3 episodes.*{words}.*--force"):
        train(other, tmp_path)
    assert finished_summary(tmp_path, tiny()) is not None
    assert train(other, tmp_path, force=True)["episodes"] == episodes
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["resumed"] == 0, "with --force it begins anew"


def interrupted(config, folder):
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        run.train_episode()
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(dump_yaml(config))
        run.save(folder)


def test_checkpoint_of_other_settings_or_beyond_the_episodes_asked_for_is_kept(tiny, tmp_path):
    interrupted(tiny(), tmp_path)
    saved = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ConfigError, match=r"an interrupted run of other settings.*--force"):
        train(tiny(seed=5), tmp_path)
    with pytest.raises(ConfigError, match=r"training\.episodes: 1 .* of episode 2"):
        train(tiny(training={"episodes": 1}), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == saved
    assert train(tiny(seed=5), tmp_path, force=True)["seed"] == 5


def test_checkpoint_that_was_kept_stays_where_it_is_not_asked_for_again(tiny, tmp_path):
    train(tiny(training={"keep_checkpoint": True}), tmp_path)
    train(tiny(), tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize("writable", [True, False])
def test_what_a_killed_process_left_in_a_finished_folder_is_removed(
    writable, tiny, tmp_path, monkeypatch
):
    config = tiny(method="go")
    summary = train(config, tmp_path)
    whole = {path.name for path in tmp_path.iterdir()}
    left = {"progress.json", "partial.zip", "checkpoint.pt", "checkpoint.previous.pt"}
    for name in left:
        (tmp_path / name).write_text("{}")
    if not writable:

        def refuses(path, missing_ok=False):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("pathlib.Path.unlink", refuses)
    assert train(config, tmp_path) == summary
    assert {path.name for path in tmp_path.iterdir()} == (whole if writable else whole | left)
