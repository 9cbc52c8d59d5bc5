"""File systems without some features, and NaN in summaries."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest

from rsm.analysis.load import load_runs
from rsm.config.run import RunConfig
from rsm.config.study import parse_study
from rsm.errors import ConfigError
from rsm.runs.files import write_text
from rsm.runs.folder import alone_in, finished_summary
from rsm.tracking import publish


@pytest.mark.parametrize("call", ["chmod", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL])
def test_file_system_without_modes_or_flushing_is_written_to(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)
    write_text(tmp_path / "file", "content")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["content"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
def test_file_system_without_locks_holds_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Lustre without the option flock, and NFS, which locks no folder that is open for reading."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    with alone_in(tmp_path):
        write_text(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_return_that_is_no_number_is_no_result(word: str, tmp_path: Path) -> None:
    """Python writes and reads NaN in JSON; whoever reads a summary must not take it for a number."""
    config = RunConfig(method="go")
    study = parse_study(
        {"name": "odd", "description": "d", "seeds": [0], "grid": {"methods": ["go"]}}, "odd"
    )
    folder = tmp_path / "runs" / config.run_id
    folder.mkdir(parents=True)
    content = {"run_id": config.run_id, "cell": "go", "seed": 0, "status": "finished"}
    content |= {"settings_hash": config.settings_hash, "final_return": None}
    text = json.dumps(content).replace("null", word)
    (folder / "summary.json").write_text(text)
    assert finished_summary(folder, config) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        load_runs(study, tmp_path / "runs")
    with pytest.raises(ConfigError, match="cannot be read"):
        publish(folder, "odd")
