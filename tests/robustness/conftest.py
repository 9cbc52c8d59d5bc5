"""Fixtures for faults: a preloaded process to kill, small file systems, folders that cannot be written."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..forking import Job, Server

ROOT = Path(__file__).parents[2]


class Warm:
    """`rsm` commands forked from a process that has imported everything."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._server = Server("tests.robustness.warm", OMP_NUM_THREADS="1")
        self.close = self._server.close

    def start(self, *arguments: object, **request: Any) -> Job:
        """Start `rsm <arguments>`."""
        return self._server.start(self._request(arguments, request))

    def run(self, *arguments: object, **request: Any) -> int:
        """Run `rsm <arguments>` to its end; the exit code."""
        return self._server.run(self._request(arguments, request))

    def _request(self, arguments: tuple[object, ...], request: dict[str, Any]) -> dict[str, Any]:
        self.log.write_text("")
        return request | {"arguments": [str(word) for word in arguments], "log": str(self.log)}

    @property
    def output(self) -> list[str]:
        """The lines that the last command printed."""
        return self.log.read_text(errors="replace").splitlines()


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    server = Warm(tmp_path_factory.mktemp("warm") / "log")
    yield server
    server.close()


def mount(folder: Path, *options: str) -> None:
    """Mount a temporary file system, or change one; skips the test where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"mount is not there: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount(folder, "size=400k")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that not even root can write to, `there/` being in it."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount(folder, "size=1m")
    (folder / "there").mkdir()
    mount(folder, "remount,ro")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
