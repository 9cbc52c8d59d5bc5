import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.runs import manifest as module
from rsm.runs.machine import cpu_capability
from rsm.runs.manifest import manifest
from rsm.traffic.simulation import import_libsumo

ROOT = Path(__file__).parents[2]


def git(folder, *arguments):
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *who, *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def repository(folder):
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    (folder / "file").write_text("x")
    git(folder, "add", "file")
    git(folder, "commit", "-qm", "theirs")


def test_manifest_does_not_call_clean_what_git_says_nothing_of(tiny, monkeypatch):
    for answer, dirty in ((None, None), ("", False), (" M rsm/training/loop.py", True)):
        monkeypatch.setattr("rsm.runs.manifest.git", lambda *_, answer=answer: answer)
        assert manifest(tiny())["dirty"] is dirty


def test_commit_of_a_repository_around_us_is_not_ours(tiny, tmp_path, monkeypatch):
    """As where rsm is installed into the environment of another project."""
    repository(tmp_path)
    packages = tmp_path / ".venv/lib/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(module, "checkout", lambda: packages)
    content = manifest(tiny())
    assert content["commit"] is None and content["dirty"] is None


def test_commit_is_not_that_of_a_repository_that_the_environment_names(tiny, tmp_path, monkeypatch):
    """As where rsm is started by a git hook of another repository."""
    for name in ("ours", "theirs"):
        repository(tmp_path / name)
    (tmp_path / "ours/file").write_text("y")
    monkeypatch.setattr(module, "checkout", lambda: tmp_path / "ours")
    ours = manifest(tiny())
    git(tmp_path / "theirs", "commit", "-q", "--amend", "-m", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs/.git"))
    theirs = manifest(tiny())
    assert ours["commit"] and theirs["commit"] == ours["commit"] and theirs["dirty"] is True


def test_versions_are_those_of_what_is_loaded(tiny, monkeypatch):
    real = module.version
    monkeypatch.setattr(module, "version", lambda name: "0.1" if name == "torch" else real(name))
    libsumo = import_libsumo()
    monkeypatch.setattr(libsumo, "getVersion", lambda: (20, "SUMO 1.20.0"))
    packages = manifest(tiny())["packages"]
    assert packages["libsumo"] == "1.20.0"
    assert packages["torch"] == sys.modules["torch"].__version__


def test_capability_of_the_processor_is_recorded(tiny):
    assert manifest(tiny())["machine"]["capability"] == cpu_capability()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "evaluate", "doctor"])
def test_another_libsumo_first_on_the_path_is_refused(command, tmp_path):
    other = tmp_path / "tools/libsumo"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("def getVersion():\n    return 20, 'SUMO 1.20.0'\n")
    (tmp_path / "run.yaml").write_text("method: go")
    arguments = {
        "train": ["--config", "run.yaml", "--out", "out"],
        "evaluate": ["--scenario", "figure-eight", "--controller", "go"],
        "doctor": [],
    }[command]
    path = os.pathsep.join([str(other.parent), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "rsm", command, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    )
    said = done.stdout + done.stderr
    assert done.returncode == (1 if command == "doctor" else 2), said
    assert "libsumo 1.20.0 is loaded from" in said and str(other.parent) in said
    assert "Traceback" not in said and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_another_sumo_first_on_the_path_builds_no_road(tmp_path):
    import sumo

    other = tmp_path / "tools/sumo"
    (other / "bin").mkdir(parents=True)
    shutil.copy(Path(sumo.SUMO_HOME) / "bin/netconvert", other / "bin/netconvert")
    (other / "__init__.py").write_text("import os\nSUMO_HOME = os.path.dirname(__file__)\n")
    path = os.pathsep.join([str(other.parent), str(ROOT)])
    drive = ["evaluate", "--scenario", "figure-eight", "--controller", "go", "--episodes", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "rsm", *drive],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "RSM_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert "SUMO is taken from" in line and str(other) in line
