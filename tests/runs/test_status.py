import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsm.config.run import RunConfig, parse_run
from rsm.runs.files import PARTIAL, PROGRESS
from rsm.runs.live import Live
from rsm.runs.partial import read_partial
from rsm.runs.planned import NAME, planned, remember, remembered
from rsm.runs.recorder import Recorder
from rsm.runs.schema import TABLES
from rsm.runs.status import duration, headline, status

NOW = 1_000_000.0


def learner(seed: int, method: str = "independent") -> RunConfig:
    return parse_run({"method": method, "seed": seed, "training": {"episodes": 100}}, "test")


CONFIGS = {config.run_id: config for config in map(learner, range(10))}
RUNS = planned(CONFIGS, Path())


def leave(results, config, **content):
    """The summary of a run that ended."""
    folder = results / "runs" / config.run_id
    folder.mkdir(parents=True, exist_ok=True)
    about = {"status": "finished", "settings_hash": config.settings_hash, "episodes": 100}
    (folder / "summary.json").write_text(json.dumps(about | {"wall_s": 1000.0} | content))


def sign(results, config, age=0.0, **content):
    """The sign of life of a run under way, so many seconds old."""
    folder = results / "runs" / config.run_id
    folder.mkdir(parents=True, exist_ok=True)
    about = {"settings_hash": config.settings_hash, "episodes": 100, "episode": 40}
    path = folder / PROGRESS
    path.write_text(json.dumps(about | {"episode_s": 10.0} | content))
    os.utime(path, (NOW - age, NOW - age))


def log(results, run_id, text):
    (results / "logs").mkdir(exist_ok=True)
    (results / "logs" / f"{run_id}.log").write_text(text)


def test_runs_are_told_apart_by_what_their_folders_hold(tmp_path):
    configs = list(CONFIGS.values())
    leave(tmp_path, configs[0])
    leave(tmp_path, configs[1], status="failed", reason="critic loss is nan")
    sign(tmp_path, configs[2], **{"return": 0.5, "acceptance_rate": 0.2, "bytes_sent": 7})
    sign(tmp_path, configs[3], age=1e6)  # killed
    leave(tmp_path, configs[4], settings_hash="another")
    leave(tmp_path, configs[5], episodes=50)  # to be continued
    log(tmp_path, configs[6].run_id, "rsm: the disk is full\n")
    log(tmp_path, configs[7].run_id, "rsm: terminated\n")
    log(tmp_path, configs[8].run_id, "x: episode 6/15  return 0.199  sent 48.2 MB  left 210 s\n")
    found = status(RUNS, tmp_path, NOW)
    assert found.done == 1
    assert found.failed == {
        configs[1].run_id: "critic loss is nan",
        configs[6].run_id: "could not run: the disk is full",
    }
    [run] = found.running
    assert (run.run_id, run.episode, run.episodes) == (configs[2].run_id, 40, 100)
    assert (run.episode_return, run.acceptance_rate, run.bytes_sent) == (0.5, 0.2, 7)
    assert found.queued == [configs[n].run_id for n in (3, 4, 5, 7, 8, 9)] and found.stopped == 2
    assert headline("small", found).startswith(
        "small: 1 of 10 runs done, 1 running, 2 failed, 6 queued (2 stopped midway); time left: "
    )


def test_run_is_believed_to_live_as_long_as_its_episodes_explain_its_silence(tmp_path):
    config = CONFIGS["independent-seed0"]
    sign(tmp_path, config, age=300.0, episode_s=60.0)
    assert len(status(RUNS, tmp_path, NOW).running) == 1
    sign(tmp_path, config, age=300.0, episode_s=1.0)
    assert status(RUNS, tmp_path, NOW).stopped == 1


def test_time_left_is_that_of_the_same_kind_on_as_many_places_as_now(tmp_path):
    runs = {
        c.run_id: c for c in (*CONFIGS.values(), *(learner(seed, "fmarl") for seed in range(2)))
    }
    configs = list(runs.values())
    leave(tmp_path, configs[-1], wall_s=500.0)  # the one method is quicker
    leave(tmp_path, configs[0], wall_s=1200.0)
    for config in configs[1:3]:
        sign(tmp_path, config, age=0.0, episode=40, episode_s=10.0)  # 600 s left of 1000 s
    found = status(planned(runs, tmp_path), tmp_path, NOW)
    independent = (1200 + 1000 + 1000) / 3  # mean of the finished run and of those under way
    assert found.left_s == pytest.approx((2 * 600 + 7 * independent + 500) / 2)


def test_study_with_nothing_left_or_nothing_known_says_so(tmp_path):
    assert status(RUNS, tmp_path, NOW).left_s is None
    for config in CONFIGS.values():
        leave(tmp_path, config)
    found = status(RUNS, tmp_path, NOW)
    assert found.over and headline("small", found) == "small: 10 of 10 runs done"


def test_files_cut_short_are_no_news_and_no_traceback(tmp_path):
    folder = tmp_path / "runs" / "independent-seed0"
    folder.mkdir(parents=True)
    for name in ("summary.json", PROGRESS):
        (folder / name).write_text('{"status": ')
    assert len(status(RUNS, tmp_path, NOW).queued) == 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (41.2, "41 s"), (130, "2 min"), (7_260, "2 h 1 min"), (180_000, "2 d 2 h")],
)
def test_times_are_told_in_the_units_of_their_size(seconds, words):
    assert duration(seconds) == words


def test_a_run_tells_how_far_it_is_but_not_after_every_episode(tmp_path, monkeypatch):
    monkeypatch.setattr("rsm.runs.live.COST", 1e9)  # whatever this disk costs
    config = learner(0)
    folder = tmp_path / "runs" / config.run_id
    live = Live(folder, config)
    [run] = status(RUNS, tmp_path).running
    assert (run.episode, run.left_s) == (0, None)
    for episode in range(1, 51):
        live.episode(episode, episode / 100, 1000 * episode, judged=10, accepted=4)
    [run] = status(RUNS, tmp_path).running
    assert run.episode < 50, "all of them came within two seconds"
    assert (run.acceptance_rate, run.bytes_sent) == (0.4, 1000 * run.episode)
    assert [path.name for path in folder.iterdir()] == [PROGRESS], "no temporary file is left"


def test_tables_so_far_are_written_at_most_every_half_minute_and_are_of_one_moment(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("rsm.runs.live.COST", 1e9)  # whatever this disk costs
    config, recorder = learner(0), Recorder()
    live = Live(tmp_path, config)
    row = dict.fromkeys(TABLES["episodes"], 0)
    recorder.add("episodes", row | {"episode": 1})
    live.tables(recorder)
    assert read_partial(tmp_path) is None, "it has only begun"
    monkeypatch.setattr("rsm.runs.live.TABLES_EVERY_S", 0.0)
    live.tables(recorder)
    assert read_partial(tmp_path)["episodes"]["episode"].tolist() == [1]
    monkeypatch.setattr("rsm.runs.live.TABLES_EVERY_S", 30.0)
    recorder.add("episodes", row | {"episode": 2})
    live.tables(recorder)
    found = read_partial(tmp_path)
    assert len(found["episodes"]) == 1 and set(found) == {
        "episodes",
        "evaluations",
        "rounds",
        "zeta",
    }
    assert len(recorder.table("episodes")) == 2, "the run's own tables are whole"
    (tmp_path / PARTIAL).write_bytes(b"cut short")
    assert read_partial(tmp_path) is None


def test_what_is_not_finite_or_cannot_be_written_stops_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    live = Live(tmp_path / "file" / "run", learner(0))
    live.episode(1, float("nan"), 0, 0, 0)


def test_thousand_runs_are_looked_at_without_loading_what_takes_long(tmp_path):
    runs = {config.run_id: config for config in map(learner, range(1000))}
    for config in runs.values():
        leave(tmp_path, config)
    plans = planned(runs, tmp_path)
    start = time.process_time()
    assert status(plans, tmp_path).done == 1000
    assert time.process_time() - start < 1.0  # 0.05 s on a quiet machine
    heavy = "import sys, rsm.cli.parser, rsm.runs.status\n"
    heavy += "print({'pandas', 'torch', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_known_of_a_study_is_kept_until_its_file_changes(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text("seeds: [0]\n")
    assert remembered(study) is None
    remember(study, CONFIGS, RUNS)
    assert remembered(study) == RUNS
    study.write_text("seeds: [1]\n")
    assert remembered(study) is None
    for broken in ("", "[]", '{"of": 1}'):
        (tmp_path / NAME).write_text(broken)
        assert remembered(study) is None
    remember(tmp_path / "gone" / "study.yaml", CONFIGS, RUNS)  # which cannot be written


def test_what_depends_on_other_files_is_not_kept(tmp_path):
    study = tmp_path / "study.yaml"
    study.touch()
    begun = parse_run({"method": "independent", "init_from": {"run": "results/x"}}, "test")
    remember(study, {begun.run_id: begun}, planned({begun.run_id: begun}, tmp_path))
    assert remembered(study) is None
