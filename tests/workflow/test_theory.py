"""The theory study through Snakemake: which jobs it has. Its rules pass the linter in `make lint`."""

from __future__ import annotations

import subprocess

import pytest

from rsm.theory import FIGURES, OF_THEORY, TABLES

from .conftest import Workflow, job_counts


def test_theory_study_trains_its_grid_and_its_variations_and_writes_every_file(
    workflow: Workflow,
) -> None:
    done = workflow.snakemake("-n", "--config", "study=./workflow/studies/theory.yaml")
    counts = job_counts(done)
    assert counts["train"] == 20 and counts["train_variation"] == 18
    assert counts["theory_exact"] == counts["theory_estimators"] == counts["theory_training"] == 1
    for place, kinds, names in (
        ("figures", ("pdf", "png", "csv"), FIGURES),
        ("tables", ("csv", "md"), TABLES),
    ):
        for name in (name for part in OF_THEORY for name in names[part]):
            for kind in kinds:
                assert f"results/theory/{place}/{name}.{kind}" in done.stdout


@pytest.mark.parametrize(
    "target", ["results/theory/report.html", "results/mlflow/receipts/theory/results.json"]
)
def test_whoever_gathers_its_figures_waits_for_all_of_them(workflow: Workflow, target: str) -> None:
    done = workflow.snakemake("-n", target, "--config", "study=theory")
    counts = job_counts(done)
    assert counts["theory_exact"] == counts["theory_estimators"] == counts["theory_training"] == 1


def test_other_studies_know_nothing_of_it(planned_ci: subprocess.CompletedProcess[str]) -> None:
    assert "theory" not in planned_ci.stdout


def test_it_keeps_its_parts_under_another_name_and_gives_them_to_no_other(
    workflow: Workflow,
) -> None:
    done = workflow.snakemake("-n", "--config", "study=theory", "name=pilot")
    counts = job_counts(done)
    assert counts["theory_exact"] == counts["theory_training"] == 1
    assert counts["train_variation"] == 18 and "results/theory" not in done.stdout
    other = workflow.snakemake("-n", "--config", "study=ci", "name=theory")
    assert other.returncode == 0 and "theory_exact" not in job_counts(other)


def test_mistake_in_the_variations_is_one_line_and_exit_code_2(workflow: Workflow) -> None:
    file = workflow.folder / "workflow/studies/theory/variations.yaml"
    file.write_text("faster: {sac: {gama: 0.5}}\n", encoding="utf-8")
    done = workflow.snakemake("-n", "--config", "study=theory")
    assert done.returncode == 2
    assert "faster: sac.gama: unknown key" in done.stderr and "Traceback" not in done.stderr
    assert not (workflow.folder / "results").exists()
