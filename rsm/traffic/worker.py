"""A TrafficEnv in a process of its own, so that several can be stepped in turns.

libsumo holds one simulation per process. The training loop steps one environment per process and
needs none of this; the PettingZoo interface does, since its users expect to hold many.

`python -m rsm.traffic.worker` reads pickled (method, arguments) from standard input and answers
with pickled (succeeded, result) until its input ends. Both ends are this module.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from typing import Any, BinaryIO

from rsm.config.learning import Traffic


class RemoteEnv:
    """The methods of a TrafficEnv, called by name in a child process."""

    def __init__(self, traffic: Traffic) -> None:
        """Start the process; raises what TrafficEnv raises."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rsm.traffic.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        try:
            self.call("__init__", traffic.model_dump())
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> Any:
        """The method's result; an exception of the child is raised here."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, (method, arguments))
            succeeded, result = pickle.load(process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            raise RuntimeError("the traffic process has ended; make a new environment") from None
        if not succeeded:
            raise result
        return result

    def close(self) -> None:
        """End the process; may be called twice."""
        process = self.process
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                with contextlib.suppress(
                    OSError
                ):  # the child ended with a request still in the pipe
                    stream.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __del__(self) -> None:
        """Leave no process behind."""
        if hasattr(self, "process"):
            self.close()


def send(stream: BinaryIO | Any, message: object) -> None:
    """One pickled message, at once."""
    stream.write(pickle.dumps(message))
    stream.flush()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends."""
    from rsm.traffic.environment import TrafficEnv

    environment: TrafficEnv | None = None
    try:
        while True:
            try:
                method, arguments = pickle.load(requests)
            except EOFError:
                return
            try:
                result: object = None
                if method == "__init__":
                    environment = TrafficEnv(Traffic(**arguments[0]))
                else:
                    result = getattr(environment, method)(*arguments)
                send(answers, (True, result))
            except Exception as error:
                send(answers, (False, error))
    except BrokenPipeError:
        return
    finally:
        if environment is not None:
            environment.close()


if __name__ == "__main__":
    # The answers get a descriptor of their own: whatever SUMO prints goes to standard error.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, channel)
