"""`profiles/slurm` on a real SLURM: controller, node and munge on loopback, without accounting."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from rsm.config.study import load_study, study_file
from rsm.runs.schema import TABLES
from rsm.training.run import train

from .conftest import Workflow

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# Where SLURM looks for its settings on a node without /etc/slurm; a job step does not hear of SLURM_CONF.
RUN = Path("/run/slurm/conf/slurm.conf")
SEEN = ("rsm-trust-region-radius90-p2-k3-seed0", "average-radius90-seed0")  # cancelled, requeued


def _missing() -> str | None:
    if absent := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        return f"not installed: {', '.join(absent)} (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "SLURM's daemons are started by root only"
    here = [path for path in (Path("/etc/slurm/slurm.conf"), RUN) if path.exists()]
    return f"this machine belongs to a cluster: {here[0]}" if here else None


MISSING = _missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        MISSING is not None and os.environ.get("RSM_SLURM") != "required", reason=str(MISSING)
    ),
]


class Cluster:
    """One node of two CPUs, its controller and munge, all in one folder."""

    def __init__(self, folder: Path) -> None:
        assert MISSING is None, MISSING
        self.folder = folder
        folder.chmod(0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        (folder / "slurm.conf").write_text(self._conf(), encoding="utf-8")
        RUN.parent.mkdir(parents=True, exist_ok=True)
        RUN.symlink_to(folder / "slurm.conf")
        self.daemons: list[subprocess.Popen[bytes]] = []

    def _conf(self) -> str:
        host, folder = socket.gethostname().split(".")[0], self.folder
        return f"""
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
MpiDefault=none
MinJobAge=900
JobRequeue=1
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

    def start(self) -> None:
        folder = self.folder
        self._daemon(
            [
                *("munged", "--foreground", "--force", f"--key-file={folder}/munge.key"),
                *(f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"),
                *(f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"),
            ]
        )
        self._daemon(["slurmctld", "-D", "-c"])
        self._daemon(["slurmd", "-D"])
        deadline = time.monotonic() + 60
        while "idle" not in self.ask("sinfo", "-h", "-o", "%T"):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def _daemon(self, command: list[str]) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            path = shutil.which(command[0], path=PATH)
            assert path is not None
            environment = os.environ | self.environment
            self.daemons.append(
                subprocess.Popen([path, *command[1:]], stdout=out, stderr=out, env=environment)
            )

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def job_of(self, run: str) -> str | None:
        """The id of the job that trains a run."""
        for line in self.ask("squeue", "-h", "-o", "%i %T %k").splitlines():
            job, state, *comment = line.split(" ", 2)
            if state == "RUNNING" and comment and comment[0].endswith(f"wildcards_{run}"):
                return job
        return None

    def submitted(self) -> set[str]:
        """What the jobs so far were to do: rule and run of each, of an array its first run."""
        return set(self.ask("squeue", "-h", "--states=all", "-o", "%k").split())

    def logs(self) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')[-2000:]}"
            for path in self.folder.glob("*.out")
        )

    def stop(self) -> None:
        self.ask("scancel", "--user=root")
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait(timeout=30)
        RUN.unlink()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory, workflow: Workflow) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        # Without control groups SLURM loses sight of what a cancelled job had started.
        for process in psutil.process_iter(["cwd"]):
            if process.info["cwd"] == str(workflow.folder):
                process.kill()


def _disturb(
    cluster: Cluster, runs: Path, done: threading.Event, disturbed: dict[str, int]
) -> None:
    """Cancels one run once it has a checkpoint, and has SLURM begin another again (preemption)."""
    commands = dict(zip(SEEN, (["scancel"], ["scontrol", "requeue"]), strict=True))
    while commands and not done.wait(0.05):
        for run in list(commands):
            if (runs / run / "checkpoint.pt").exists() and (job := cluster.job_of(run)):
                cluster.ask(*commands.pop(run), job)
                disturbed[run] = int(job)


def test_a_study_on_slurm_has_the_bits_of_a_local_one_though_jobs_are_cancelled_and_requeued(
    workflow: Workflow, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two runs of methods, each a job of its own, and two controls, which go as one array.
    grid = {"methods": ["average", "rsm", "human", "untrained"]}
    study = ("--config", "study=ci", "seeds=[0]", f"grid={json.dumps(grid)}", "name=on-slurm")
    results = workflow.folder / "results" / "on-slurm"
    receipt = workflow.folder / "results" / "mlflow" / "receipts" / "on-slurm" / "runs-0.json"
    here = [results / "tables" / "main.csv", receipt]  # local rules, with the runs before them

    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    done, disturbed = threading.Event(), dict[str, int]()
    watcher = threading.Thread(
        target=_disturb, args=(cluster, results / "runs", done, disturbed), daemon=True
    )
    watcher.start()
    # The plugin looks again after 2 s, then 12, 22, ..., and after 2 s again once a job has ended.
    quick = ("--slurm-init-seconds-before-status-checks", "2")
    targets = [str(file.relative_to(workflow.folder)) for file in here]
    jobs = workflow.snakemake(
        "--profile", "profiles/slurm", *quick, *study, "--", *targets, fresh=True
    )
    done.set()
    watcher.join()
    assert jobs.returncode == 0, jobs.stdout + jobs.stderr + cluster.logs()
    assert set(disturbed) == set(SEEN), "nothing was killed: the runs were over too soon"
    assert all(file.is_file() for file in here)

    runs = load_study(study_file("ci"), {"seeds": [0], "grid": grid}).runs()
    compared = workflow.folder / "local" / "runs"
    for name, config in runs.items():
        train(config, compared / name)
        assert_same_bits(results / "runs" / name, compared / name)
    rules = {job.partition("_wildcards_")[0] for job in cluster.submitted()}
    assert rules == {"rule_train", "rule_control"}, "what writes tables and MLflow stays here"


def assert_same_bits(run: Path, other: Path) -> None:
    """Policies and every table, but for the columns of wall time."""
    policies = [folder / "policy.safetensors" for folder in (run, other)]
    assert policies[0].exists() == policies[1].exists(), run.name
    if policies[0].exists():
        assert policies[0].read_bytes() == policies[1].read_bytes(), run.name
    for table in TABLES:
        columns = [column for column in TABLES[table] if column != "wall_s"]
        ours, theirs = (
            pd.read_parquet(folder / f"{table}.parquet", columns=columns) for folder in (run, other)
        )
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True, obj=f"{run.name}: {table}")
