"""The theory study through Snakemake: what it would run, and that its rules are clean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.theory import FIGURES, TABLES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("workflow", "profiles", "rsm"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,  # only for one that hangs
    )


def test_theory_study_trains_its_grid_and_its_variations_and_writes_every_file(checkout):
    done = snakemake(checkout, "-n", "--config", "study=theory")
    assert done.returncode == 0, done.stderr
    counts = {
        words[0]: int(words[1])
        for line in done.stdout.splitlines()
        if len(words := line.split()) == 2 and words[1].isdigit()
    }
    assert counts["train"] == 20 and counts["train_variation"] == 18
    assert counts["theory_exact"] == counts["theory_estimators"] == counts["theory_training"] == 1
    for place, kinds, names in (
        ("figures", ("pdf", "png", "csv"), FIGURES),
        ("tables", ("csv", "md"), TABLES),
    ):
        for name in (name for part in names.values() for name in part):
            for kind in kinds:
                assert f"results/theory/{place}/{name}.{kind}" in done.stdout


def test_other_studies_know_nothing_of_it(checkout):
    done = snakemake(checkout, "-n", "--config", "study=ci")
    assert done.returncode == 0, done.stderr
    assert "theory" not in done.stdout


def test_mistake_in_the_variations_is_one_line_and_exit_code_2(checkout):
    file = checkout / "workflow/studies/theory/variations.yaml"
    file.write_text("faster: {sac: {gama: 0.5}}\n", encoding="utf-8")
    done = snakemake(checkout, "-n", "--config", "study=theory")
    assert done.returncode == 2
    assert "faster: sac.gama: unknown key" in done.stderr and "Traceback" not in done.stderr
    assert not (checkout / "results").exists()


def test_rules_of_the_theory_study_pass_the_linter(checkout):
    done = snakemake(checkout, "--lint", "--config", "study=theory")
    assert done.returncode == 0, done.stdout + done.stderr
