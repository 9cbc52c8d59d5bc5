"""docs/extending.md is done as it is written, on a copy of the tree, down to the last figure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from .conftest import ROOT, Workflow

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?:\*\*`(?P<file>[^`]+)`\*\*\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
BLOCKS = [match.groupdict() for match in BLOCK.finditer(PAGE)]
COMMANDS = [block["text"] for block in BLOCKS if block["kind"] == "bash"]
CHANGES = [block for block in BLOCKS if block["kind"] != "bash"]


def patched(text: str, diff: str) -> str:
    """A file after a diff whose lines without `+` stand in it exactly once."""
    lines = diff.splitlines(keepends=True)
    assert {line[0] for line in lines} <= set(" +-"), diff
    before = "".join(line[1:] for line in lines if line[0] in " -")
    assert text.count(before) == 1, f"the page is out of date: {before!r}"
    return text.replace(before, "".join(line[1:] for line in lines if line[0] in " +"))


def apply(blocks: list[dict[str, str]], folder: Path) -> None:
    for block in blocks:
        path, text = folder / block["file"], block["text"]
        if block["kind"] == "diff":
            text = patched(path.read_text(encoding="utf-8"), text)
        else:
            assert not path.exists(), f"{block['file']} is not new"
        path.write_text(text, encoding="utf-8")


def test_method_of_the_page_is_a_short_file_and_one_line() -> None:
    section = PAGE.split("\n## A method\n")[1].split("\n## ")[0]
    code, registry = [match.groupdict() for match in BLOCK.finditer(section)]
    assert code["file"] == "rsm/methods/gossip.py"
    assert len(code["text"].splitlines()) < 40
    assert registry["file"] == "rsm/config/catalogue.py"
    assert [line[0] for line in registry["text"].splitlines()] == [" ", "+"]


@pytest.mark.slow
def test_method_topology_scenario_and_figure_of_the_page_go_through_snakemake(
    workflow: Workflow,
) -> None:
    folder, programs = workflow.folder, Path(sys.executable).parent
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    apply(CHANGES, folder)
    for command in (["check"], ["format", "--check"]):
        linted = [sys.executable, "-m", "ruff", *command, "rsm"]
        done = subprocess.run(linted, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout

    # The environment that `make setup` would find to be there.
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(programs)
    (folder / ".venv/.setup-done").touch()
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(folder)
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    for script in COMMANDS:
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    results = folder / "results/extended"
    run = results / "runs/gossip-grid4-seed0"
    rounds = pd.read_parquet(run / "rounds.parquet")
    assert len(rounds) > 0
    assert (rounds["bytes_sent"] > 0).all() and (rounds["links"] == 20).all()  # a grid of 2 × 4
    exchange = pd.read_parquet(run / "exchange.parquet")
    assert exchange["payload_bytes"].sum() == rounds["payload_bytes"].sum() > 0
    assert (rounds["refused"] == 0).all(), "the two of a pair expect each other's frames"

    main = pd.read_csv(results / "tables/main.csv").set_index("label")
    assert main.loc["gossip", "topology"] == "grid:4"
    assert 0 < main.loc["gossip", "megabytes_sent"] < main.loc["average", "megabytes_sent"]
    assert "grid 4" in (results / "tables/main.md").read_text(encoding="utf-8")
    summary = pd.read_csv(results / "tables/runs.csv")
    assert set(summary["scenario"]) == {"figure-eight-pairs"}
    assert set(pd.read_csv(results / "figures/learning_curves.csv")["label"]) == {
        "average",
        "gossip",
    }
    drawn = pd.read_csv(results / "figures/overhead.csv").set_index("label")
    assert drawn.loc["gossip", "payload_bytes"] == rounds["payload_bytes"].sum()
    for kind in ("pdf", "png"):
        assert (results / f"figures/overhead.{kind}").stat().st_size > 1000
    assert "by what they are" in (results / "report.html").read_text(encoding="utf-8")
