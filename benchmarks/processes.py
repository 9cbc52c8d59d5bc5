"""Whole processes: the start of `rsm train`, two runs side by side, and the planning of a large study."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Row, medians, milliseconds
from rsm.config.study import load_study
from rsm.runs.planned import planned
from rsm.runs.status import status

ROOT = Path(__file__).parents[1]
STARTS, PAIRS = 5, 3

# `rsm train` as it is, ended at the return of its first step.
FIRST_STEP = """
import os, sys
from rsm.cli import parser as cli
from rsm.traffic.environment import TrafficEnv
step = TrafficEnv.step
def first(self, actions):
    step(self, actions)
    os._exit(0)
TrafficEnv.step = first
cli.main(["train", "--config", sys.argv[1], "--out", sys.argv[2]])
"""

IMPORTS = "import libsumo, numpy, pyarrow.parquet, pydantic, rich, torch, yaml"

# Two episodes with updates at a middling size; prints its own seconds, imports left out.
SMALL_RUN = """
import time, torch
from rsm.config.learning import Sac
from rsm.config.run import RunConfig
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
torch.set_num_threads(1)
with TrafficEnv(RunConfig().traffic) as env:
    run = Training(RunConfig(sac=Sac(hidden=(128, 128), learning_starts=256)), env)
    run.train_episode()
    print("ready", flush=True)
    input()
    start = time.perf_counter()
    run.train_episode()
    print(time.perf_counter() - start, flush=True)
"""


def environment() -> dict[str, str]:
    """Variables for a process of its own, on one thread."""
    more = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return os.environ | more


def start_up() -> Row:
    """CPU time from the start of the process to the end of the first step, against imports that it needs."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        config.write_text("method: rsm\n", encoding="utf-8")
        starts, imports = [], []
        for number in range(STARTS):
            train = [sys.executable, "-c", FIRST_STEP, str(config), f"{folder}/{number}"]
            starts.append(children_cpu(train))
            imports.append(children_cpu([sys.executable, "-c", IMPORTS]))
    median, needed = statistics.median(starts), statistics.median(imports)
    ratio = median / needed
    return Row(
        "rsm train from start to first step, against importing its libraries",
        f"{ratio:.2f} × {needed:.2f} s of CPU",
        "≤ 1.5 ×",
        ratio <= 1.5,
        {"seconds": median, "imports": needed, "ratio": ratio},
    )


def children_cpu(command: list[str]) -> float:
    """CPU seconds of a process."""
    before = os.times()
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def side_by_side(count: int) -> float:
    """Seconds of the slowest of `count` equal runs that start together."""
    command = [sys.executable, "-c", SMALL_RUN]
    pipe = subprocess.PIPE
    runs = [
        subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True)
        for _ in range(count)
    ]
    for run in runs:
        assert run.stdout is not None and run.stdout.readline().strip() == "ready"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    return max(float(run.communicate()[0]) for run in runs)


def two_runs() -> Row:
    """Throughput of two runs at once over that of one."""
    alone, together = [], []
    for _ in range(PAIRS):
        alone.append(side_by_side(1))
        together.append(side_by_side(2))
    one, two = statistics.median(alone), statistics.median(together)
    gain = 2 * one / two
    return Row(
        "two runs side by side on two cores",
        f"{gain:.2f} × one ({one:.2f} s alone, {two:.2f} s together)",
        "≥ 1.8 × one",
        gain >= 1.8,
        {"alone": one, "together": two, "ratio": gain},
    )


def planning(seeds: Sequence[int] = range(98)) -> Row:
    """A dry run of the `paper` grid over so many seeds that it has 10 000 jobs."""
    override = "seeds=[" + ",".join(map(str, seeds)) + "]"
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--config", "study=paper"]
    folder = str(Path(sys.executable).parent)
    paths = environment() | {"PATH": os.pathsep.join((folder, os.environ["PATH"]))}
    start = time.perf_counter()
    done = subprocess.run(
        [*command, override], cwd=ROOT, env=paths, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    totals = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("total ")]
    jobs = int(totals[0]) if totals else 0
    return Row(
        "Snakemake planning of a large study",
        f"{seconds:.0f} s for {jobs:,} jobs",
        "≤ 60 s for 10 000 jobs",
        seconds <= 60 and jobs >= 10_000,
        {"seconds": seconds, "jobs": jobs},
    )


def status_of_a_study() -> Row:
    """What `rsm status` reads of a study with finished runs, against reading the same files."""
    study = load_study(ROOT / "workflow/studies/paper.yaml")
    with tempfile.TemporaryDirectory() as folder:
        results, files = Path(folder), []
        runs = dict(itertools.islice(study.runs().items(), 1000))
        for run_id, config in runs.items():
            content = {"settings_hash": config.settings_hash, "status": "finished", "wall_s": 1.0}
            content |= {"episodes": config.training.episodes, "per_agent": [0.1] * 200}
            files.append(results / "runs" / run_id / "summary.json")
            files[-1].parent.mkdir(parents=True)
            files[-1].write_text(json.dumps(content), encoding="utf-8")
        plans = planned(runs)
        seconds = medians(
            {
                "status": lambda: status(plans, results),
                "plain": lambda: [json.loads(file.read_text(encoding="utf-8")) for file in files],
            },
            5,
        )
    ratio = seconds["status"] / seconds["plain"]
    return Row(
        f"rsm status of {len(runs)} runs, against reading their summaries",
        f"{ratio:.2f} × {milliseconds(seconds['plain'])}",
        "≤ 3 ×",
        ratio <= 3,
        seconds | {"ratio": ratio},
    )


def rows() -> list[Row]:
    """All rows about whole processes."""
    return [start_up(), two_runs(), planning(), status_of_a_study()]
