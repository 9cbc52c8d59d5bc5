"""A copy of the workflow in a folder of its own, so that tests leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Workflow:
    """Snakemake in a copied checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,  # only for one that hangs
        )


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    for name in ("workflow", "profiles", "rsm"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return Workflow(tmp_path)


def job_counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Rule to number of jobs, from the table that Snakemake prints; empty for nothing to do."""
    assert done.returncode == 0, done.stderr + done.stdout
    lines = iter((done.stdout + done.stderr).splitlines())
    counts: dict[str, int] = {}
    for line in lines:
        if line.startswith("Job stats:"):
            for row in lines:
                words = row.split()
                if len(words) == 2 and words[1].isdigit():
                    counts[words[0]] = int(words[1])
                if words[:1] == ["total"]:
                    return counts
    return counts
