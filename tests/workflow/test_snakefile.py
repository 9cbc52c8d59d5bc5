"""The DAG by dry runs, bad input, and which changes make a job run again (`rsm` replaced by a stand-in)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.analysis.trajectories import trajectory_runs
from rsm.config.study import load_study
from rsm.runs.schema import TABLES

from .conftest import ROOT, Workflow, checkout, job_counts

# A stand-in for all commands: each writes its outputs at once, and its call is logged. It is run some hundred
# times, so it loads what a command needs and no more.
STAND_IN = """
import argparse, json, sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("command")
parser.add_argument("folders", nargs="*")
parser.add_argument("--force", action="store_true")
parser.add_argument("--device")
for name in ("study", "set", "out", "config", "receipt", "source"):
    parser.add_argument("--" + name)
options = parser.parse_args()
def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
done = options.command
if done == "resolve":
    import yaml
    from rsm.config.loading import dump_yaml
    from rsm.config.study import load_study, study_file
    study = load_study(study_file(options.study), yaml.safe_load(options.set))
    write(Path(options.out), dump_yaml(study))
elif done == "train":
    import yaml
    from rsm.config.run import parse_run
    config = parse_run(yaml.safe_load(Path(options.config).read_text()), "stdin")
    done += " " + config.run_id
    if Path("broken").exists() and config.learns:
        sys.exit("rsm: no room left")
    if options.force:
        done += " --force"
    if Path(options.out, "summary.json").exists():
        done += " (was there)"
    for table in TABLES:
        write(Path(options.out, table + ".parquet"))
    content = {"settings_hash": config.settings_hash, "episodes": config.training.episodes}
    failed = Path("diverges").exists() and config.learns
    content |= {"status": "failed", "reason": "loss is nan"} if failed else {"status": "finished"}
    write(Path(options.out, "summary.json"), json.dumps(content))
    for name in ("config.yaml", "manifest.json"):
        write(Path(options.out, name))
    if config.learns:
        write(Path(options.out, "policy.safetensors"))
elif done == "trajectory":
    done += " " + Path(options.folders[0]).name
    write(Path(options.out))
elif done in ("publish", "publish-results"):
    done = " ".join([done, *(Path(folder).name for folder in options.folders)])
    write(Path(options.receipt), '{"runs": [{"experiment_id": "7"}]}')
elif done == "tables":
    from rsm import analysis
    for name in analysis.TABLES:
        write(Path(options.study).parent / "tables" / name, "a,b\\n1,2\\n")
elif done == "figures":
    from rsm import analysis
    for name in analysis.FIGURES:
        for suffix in analysis.FORMATS:
            write(Path(options.study).parent / "figures" / (name + "." + suffix))
elif done == "page":
    write(Path(options.study).parent / "index.html", options.source)
elif done == "verify":
    print("agrees  human-seed0")
with open("calls", "a") as file:
    file.write(done + "\\n")
if done == "verify" and Path("differs").exists():
    sys.exit("DIFFERS human-seed0")
""".replace("TABLES:", f"{tuple(TABLES)}:", 1)


@pytest.fixture
def stand_in(workflow: Workflow) -> Workflow:
    (workflow.folder / "rsm" / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    return workflow


def calls(workflow: Workflow) -> list[str]:
    """The commands that ran since the last call of this function."""
    file = workflow.folder / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def files(folder: Path) -> set[str]:
    """What lies in a checkout, Snakemake's own log of the command aside."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {path for path in found if "__pycache__" not in path and ".snakemake" not in path}


def test_dry_run_of_paper_lists_every_run(workflow: Workflow) -> None:
    runs = load_study(ROOT / "workflow/studies/paper.yaml", {"seeds": [0, 1]}).runs()
    controls = sum(not config.learns for config in runs.values())
    counts = job_counts(workflow.snakemake("-n", "--config", "seeds=[0, 1]"))
    assert counts["train"] == len(runs) - controls
    assert counts["control"] == controls
    assert 0 < counts["publish"] < len(runs) / 10, "a publish step brings over many"
    assert counts["store"] == counts["resolve"] == 1
    assert not (workflow.folder / "results").exists()


def test_study_under_another_name_has_an_experiment_of_that_name(workflow: Workflow) -> None:
    target = "results/mlflow/receipts/pilot/store.done"
    done = workflow.snakemake("-n", "-p", target, "--config", "study=ci", "name=pilot")
    (line,) = (line for line in done.stdout.splitlines() if " -m rsm store " in line)
    words = shlex.split(line)
    assert words[words.index("--study") + 1] == "ci"
    assert json.loads(words[words.index("--set") + 1]) == {"name": "pilot"}


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_runs_train_on_the_device_that_is_given(workflow: Workflow, device: str) -> None:
    given = [] if device == "cpu" else [f"device={device}"]
    targets = [f"results/ci/runs/{run}-seed0/summary.json" for run in ("fmarl", "human")]
    # With --jobs they are those of a cluster, whose GPUs this machine does not know.
    done = workflow.snakemake("-n", "-p", "--jobs", "1", *targets, "--config", "study=ci", *given)
    lines = [line for line in done.stdout.splitlines() if " -m rsm train " in line]
    on = {}
    for words in map(shlex.split, lines):
        on[Path(words[words.index("--out") + 1]).name] = words[words.index("--device") + 1]
    assert on == {"fmarl-seed0": device, "human-seed0": "cpu"}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["study=nope"], r"study: 'nope' .* known studies: .*quick"),
        (["study=ci", "run={sac: {tau: fast}}"], r"--config: run\.sac\.tau: 'fast' .* number"),
        (["study=ci", "rebuild=maybe"], r"--config: rebuild: 'maybe' .* true or false"),
        (["study=ci", "device=gpu"], r"--config: device: 'gpu' .* cpu, cuda or cuda:NUMBER"),
        (["study=ci", "device=cuda:99"], r"--config: device: 'cuda:99' is not allowed: .*'cpu'"),
        (["study=ci", "grid={topologies: ['regular:20']}"], r"regular20-seed0: .*9 agents cannot"),
        (["study=./gone.yaml"], r"gone\.yaml: cannot be read: No such file"),
    ],
    ids=["study", "wrong type", "rebuild", "device", "GPU", "graph that cannot be", "path"],
)
def test_bad_input_is_one_line_and_exit_code_2_and_nothing_is_created(
    workflow: Workflow, overrides: list[str], expected: str
) -> None:
    before = files(workflow.folder)
    done = workflow.snakemake("--cores", "1", "--config", *overrides)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow")]
    assert len(lines) == 1, done.stderr
    assert re.search(expected, lines[0]), lines[0]
    assert done.stdout == ""
    assert files(workflow.folder) == before


def test_overrides_on_the_command_line_keep_their_types(workflow: Workflow) -> None:
    overrides = ["run={sac: {tau: 1e-3, hidden: [8, 8], target_entropy: null}}", "seeds=[5]"]
    counts = job_counts(workflow.snakemake("-n", "--config", "study=ci", *overrides))
    one_seed = load_study(ROOT / "workflow/studies/ci.yaml", {"seeds": [5]})
    assert counts["train"] + counts["control"] == len(one_seed.runs())


OWN = """
name: own
description: A study of its own.
extends: {extends}
"""


def test_study_by_its_path_has_its_results_beside_its_name(stand_in: Workflow) -> None:
    file = stand_in.folder / "else where/own.yaml"
    file.parent.mkdir()
    text = OWN.format(extends="ci") + "seeds: [3]\ngrid: {methods: [rsm]}\nalso: []\n"
    file.write_text(text, encoding="utf-8")
    done = stand_in.snakemake("--cores", "2", "--config", f"study={file}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith("train rsm-") for line in calls(stand_in)) == 1
    results = stand_in.folder / "results/own"
    assert (results / "report.html").is_file()
    assert (results / "index.html").read_text() == str(file), "which holds its questions"
    assert load_study(results / "study.yaml") == load_study(file)
    again = stand_in.snakemake("--cores", "1", "--config", f"study={file}")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_low_seeds_are_run_first_so_that_a_study_cut_off_has_whole_seeds(
    stand_in: Workflow,
) -> None:
    seeds = "seeds=[2, 0, 11]"
    grid = "grid={methods: [independent, fmarl, go]}"
    done = stand_in.snakemake("--cores", "1", "--config", "study=ci", "name=whole", seeds, grid)
    assert done.returncode == 0, done.stdout + done.stderr
    commands = calls(stand_in)
    trained = [line for line in commands if line.startswith("train ")]
    assert commands.index("store") < commands.index(trained[0]), (
        "the user interface shows it at once"
    )
    assert [int(line.rpartition("seed")[2]) for line in trained] == [0] * 3 + [2] * 3 + [11] * 3


SMALL = ("study=ci", "name=small", "seeds=[0]", "grid={methods: [fmarl, go]}")


def small(workflow: Workflow, *overrides: str, fresh: bool = False) -> tuple[list[str], str]:
    """The commands that a study of two runs asks for, and what Snakemake says on standard error."""
    done = workflow.snakemake("--cores", "2", "--config", *SMALL, *overrides, fresh=fresh)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(calls(workflow)), done.stderr


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, list[str], str]:
    """A checkout where the small study is done, the commands it asked for, and what Snakemake said."""
    workflow = checkout(tmp_path_factory.mktemp("small"))
    (workflow.folder / "rsm" / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    return workflow, *small(workflow)


@pytest.fixture
def finished(first: tuple[Workflow, list[str], str], tmp_path: Path) -> Workflow:
    """A copy of it."""
    shutil.copytree(first[0].folder, tmp_path / "copy")
    return Workflow(tmp_path / "copy")


def test_only_what_changed_runs_again(
    first: tuple[Workflow, list[str], str], finished: Workflow
) -> None:
    def trained(lines: list[str]) -> set[str]:
        return {line.split()[1] for line in lines if line.startswith("train")}

    def published(lines: list[str]) -> list[str]:
        """Runs that publish steps brought over, each as often as it was."""
        return sorted(
            run for line in lines for run in line.split()[1:] if line.startswith("publish ")
        )

    overrides = {"name": "small", "seeds": [0], "grid": {"methods": ["fmarl", "go"]}}
    study = load_study(ROOT / "workflow/studies/ci.yaml", overrides)
    assert trained(first[1]) == set(study.runs())
    assert published(first[1]) == sorted(study.runs())
    driven = {line.split()[1] for line in first[1] if line.startswith("trajectory")}
    assert driven == set(trajectory_runs(study)), "what a figure shows is driven once more"
    assert (finished.folder / "results/small/report.html").is_file()
    assert small(finished)[0] == [], "a second call finds nothing to do"

    there = finished.snakemake("-n", "--jobs", "2", "--config", *SMALL, "device=cuda")
    assert job_counts(there) == {}, "where it would run is no setting"

    more = trained(small(finished, "seeds=[0, 7]")[0])
    assert more == {"fmarl-seed7", "go-seed7"}, "a new seed trains the new runs only"

    redrawn, _ = small(finished, "description=another")
    assert not trained(redrawn), "what no run depends on trains nothing"
    assert "figures" in redrawn

    changed, _ = small(finished, "run={sac: {tau: 0.5}}", "rebuild=true")
    assert trained(changed) == set(study.runs()), "changed settings train again"
    assert published(changed) == sorted(study.runs()), "and are published again"
    assert [line for line in changed if line.startswith("train")] == [
        "train fmarl-seed0 --force (was there)",
        "train go-seed0 --force (was there)",
    ]
    changed = small(finished, "run={sac: {tau: 0.5}}")[0]
    assert changed == [], "rebuild is no setting: nothing runs again without it"
    (finished.folder / "results/small/runs/fmarl-seed0/checkpoint.pt").touch()
    longer, _ = small(finished, "run={sac: {tau: 0.5}, training: {episodes: 9}}")
    assert "train fmarl-seed0 (was there)" in longer, "it finds what it goes on from"


def test_results_copied_without_their_store_are_published_and_nothing_else(
    finished: Workflow,
) -> None:
    shutil.rmtree(finished.folder / "results/mlflow")  # as if only results/small had been copied
    published = ["publish fmarl-seed0 go-seed0", "publish-results", "store"]
    assert small(finished)[0] == published


def test_finished_runs_are_not_replaced_by_a_study_unless_it_is_told_to(finished: Workflow) -> None:
    runs = finished.folder / "results/small/runs"
    before = {path: path.read_bytes() for path in runs.glob("*/*")}
    changed = "run={sac: {tau: 0.5}}"
    done = finished.snakemake("--cores", "2", "--config", *SMALL, changed)
    assert done.returncode == 2 and calls(finished) == []
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow")]
    assert "2 of 2 runs in results/small/runs would be lost" in line and "rebuild=true" in line
    assert {path: path.read_bytes() for path in runs.glob("*/*")} == before


def test_override_without_a_name_goes_to_a_folder_of_its_own(stand_in: Workflow) -> None:
    overrides = ("study=ci", "grid={methods: [go]}")
    done = stand_in.snakemake("--cores", "2", "--config", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (stand_in.folder / "results").glob("ci*")
    said = done.stdout.partition(f"Study '{folder.name}' is done:")[2]
    assert said.split()[:2] == ["page", f"results/{folder.name}/index.html"], "named first"
    assert f"results/{folder.name}/report.html" in said and "/#/experiments/7/runs" in said
    assert re.fullmatch("ci-[0-9a-f]{6}", folder.name)
    assert f"is the study {folder.name}, in results/{folder.name}" in done.stderr
    assert load_study(folder / "study.yaml").name == folder.name


def test_run_whose_folder_was_removed_is_trained_again(finished: Workflow) -> None:
    shutil.rmtree(finished.folder / "results/small/runs/go-seed0")
    again, _ = small(finished)
    assert [line for line in again if line.startswith("train")] == ["train go-seed0"]


def test_run_that_breaks_does_not_keep_the_others_from_their_tables(stand_in: Workflow) -> None:
    (stand_in.folder / "broken").touch()
    done = stand_in.snakemake("--cores", "2", "--config", *SMALL)
    assert done.returncode == 1
    assert "Study 'small': 1 of 2 runs finished" in done.stderr
    assert "could not run: fmarl-seed0: no room left" in done.stderr
    assert {"train go-seed0", "tables", "figures", "sync"} <= set(calls(stand_in))
    results = stand_in.folder / "results/small"
    assert (results / "tables/main.html").is_file() and (results / "figures/zeta.png").is_file()
    log = (results / "logs/without_broken_runs.log").read_text()
    assert (results / "report.html").is_file(), log
    assert (results / "index.html").is_file(), log
    assert not (results / "runs/fmarl-seed0/summary.json").exists()


def test_terminal_has_a_line_on_the_study_and_the_log_has_the_blocks(
    first: tuple[Workflow, list[str], str],
) -> None:
    workflow, _, said = first
    assert "small: 0 of 2 runs done, 2 queued" in said
    assert "rule train" not in said and "Finished jobid" not in said
    logs = "".join(log.read_text() for log in (workflow.folder / ".snakemake/log").glob("*.log"))
    assert "rule train" in logs and "Finished jobid" in logs


def test_run_that_diverged_is_told_at_the_end(stand_in: Workflow) -> None:
    (stand_in.folder / "diverges").touch()
    _, said = small(stand_in)
    assert "Study 'small': 1 of 2 runs finished" in said
    assert "failed: fmarl-seed0: loss is nan" in said


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("{a}", "study.yaml"),
        ("a {b} {{c}} {{ d }} %s $HOME 'q' \"r\" |s| *t `u <v>", "report.html"),
        ("007", "study.yaml"),
    ],
)
def test_free_text_of_a_study_reaches_its_results_as_it_is(
    finished: Workflow, text: str, target: str
) -> None:
    study = ("--config", *SMALL, f"description={text}")
    (finished.folder / "results/small/report.html").unlink()
    done = finished.snakemake("--cores", "2", *study, "--", f"results/small/{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_study(finished.folder / "results/small/study.yaml").description == text
    assert (finished.folder / "results/small" / target).is_file()


def test_name_of_a_study_that_looks_like_a_number_is_a_name(stand_in: Workflow) -> None:
    done = stand_in.snakemake("-n", "--config", "study=ci", "name=007", "seeds=[0]")
    assert done.returncode == 0 and "results/007/study.yaml" in done.stdout + done.stderr


def test_figures_are_drawn_again_without_training(finished: Workflow) -> None:
    picture = finished.folder / "results/small/figures/zeta.png"
    picture.unlink()
    # Even where the whole study would train again: one of its runs is missing now.
    (finished.folder / "results/small/runs/fmarl-seed0/summary.json").unlink()
    done = finished.snakemake("--cores", "1", "figures", "--config", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(finished) == ["figures"]
    assert picture.exists()


def test_verification_runs_whenever_it_is_asked_for_and_trains_nothing(stand_in: Workflow) -> None:
    log = stand_in.folder / "results/logs/verify.log"
    done = stand_in.snakemake("--cores", "2", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(stand_in) == ["verify"]
    assert "agrees" in done.stdout and "agrees" in log.read_text()
    (stand_in.folder / "differs").touch()
    done = stand_in.snakemake("--cores", "2", "verify")
    assert done.returncode == 1
    assert calls(stand_in) == ["verify"]
    assert "DIFFERS" in log.read_text()


def test_training_jobs_run_with_one_thread_and_leave_a_log_and_a_benchmark(
    stand_in: Workflow,
) -> None:
    target = "results/ci/runs/fmarl-seed0/summary.json"
    done = stand_in.snakemake("--cores", "2", target, "--config", "study=ci")
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(stand_in) == ["train fmarl-seed0"]
    results = stand_in.folder / "results/ci"
    assert (results / "logs/fmarl-seed0.log").is_file()
    assert (results / "benchmarks/fmarl-seed0.tsv").is_file()


def test_jobs_at_once_are_as_many_as_there_are_cores_for(stand_in: Workflow) -> None:
    """CPU affinity in place of the quota of a container, which tests cannot set."""
    one = os.sched_getaffinity(0).pop()
    command = ["taskset", "--cpu-list", str(one), sys.executable, "-m", "snakemake", "--cores", "3"]
    done = subprocess.run(
        [*command, "verify"], cwd=stand_in.folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 were asked for, but only 1 may be used here" in done.stderr
    assert "Provided cores: 1 " in done.stdout + done.stderr


def test_home_that_cannot_be_written_keeps_nothing_from_running(
    finished: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    report = finished.folder / "results/small/report.html"
    report.unlink()
    small(finished, fresh=True)
    assert report.is_file()
