"""Fixtures for faults: a preloaded process to kill, small file systems, folders that cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Job:
    """A forked command: its process, and its exit code once it has ended."""

    def __init__(self, process: int, answers: Any) -> None:
        self.process, self.code = process, None
        self._reader = threading.Thread(target=self._wait, args=(answers,))
        self._reader.start()

    def _wait(self, answers: Any) -> None:
        self.code = int(answers.readline())

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, None if it has not ended by then."""
        self._reader.join(timeout)
        return self.code

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code (negative: the signal)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, number)
        code = self.wait(600)
        assert code is not None, "the process outlived its signal"
        return code


class Warm:
    """Commands forked from a process that has imported everything: milliseconds, not seconds, to start."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def start(self, *arguments: object, **request: Any) -> Job:
        """Start `rsm <arguments>`."""
        assert self._server.stdin and self._server.stdout
        self.log.write_text("")
        request |= {"arguments": [str(word) for word in arguments], "log": str(self.log)}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Job(int(self._server.stdout.readline()), self._server.stdout)

    def run(self, *arguments: object, **request: Any) -> int:
        """Run `rsm <arguments>` to its end; the exit code."""
        code = self.start(*arguments, **request).wait()
        assert code is not None
        return code

    @property
    def output(self) -> list[str]:
        """The lines that the last command printed."""
        return self.log.read_text(errors="replace").splitlines()

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(timeout=600)


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
