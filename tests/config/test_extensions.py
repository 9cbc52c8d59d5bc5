"""Names that installed packages add: when they are loaded, and how errors in a package are reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAITS = "from rsm.config.catalogue import MethodTraits, ScenarioTraits, TopologyTraits\n"
STUDY = """
name: own
description: ""
seeds: [0]
grid: {methods: [gossip], topologies: ["grid:3"]}
run: {traffic: {scenario: pairs}}
"""

Rsm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rsm(tmp_path: Path) -> Rsm:
    """`rsm` in a process of its own, where packages of `install` are installed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
        return subprocess.run(
            [sys.executable, "-m", "rsm", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    return run


def install(folder: Path, package: str, entry_points: dict[str, str], code: str) -> None:
    """Install a package of one module, as pip would leave it."""
    info = folder / "site" / f"{package}-1.dist-info"
    info.mkdir(parents=True)
    about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n"
    (info / "METADATA").write_text(about, encoding="utf-8")
    groups = "".join(f"[{group}]\n{line}\n" for group, line in entry_points.items())
    (info / "entry_points.txt").write_text(groups, encoding="utf-8")
    (folder / "site" / f"{package}.py").write_text(code, encoding="utf-8")


GOOD = TRAITS + (
    "import rsm.config.study, rsm.exchange.topology, rsm.methods.context, rsm.traffic.scenarios\n"
    "GOSSIP = MethodTraits(module='outside', topology=True)\n"
    "GRID = TopologyTraits(numbers=('columns',), module='outside')\n"
    "PAIRS = ScenarioTraits(collision='teleport', module='outside')\n"
)
GROUPS = {
    "rsm.methods": "gossip = outside:GOSSIP",
    "rsm.topologies": "grid = outside:GRID",
    "rsm.scenarios": "pairs = outside:PAIRS",
}


def resolve(rsm: Rsm) -> subprocess.CompletedProcess[str]:
    return rsm("resolve", "--study", "own.yaml", "--out", "resolved.yaml")


@pytest.mark.slow
def test_names_of_a_package_that_imports_rsm_itself_are_settings(tmp_path: Path, rsm: Rsm) -> None:
    install(tmp_path, "outside", GROUPS, GOOD)
    done = resolve(rsm)
    assert done.returncode == 0, done.stderr
    schema = json.loads(rsm("schema").stdout)
    assert "gossip" in schema["$defs"]["Grid"]["properties"]["methods"]["items"]["enum"]
    assert "grid" in schema["$defs"]["Communication"]["properties"]["topology"]["pattern"]
    assert "pairs" in str(schema["$defs"]["Traffic"]["properties"]["scenario"])


def test_names_of_a_package_that_is_not_installed_are_refused(rsm: Rsm) -> None:
    done = resolve(rsm)
    assert done.returncode == 2
    assert "'gossip' is not allowed: one of independent, average" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "code", "expected"),
    [
        ({"rsm.methods": "rsm = outside:GOSSIP"}, GOOD, "rsm: the name is one of rsm itself"),
        (
            {"rsm.methods": "Big_One = outside:GOSSIP"},
            GOOD,
            "Big_One: the name must be of the form",
        ),
        ({"rsm.methods": "gossip = nowhere:GOSSIP"}, GOOD, "gossip: cannot be loaded: ModuleNotF"),
        ({"rsm.scenarios": "pairs = outside:GRID"}, GOOD, "pairs: .* a ScenarioTraits is expected"),
        ({}, "1 / 0", "grid: cannot be loaded: ZeroDivisionError: division by zero"),
    ],
    ids=["clash", "name", "module", "object", "code"],
)
def test_mistake_of_a_package_is_one_line_that_names_it(
    tmp_path: Path, rsm: Rsm, changed: dict[str, str], code: str, expected: str
) -> None:
    install(tmp_path, "outside", GROUPS | changed, code)
    done = resolve(rsm)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("rsm: package outside: entry point rsm.")
    assert expected.split(".*")[0] in line and expected.split(".*")[-1] in line, line


def test_two_packages_with_one_name_are_told_apart_by_nobody(tmp_path: Path, rsm: Rsm) -> None:
    install(tmp_path, "outside", GROUPS, GOOD)
    install(tmp_path, "other", {"rsm.methods": "gossip = outside:GOSSIP"}, "")
    done = resolve(rsm)
    assert done.returncode == 2
    assert "gossip: package " in done.stderr and "has it too" in done.stderr


def test_broken_package_does_not_stop_what_does_not_use_it(tmp_path: Path, rsm: Rsm) -> None:
    install(tmp_path, "outside", {"rsm.methods": "gossip = outside:GOSSIP"}, "1 / 0")
    done = rsm("resolve", "--study", str(ROOT / "workflow/studies/ci.yaml"), "--out", "ci.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_method_without_its_two_functions_is_named(tmp_path: Path, rsm: Rsm) -> None:
    install(tmp_path, "outside", {"rsm.methods": "gossip = outside:GOSSIP"}, GOOD)
    (tmp_path / "run.yaml").write_text("method: gossip\n", encoding="utf-8")
    done = rsm("train", "--config", "run.yaml", "--out", "run")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert (
        line
        == "rsm: package outside: entry point rsm.methods: gossip: its module outside has no 'ask'"
    )
