"""Everything in docs/how-to/extending.md works as written, outside a checkout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rsm.config.catalogue import SCENARIOS, ScenarioTraits
from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.scenarios import REGISTRY

from .conftest import ROOT, Installed

PAGE = (ROOT / "docs/how-to/extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?:\*\*`(?P<file>[^`]+)`\*\*\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
BLOCKS = [match.groupdict() for match in BLOCK.finditer(PAGE)]
FILES = {block["file"]: block["text"] for block in BLOCKS if block["file"]}
COMMANDS = [block["text"] for block in BLOCKS if block["kind"] == "bash"]
RESULTS = "results/extended"


def test_page_changes_nothing_of_ours_and_its_method_is_short() -> None:
    assert not any((ROOT / name).exists() for name in FILES if name != "Snakefile")
    assert not any(block["kind"] == "diff" for block in BLOCKS)
    assert len(FILES["rsm-extras/rsm_extras/gossip.py"].splitlines()) < 25
    groups = tomllib.loads(FILES["rsm-extras/pyproject.toml"])["project"]["entry-points"]
    assert all(f"| `{group}` |" in PAGE for group in groups)


def test_ring_of_the_page_is_a_road_in_30_lines_and_jams_without_a_bottleneck() -> None:
    text = FILES["rsm-extras/rsm_extras/ring.py"]
    assert len(text.partition("LENGTH, QUARTERS")[2].splitlines()) < 30
    module: dict[str, Any] = {"__name__": "ring"}
    exec(text, module)
    network = module["road"](30.0, [22]).network
    assert network.closed and network.length == pytest.approx(230, abs=1)
    assert network.meetings == () and len(network.ranges) == 1
    slowest, fastest = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCENARIOS.own, "ring", ScenarioTraits("terminate", horizon=3000))
        patch.setitem(REGISTRY, "ring", replace(module["SCENARIO"], name="ring"))
        with TrafficEnv(Traffic(scenario="ring", observation="gaps")) as env:
            assert env.reset(0).shape == (1, 5)
            for _ in range(3000):
                env.step(None)
                speed = env.vehicles().speed
                slowest.append(speed.min())
                fastest.append(speed.max())
    assert min(slowest[300:900]) > 3, "at first everybody drives"
    assert np.mean(slowest[-300:]) < 0.5 and np.mean(fastest[-300:]) > 6, "then a wave stands"


@pytest.mark.slow
def test_package_of_the_page_goes_through_snakemake(installed: Installed, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for command in (["check"], ["format", "--check"]):
        configured = ["--config", str(ROOT / "pyproject.toml"), "rsm-extras"]
        linted = [sys.executable, "-m", "ruff", *command, *configured]
        done = subprocess.run(linted, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout

    for script in COMMANDS:
        done = installed.run(script, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    results = tmp_path / RESULTS
    rounds = pd.read_parquet(results / "runs/gossip-grid4-seed0/rounds.parquet")
    assert len(rounds) > 0
    assert (rounds["bytes_sent"] > 0).all() and (rounds["links"] == 20).all()  # a grid of 2 × 4
    assert (rounds["refused"] == 0).all()
    main = pd.read_csv(results / "tables/main.csv").set_index("label")
    assert main.loc["gossip", "topology"] == "grid:4"
    assert 0 < main.loc["gossip", "megabytes_sent"] < main.loc["average", "megabytes_sent"]
    assert set(pd.read_csv(results / "tables/runs.csv")["scenario"]) == {"figure-eight-pairs"}
    curves = pd.read_csv(results / "figures/learning_curves.csv")
    assert set(curves["label"]) == {"average", "gossip"}
    drawn = pd.read_csv(results / "figures/overhead.csv").set_index("label")
    assert drawn.loc["gossip", "payload_bytes"] == rounds["payload_bytes"].sum()
    assert all(
        (results / f"figures/overhead.{kind}").stat().st_size > 1000 for kind in ("pdf", "png")
    )
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "What the bytes are" in report and "by what they are" in report
    assert (tmp_path / "rows.txt").read_text().strip() == "3"
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("pairs.png", "ring.png"))
    schema = json.loads((tmp_path / "study.schema.json").read_text(encoding="utf-8"))
    assert "gossip" in schema["$defs"]["Grid"]["properties"]["methods"]["items"]["enum"]
    assert "extends" not in (results / "study.yaml").read_text(encoding="utf-8")

    again = installed.run("snakemake --cores 1", tmp_path)
    assert "Nothing to be done" in again.stdout + again.stderr
    # Without the package its name is unknown, and the study is refused.
    installed.pip("uninstall", "--yes", "rsm-extras")
    gone = installed.run("rsm tables --study extended.yaml || echo $?", tmp_path)
    assert gone.stdout.strip() == "2" and "'gossip' is not allowed: one of" in gone.stderr
