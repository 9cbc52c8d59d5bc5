"""A process that has loaded training, run by tests.forking; not a test itself.

A request has the `arguments` of an rsm command, a `log` for its output, `environment` laid upon ours,
`every_episode` to checkpoint after each, and `fault`: [function of os, number of the call, errno or "kill"].
"""

import os
import signal
from typing import Any

import torch

torch.set_num_threads(1)

from rsm.cli import parser as cli  # noqa: E402
from rsm.runs import checkpoint  # noqa: E402
from rsm.traffic.simulation import import_libsumo  # noqa: E402
from rsm.training import run as training  # noqa: E402, F401
from tests.forking import serve  # noqa: E402

import_libsumo()


def inject(function: str, number: int, what: int | str) -> None:
    """Let the `number`-th call of os.<function> fail with an errno, or end this process."""
    real, calls = getattr(os, function), 0

    def faulty(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if calls >= number and isinstance(what, int):
            raise OSError(what, os.strerror(what))
        return real(*arguments, **options)

    setattr(os, function, faulty)


def call(request: dict[str, Any]) -> int:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request.get("environment", {}))
    if request.get("every_episode"):
        checkpoint.COST = float("inf")
    if "fault" in request:
        inject(*request["fault"])
    return cli.main(request["arguments"])


serve(call)
