"""Same seed, same versions: the same bits, whatever else runs and whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rsm.config.loading import dump_yaml

from ..training.run_folders import assert_same_run
from .conftest import ROOT

BUSY = "import torch\nx = torch.randn(500, 500)\nwhile True: x = torch.tanh(x @ x)"


def run(file: Path, folder: Path, **environment: str) -> None:
    base = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "rsm", "train", "--config", str(file), "--out", str(folder)],
        env=base | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_threads_hashes_locale_and_a_busy_machine_change_no_bit(tiny, tmp_path: Path) -> None:
    # Networks large enough that torch would use several threads if it were allowed to.
    config = tiny(
        sac={"hidden": [128, 128], "batch_size": 128, "learning_starts": 20},
        communication={"topology": "small-world:4:0.5", "loss_rate": 0.1},
        training={"episodes": 2},
    )
    file = tmp_path / "run.yaml"
    file.write_text(dump_yaml(config))
    run(file, tmp_path / "plain", PYTHONHASHSEED="0")
    many = {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "2"}
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        run(file, tmp_path / "other", PYTHONHASHSEED="12345", LC_ALL="C", TZ="Asia/Tokyo", **many)
    finally:
        busy.kill()
        busy.wait()
    assert_same_run(tmp_path / "plain", tmp_path / "other")
