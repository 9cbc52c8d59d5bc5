"""Calls forked from a process that has loaded what takes long to load: milliseconds, not seconds, to start.

`Server` is the side of the tests. A module that it runs loads, and ends with `serve(call)`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def serve(call: Callable[[dict[str, Any]], int]) -> None:
    """Fork a process per line of JSON that leaves with the code of `call`, or of its SystemExit.

    Answers, a line each: the process id, then the exit code (negative: the signal).
    """
    # What is loaded stays, and its pages are shared as long as nobody searches it for garbage.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            code: Any = 70
            try:
                code = call(json.loads(line))
            except SystemExit as stop:
                code = stop.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else int(code is not None))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


class Job:
    """A forked call: its process, and its exit code once it has ended."""

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


class Server:
    """The process, of a module of the tests, such as tests.workflow.warm; one call at a time."""

    def __init__(self, module: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def start(self, request: dict[str, Any]) -> Job:
        """Start a call; `request` is what the module's own function takes."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Job(int(self._process.stdout.readline()), self._process.stdout)

    def run(self, request: dict[str, Any]) -> int:
        """A call to its end; the exit code."""
        code = self.start(request).wait()
        assert code is not None
        return code

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=600)
