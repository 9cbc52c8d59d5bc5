"""`rsm doctor`: every kind of fault is injected once, is found, and comes with advice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest

from rsm.cli import doctor
from rsm.cli.parser import main
from rsm.runs import machine
from rsm.traffic.roads.figure_eight import figure_eight

from .conftest import ROOT

Usage = namedtuple("Usage", "total used free")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = [
    *PROJECT["dependencies"],
    'hypothesis<7,>=6.130; extra == "dev"',
]  # as the metadata of a wheel has them


@pytest.fixture(autouse=True)
def _healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and an environment in which all is well."""
    monkeypatch.chdir(tmp_path)
    for name in (*doctor_variables(), "RSM_CACHE", "RSM_FRAME_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**12))
    monkeypatch.setattr(doctor, "requires", lambda _: REQUIRED)  # tests also run uninstalled
    figure_eight.cache_clear()


def doctor_variables() -> tuple[str, ...]:
    return ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def problems(capsys) -> dict[str, str]:
    """What `rsm doctor` finds wrong: what was examined → what was found and the advice."""
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    found = {}
    for line, advice in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("PROBLEM "):
            what, _, rest = line.removeprefix("PROBLEM ").partition(": ")
            assert advice.strip().startswith("→"), "every problem says what to do"
            found[what] = f"{rest} {advice.strip()}"
    assert code == bool(found)
    return found


def test_everything_is_examined(capsys) -> None:
    main(["doctor"])
    text = capsys.readouterr().out
    for what in (
        *("Python", "torch", "numpy", "libsumo", "netconvert", "traffic", "eclipse-sumo", "mlflow"),
        *("snakemake", "pyarrow", "threads", "disk here", "disk for temporary", "working folder"),
        *("cache of road networks", "RSM_FRAME_KEY", "MLflow store", "torch computes", "processor"),
    ):
        assert f" {what}" in text, what


def test_report_is_markdown_with_the_manifest_and_without_anything_personal(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home/jane doe"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("RSM_CACHE", str(home / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://jane@mlflow.lab.example:5000/secret")
    answer = 'no host "mlflow.lab.example" (10.1.2.3); see /srv/jane/log | http://lab.example/jane'
    monkeypatch.setattr("rsm.tracking.experiments", lambda: (_ for _ in ()).throw(OSError(answer)))
    assert main(["doctor", "--report"]) == 1
    report = capsys.readouterr().out
    for personal in ("jane", "mlflow.lab", "10.1.2.3", str(tmp_path), str(ROOT), "/srv"):
        assert personal not in report, personal
    for fact in ("| rsm | ", "| commit | ", "| machine.capability | ", "| packages.torch | "):
        assert fact in report, fact
    problem = next(line for line in report.splitlines() if "MLflow store" in line)
    assert problem.startswith("| **problem** |") and "see [path] \\| [address]" in problem
    assert "cache of road networks | ~/cache/rsm/networks |" in report
    for row in (line for line in report.splitlines() if line.startswith("|")):
        assert row.replace("\\|", "").count("|") in (3, 4), row


def test_old_python(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 2, "final", 0))
    assert "PYTHON=python3.11" in problems(capsys)["Python"]


def test_version_that_is_not_the_pinned_one(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "0.1" if name == "torch" else real(name))
    found = problems(capsys)
    assert "0.1 → pinned is" in found["torch"] and "make setup" in found["torch"]


def test_package_that_is_not_there(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "mlflow":
            raise doctor.PackageNotFoundError
        return "1"

    monkeypatch.setattr(doctor, "version", version)
    assert "not installed" in problems(capsys)["mlflow"]


def test_every_dependency_is_compared_with_its_pin_and_no_extra(
    capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", lambda _: "0.0.1")
    found = problems(capsys)
    for name in ("pyyaml", "pillow", "sqlalchemy", "imageio-ffmpeg", "tabulate", "tqdm", "traci"):
        assert "0.0.1 → pinned is" in found[name], name
    assert len(doctor.direct()) == len(PROJECT["dependencies"]) and "hypothesis" not in found


def test_rsm_that_is_not_installed(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(_: str) -> list[str]:
        raise doctor.PackageNotFoundError

    monkeypatch.setattr(doctor, "requires", requires)
    found = problems(capsys)
    assert "not installed" in found["packages"] and "make setup" in found["packages"]


def test_missing_pins(capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "shipped", lambda name: tmp_path / name)
    assert "checkout" in problems(capsys)["constraints.txt"]


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("torch", "torch computes"),
        ("libsumo", "libsumo"),
        ("sumo", "netconvert"),
        ("numpy", "traffic"),
    ],
)
def test_package_that_cannot_be_loaded_is_a_finding_and_no_traceback(
    module: str, what: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken" / module
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('lib.so.1: cannot open shared object')")
    path = f"{broken.parent}{os.pathsep}{ROOT}"
    environment = os.environ | {"PYTHONPATH": path, "RSM_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "rsm", "doctor"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"PROBLEM {what}: " in done.stdout, done.stdout
    assert "make setup" in done.stdout.split(f"PROBLEM {what}")[1].splitlines()[1]


def test_netconvert_that_does_not_start(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("rsm.traffic.netconvert.netconvert_binary", lambda: tmp_path / "netconvert")
    monkeypatch.setenv("RSM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "netconvert").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "netconvert").chmod(0o755)
    found = problems(capsys)
    assert "make setup" in found["netconvert"] and "netconvert failed" in found["traffic"]


def test_damaged_road_network(capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSM_CACHE", str(tmp_path / "cache"))
    file = figure_eight(30.0).file
    figure_eight.cache_clear()
    for network in file.parent.iterdir():
        network.write_text("<net>")
    monkeypatch.setattr("rsm.traffic.netconvert.build_network", lambda _: file)
    assert f"remove {file.parent} and try again" in problems(capsys)["traffic"]


def test_disk_that_is_nearly_full(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 10**6))
    found = problems(capsys)
    assert "free some" in found["disk here"] and "free some" in found["disk for temporary files"]


def test_folder_that_cannot_be_written(
    capsys, monkeypatch: pytest.MonkeyPatch, read_only: Path
) -> None:
    monkeypatch.chdir(read_only)
    assert "write permission" in problems(capsys)["working folder"]


@pytest.mark.parametrize("name", doctor_variables())
@pytest.mark.parametrize("value", ["8", "many", ""])
def test_threads(name: str, value: str, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert f"unset {name}" in problems(capsys)[f"threads of a job ({name})"]


def test_cache_that_cannot_be_used(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSM_CACHE", "/dev/null")
    assert "/dev/null" in problems(capsys)["cache of road networks"]


def test_key_that_is_none(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSM_FRAME_KEY", "hush")
    found = problems(capsys)["RSM_FRAME_KEY"]
    assert "hexadecimal" in found and "hush" not in found


@pytest.mark.parametrize("uri", ["nonsense", "http://127.0.0.1:9"])
def test_store_that_does_not_answer(uri: str, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "rsm sync" in problems(capsys)["MLflow store"]


def test_store_that_is_damaged(capsys, tmp_path: Path) -> None:
    store = tmp_path / "results/mlflow/mlflow.db"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"not SQLite at all" * 99)
    assert "rsm sync" in problems(capsys)["MLflow store"]


def test_machine_in_order_has_no_problem_of_its_own(capsys) -> None:
    """Versions apart: those of this environment may differ from the pins."""
    assert not set(problems(capsys)) - set(doctor.direct())


def test_instructions_that_are_not_those_of_the_processor(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, name in enumerate(("AVX9", "AVX9", machine.cpu_capability())):
        run = tmp_path / f"results/study/runs/run{number}"
        run.mkdir(parents=True)
        (run / "manifest.json").write_text(json.dumps({"machine": {"capability": name}}))
    (run / "../older").mkdir()
    (run / "../older/manifest.json").write_text(json.dumps({"machine": {"cpu": "x"}}))
    assert "instructions of the processor" not in problems(capsys), "nobody can mend a processor"
    main(["doctor"])
    assert (
        "2 runs here were made with AVX9: their results differ bitwise" in capsys.readouterr().out
    )
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert "unset ATEN_CPU_CAPABILITY" in problems(capsys)["instructions of the processor"]


def test_home_folder_that_cannot_be_written_matters_without_the_profile(
    capsys, monkeypatch: pytest.MonkeyPatch, read_only: Path
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(read_only))
    assert "export XDG_CACHE_HOME=" in problems(capsys)["cache of Snakemake"]
    shutil.copytree(ROOT / "profiles", "profiles")  # the profile needs no cache there
    assert "cache of Snakemake" not in problems(capsys)


def test_cores_are_those_of_the_container(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.0)
    main(["doctor"])
    assert ", 1 usable cores" in capsys.readouterr().out
