"""Runs that begin with policies of other runs: dependencies between jobs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from rsm.config.study import load_study

from .conftest import ROOT, Workflow, job_counts

SOURCES = "results/transfer-source/runs"


def make_sources(workflow: Workflow) -> None:
    """Stand-ins for the policies of the finished study `transfer-source`."""
    for seed in range(5):
        for run in (f"fmarl-seed{seed}", f"rsm-radius90-p4-k3-seed{seed}"):
            policy = workflow.folder / SOURCES / run / "policy.safetensors"
            policy.parent.mkdir(parents=True)
            policy.write_bytes(b"x")


def test_only_runs_that_begin_elsewhere_wait_for_those_policies(workflow: Workflow) -> None:
    make_sources(workflow)
    done = workflow.snakemake("-n", "--config", "study=transfer")
    counts = job_counts(done)
    runs = load_study(ROOT / "workflow/studies/transfer.yaml").runs()
    assert counts["train"] == sum(config.learns for config in runs.values()) == 45
    assert counts["control"] == sum(not config.learns for config in runs.values())
    waits = {}  # run → input of its job
    for job in re.split(r"^rule ", done.stdout, flags=re.M):
        if job.startswith(("train:", "control:")):
            (run,) = re.findall(r"wildcards: run=(\S+)", job)
            waits[run] = re.findall(r"^ *input: (.*)$", job, flags=re.M)
    assert waits.keys() == runs.keys()
    for run, source in (
        ("rsm-radius90-p4-k3-from-fmarl-seed3", "fmarl-seed3"),
        ("untrained-from-rsm-radius90-p4-k3-seed1", "rsm-radius90-p4-k3-seed1"),
        ("rsm-radius90-p4-k3-from-scratch-seed3", None),
        ("go-seed0", None),
    ):
        assert waits[run] == ([f"{SOURCES}/{source}/policy.safetensors"] if source else []), run


def test_missing_source_is_named(workflow: Workflow) -> None:
    done = workflow.snakemake("-n", "--config", "study=transfer")
    assert done.returncode != 0
    assert f"{SOURCES}/fmarl-seed0/policy.safetensors" in done.stdout + done.stderr


@pytest.mark.parametrize("study", ["transfer", "transfer-loss"])
def test_every_source_of_the_study_is_a_run_of_transfer_source(study: str) -> None:
    known = load_study(ROOT / "workflow/studies/transfer-source.yaml").runs()
    for config in load_study(ROOT / f"workflow/studies/{study}.yaml").runs().values():
        if config.begins_from is not None:
            source = known[Path(config.begins_from).name]
            assert str(Path(config.begins_from).parent) == SOURCES
            assert source.sac.hidden == config.sac.hidden and source.seed == config.seed


def test_study_that_measures_its_gate_draws_it_and_others_know_nothing_of_it(
    workflow: Workflow, planned_ci: subprocess.CompletedProcess[str]
) -> None:
    done = workflow.snakemake("-n", "--config", "study=gate-fleet")
    counts = job_counts(done)
    assert counts["gate"] == 1 and counts["train"] == 5
    for file in ("figures/gate.png", "figures/gate.csv", "tables/gate.md"):
        assert f"results/gate-fleet/{file}" in done.stdout
    assert "gate" not in job_counts(planned_ci)
