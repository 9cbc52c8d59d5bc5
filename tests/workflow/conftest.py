"""A copy of the workflow in a folder of its own, so that tests leave nothing behind."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from functools import cache
from pathlib import Path

import pytest

from ..forking import Server

ROOT = Path(__file__).parents[2]


@cache
def warm() -> Server:
    """A process that has loaded Snakemake, which takes longer than most calls of it."""
    server = Server("tests.workflow.warm")
    atexit.register(server.close)
    return server


class Workflow:
    """Snakemake in a copied checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str, fresh: bool = False) -> subprocess.CompletedProcess[str]:
        """One call; `fresh` in a process of its own, where what counts is read as Snakemake is loaded."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        if fresh:
            return subprocess.run(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=1800,  # only reached if it hangs
            )
        with tempfile.TemporaryDirectory() as written:
            files = {name: os.path.join(written, name) for name in ("output", "errors")}
            request = {
                "arguments": arguments, "folder": str(self.folder), "environment": environment
            }  # fmt: skip
            code = warm().run(request | files)
            said = [Path(file).read_text(encoding="utf-8") for file in files.values()]
        return subprocess.CompletedProcess(list(arguments), code, *said)


def checkout(folder: Path) -> Workflow:
    """A copy of what a study needs; compiled modules too, which would be compiled again by each test."""
    for name in ("workflow", "profiles", "rsm"):
        being_written = shutil.ignore_patterns("*.pyc.*")  # by a worker beside this one
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    return Workflow(folder)


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return checkout(tmp_path)


@pytest.fixture(scope="session")
def planned_ci(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A dry run of the study `ci`."""
    done = checkout(tmp_path_factory.mktemp("ci")).snakemake("-n", "--config", "study=ci")
    assert done.returncode == 0, done.stderr
    return done


class Installed:
    """An environment where rsm is installed from its wheel, beside the packages of this one."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        venv.create(folder, symlinks=True)
        self.pip("install", "--no-index", "--no-deps", str(wheel))
        # A line of a .pth file is a path to search; what lies in it (an editable rsm) is not executed.
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        snakemake = self.bin / "snakemake"
        snakemake.write_text(f'#!/bin/sh\nexec {self.bin}/python -m snakemake "$@"\n')
        snakemake.chmod(0o755)

    def pip(self, *arguments: str) -> None:
        """Run the pip of the test environment on this one."""
        command = [sys.executable, "-m", "pip", "--python", str(self.bin / "python")]
        subprocess.run([*command, "--quiet", *arguments], check=True, timeout=600)

    def run(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """A shell script in a folder."""
        path = os.pathsep.join([str(self.bin), "/usr/local/bin", "/usr/bin", "/bin"])
        kept = {key: value for key, value in os.environ.items() if key not in NOT_KEPT}
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0: none
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=folder,
            env=kept | pip | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=1800,
        )


NOT_KEPT = ("PYTHONPATH", "MLFLOW_TRACKING_URI", "VIRTUAL_ENV")
PACKED = (
    "rsm", "workflow", "profiles", "Snakefile", "environment.yml", "constraints.txt", "constraints-torch.txt",
    "pyproject.toml", "README.md", "LICENSE", "results/committed",
)  # fmt: skip


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree in an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"  # a copy, so that the build writes nothing into the checkout
    for name in PACKED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True, timeout=600)
    (wheel,) = folder.glob("*.whl")
    return Installed(folder / "env", wheel)


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
