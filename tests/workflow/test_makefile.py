"""What `make` runs, and what it says before it does anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .conftest import ROOT


def test_study_runs_on_the_cores_that_this_process_may_use(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "constraints-torch.txt", ".venv/.setup-done"):
        (tmp_path / name).touch()
    for name, does in (("python", "echo 5"), ("snakemake", 'echo "$@" > asked')):
        command = tmp_path / ".venv/bin" / name
        command.write_text(f"#!/bin/sh\n{does}\n")
        command.chmod(0o755)
    subprocess.run(["make", "reproduce", "CONFIG=seeds=[0]"], cwd=tmp_path, check=True)
    assert (tmp_path / "asked").read_text() == "--cores 5 --config study=quick seeds=[0]\n"


def test_ui_without_a_store_says_so_before_it_makes_an_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    # Tests may themselves run below make, and a nested make would print the folders it enters and leaves.
    unset = {"MLFLOW_TRACKING_URI", "MAKEFLAGS", "MAKELEVEL"}
    environment = {key: os.environ[key] for key in os.environ if key not in unset}
    done = subprocess.run(
        ["make", "ui"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == "ui: there is no MLflow store yet; run 'make reproduce' first\n"
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]
