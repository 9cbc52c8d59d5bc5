"""What `make` says before it does anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .conftest import ROOT


def test_ui_without_a_store_says_so_before_it_makes_an_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    # Tests may themselves run below make, which would then tell where it enters and leaves.
    unset = {"MLFLOW_TRACKING_URI", "MAKEFLAGS", "MAKELEVEL"}
    environment = {key: os.environ[key] for key in os.environ if key not in unset}
    done = subprocess.run(
        ["make", "ui"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == "ui: no store yet: run 'make reproduce' first\n"
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]
