"""Kill at any moment: a run that is started again ends with the same bits as one that never stopped."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsm.config.catalogue import METHODS
from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig, parse_run
from rsm.config.study import merge
from rsm.runs.checkpoint import Pace, load_checkpoint, save_checkpoint
from rsm.runs.files import CURRENT, PREVIOUS
from rsm.runs.folder import CONFIG, RUN_FILES
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training

from ..conftest import TINY
from ..forking import Job
from ..training.run_folders import assert_same_run
from ..workflow.conftest import checkout
from .conftest import ROOT, Warm, mount

KILLS = 3  # per kind of method: 24 in all
NEVER_DONE = 100_000  # episodes of a run that is killed, however long it is left alone
# What a run keeps depends on the traits of its method alone: who learns, who serves, what is judged.
ONE_OF_A_KIND = {traits._replace(module=""): name for name, traits in METHODS.items()}.values()
LONGER = {"training": {"episodes": 6}, "communication": {"loss_rate": 0.1}}


def write_settings(config: RunConfig, folder: Path) -> Path:
    file = folder / "run.yaml"
    file.write_text(dump_yaml(config))
    return file


def checkpoints(folder: Path) -> list[str]:
    return [name for name in (CURRENT, PREVIOUS) if (folder / name).exists()]


def wait_for_checkpoint(folder: Path, job: Job) -> None:
    """Wait until the job has written one, or has ended, whatever the speed of the machine."""
    deadline = time.monotonic() + 600  # only for one that hangs
    while not checkpoints(folder) and job.code is None and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.mark.parametrize("method", ONE_OF_A_KIND)
def test_run_killed_at_random_moments_ends_as_if_it_had_been_left_alone(
    method: str, tiny, tmp_path: Path, warm: Warm
) -> None:
    config = tiny(method=method, **LONGER)
    file = write_settings(config, tmp_path)
    start = time.monotonic()
    assert warm.run("train", "--config", file, "--out", tmp_path / "whole") == 0, warm.output
    duration = time.monotonic() - start
    draw = random.Random(f"kill {method}")
    killed = resumed = 0
    folder = tmp_path / "killed"
    while killed < KILLS:
        job = warm.start("train", "--config", file, "--out", folder, every_episode=True)
        if killed:  # after the first kill, never before there is something to resume from
            wait_for_checkpoint(folder, job)
        job.wait(draw.uniform(0.02, 0.6) * duration)
        number = draw.choice([signal.SIGKILL, signal.SIGTERM])
        code = job.end(number)
        if code == 0:  # it had finished before the signal came: the next one starts from nothing
            assert_same_run(tmp_path / "whole", folder)
            shutil.rmtree(folder)
            continue
        assert code == (143 if number == signal.SIGTERM else -signal.SIGKILL), warm.output
        killed += 1
        resumed += bool(checkpoints(folder))
        if checkpoints(folder):
            assert load_checkpoint(folder, config.settings_hash) is not None
    assert warm.run("train", "--config", file, "--out", folder) == 0, warm.output
    assert_same_run(tmp_path / "whole", folder)
    assert resumed, "no kill fell between the first checkpoint and the end"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Path:
    """The run of `tiny(**LONGER)` that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    file = write_settings(parse_run(merge(TINY, LONGER), "tiny"), folder)
    assert warm.run("train", "--config", file, "--out", folder / "run") == 0, warm.output
    return folder / "run"


# What a run calls while it writes: each checkpoint is one fsync and two renames (the first one: one).
@pytest.mark.parametrize(
    ("function", "number"),
    [("fsync", 1), ("fsync", 3), ("replace", 2), ("replace", 3), ("replace", 13), ("unlink", 10)],
)
def test_run_killed_inside_a_write_ends_as_if_it_had_been_left_alone(
    function: str, number: int, tiny, tmp_path: Path, warm: Warm, whole: Path
) -> None:
    file = write_settings(tiny(**LONGER), tmp_path)
    folder, fault = tmp_path / "killed", [function, number, "kill"]
    request = {"every_episode": True, "fault": fault}
    code = warm.run("train", "--config", file, "--out", folder, **request)
    assert code == -signal.SIGKILL, "the fault was never reached"
    assert warm.run("train", "--config", file, "--out", folder) == 0, warm.output
    assert_same_run(whole, folder)


# 1 is the settings, 2 the progress, which a full disk does not stop, 3 the first checkpoint.
@pytest.mark.parametrize("number", [1, 4, 8], ids="write {}".format)
def test_full_disk_ends_the_run_in_one_line_and_keeps_the_last_checkpoint(
    number: int, tiny, tmp_path: Path, warm: Warm, whole: Path
) -> None:
    file = write_settings(tiny(**LONGER), tmp_path)
    folder, fault = tmp_path / "run", ["fsync", number, errno.ENOSPC]
    request = {"every_episode": True, "fault": fault}
    assert warm.run("train", "--config", file, "--out", folder, **request) == 1
    last = warm.output[-1]
    assert "No space left on device" in last and "resume from the last checkpoint" in last
    assert not any("Traceback" in line for line in warm.output)
    assert not (folder / "summary.json").exists()
    assert bool(checkpoints(folder)) == (number > 1)
    assert {path.name for path in folder.iterdir()} <= RUN_FILES, "no temporary file is left"
    assert warm.run("train", "--config", file, "--out", folder) == 0, warm.output
    assert_same_run(whole, folder)


def test_really_full_disk_is_survived_once_there_is_room(
    tiny, tmp_path: Path, warm: Warm, whole: Path, small_disk: Path
) -> None:
    file = write_settings(tiny(**LONGER), tmp_path)
    folder = small_disk / "run"
    request = {"every_episode": True}
    assert warm.run("train", "--config", file, "--out", folder, **request) == 1, warm.output
    assert "No space left on device" in warm.output[-1]
    mount(small_disk, "remount", "size=50m")
    assert warm.run("train", "--config", file, "--out", folder) == 0, warm.output
    assert_same_run(whole, folder)


def test_damaged_checkpoint_never_takes_the_place_of_its_whole_predecessor(tmp_path: Path) -> None:
    for number in (1, 2):
        save_checkpoint(tmp_path, {"number": number}, "hash")
    (tmp_path / CURRENT).write_bytes((tmp_path / CURRENT).read_bytes()[:-1])
    found = load_checkpoint(tmp_path, "hash")
    assert found is not None and found.state["number"] == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError):
            save_checkpoint(tmp_path, {"number": 2}, "hash")
    found = load_checkpoint(tmp_path, "hash")
    assert found is not None and found.state["number"] == 1


def test_checkpoint_holds_the_transitions_there_are_not_the_room_for_more(
    tiny, tmp_path: Path
) -> None:
    config = tiny(sac={"replay_size": 100_000})  # 58 MB when full
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        run.save(tmp_path)
    assert (tmp_path / CURRENT).stat().st_size < 1_000_000


def test_two_processes_do_not_write_one_run(tiny, tmp_path: Path, warm: Warm) -> None:
    file = write_settings(tiny(training={"episodes": NEVER_DONE}), tmp_path)
    folder = tmp_path / "run"
    command = ["train", "--config", str(file), "--out", str(folder)]
    job = warm.start(*command, every_episode=True)
    wait_for_checkpoint(folder, job)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    second = [sys.executable, "-m", "rsm", *command]
    done = subprocess.run(second, capture_output=True, text=True, env=environment)
    assert job.end(signal.SIGKILL) == -signal.SIGKILL, "the first one went on"
    assert done.returncode == 1
    assert re.fullmatch(r"rsm: .*another process is writing this run.*\n", done.stderr)


def test_terminated_run_says_so_exits_with_143_and_leaves_no_temporary_files(
    tiny, tmp_path: Path, warm: Warm
) -> None:
    file = write_settings(tiny(training={"episodes": NEVER_DONE}), tmp_path)
    (tmp_path / "tmp").mkdir()
    request = {"every_episode": True, "environment": {"TMPDIR": str(tmp_path / "tmp")}}
    job = warm.start("train", "--config", file, "--out", tmp_path / "run", **request)
    wait_for_checkpoint(tmp_path / "run", job)
    assert job.end(signal.SIGTERM) == 143
    assert warm.output[-1] == "rsm: terminated"
    assert set(os.listdir(tmp_path / "run")) <= {CONFIG, CURRENT, PREVIOUS}
    assert not list((tmp_path / "tmp").iterdir())


def test_checkpoint_of_other_settings_is_refused_and_the_run_is_that_of_its_own(
    tiny, tmp_path: Path, warm: Warm
) -> None:
    ours, theirs = tiny(), tiny(seed=4)
    save_checkpoint(tmp_path / "run", {"anything": 1}, theirs.settings_hash)
    file = write_settings(ours, tmp_path)
    assert warm.run("train", "--config", file, "--out", tmp_path / "run") == 0
    assert any("made with other settings" in line and "refused" in line for line in warm.output)
    assert warm.run("train", "--config", file, "--out", tmp_path / "fresh") == 0
    assert_same_run(tmp_path / "run", tmp_path / "fresh")


def test_checkpoint_of_another_version_is_one_line_and_not_half_restored(
    tiny, tmp_path: Path, warm: Warm
) -> None:
    config = tiny()
    save_checkpoint(tmp_path / "run", {"counters": {"episode": 2}}, config.settings_hash)
    file = write_settings(config, tmp_path)
    assert warm.run("train", "--config", file, "--out", tmp_path / "run") == 1
    assert "does not fit this version" in warm.output[-1]


def test_checkpoints_cost_at_most_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("rsm.runs.checkpoint.time.perf_counter", lambda: now)
    pace, spent = Pace(), 0.0
    draw = random.Random(0)
    while now < 3600:
        now += draw.uniform(0.1, 1)  # an episode
        if pace.due:
            with pace.measured():
                cost = draw.uniform(0.2, 0.3)
                now += cost
                spent += cost
    assert 0.01 < spent / now < 0.02


PROBE = """
name: kill
description: a run to be killed
seeds: [0]
grid: {methods: [rsm], topologies: [complete]}
run:
  traffic: {decision_interval: 10, horizon: 300}
  sac: {hidden: [16, 16], batch_size: 16, learning_starts: 20, update_every: 1, replay_size: 200}
  communication: {period: 4}
  mixing: {states: 32, recent: 100}
  training: {episodes: 40}
  evaluation: {every: 20, episodes: 1}
"""


@pytest.mark.slow
def test_checkpoint_survives_snakemake_which_deletes_what_a_failed_job_declared(
    tmp_path: Path, warm: Warm
) -> None:
    checkout(tmp_path)
    (tmp_path / "workflow/studies/kill.yaml").write_text(PROBE)
    run = tmp_path / "results/kill/runs/rsm-complete-p4-k3-seed0"
    target = f"results/kill/runs/{run.name}/summary.json"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target, "--config", "study=kill"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    while not checkpoints(run) and process.poll() is None:
        time.sleep(0.02)
    (run / "config.yaml").write_text("a declared output of the failed job")
    trainer = training_process(run)
    os.kill(trainer, signal.SIGKILL)
    output, _ = process.communicate(timeout=600)
    assert "Removing output files of failed job" in output, (
        "what it was told of, not the checkpoint"
    )
    assert process.returncode == 0, output  # it tried again
    assert "resumed after episode" in (tmp_path / f"results/kill/logs/{run.name}.log").read_text()
    study = tmp_path / "results/kill/study.yaml"
    study.write_text((tmp_path / "workflow/studies/kill.yaml").read_text())
    whole = ["train", "--study", study, "--run", run.name, "--out", tmp_path / "whole"]
    assert warm.run(*whole) == 0, warm.output
    assert_same_run(tmp_path / "whole", run)


def training_process(run: Path) -> int:
    """The python process, not its shell, that writes into a run folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                here = Path(os.readlink(entry / "cwd"))
            except OSError:
                continue
            if words[1:4] == [b"-m", b"rsm", b"train"] and here == run.parents[3]:
                return int(entry.name)
    raise AssertionError("no training process")
