"""A preloaded process that forks one `rsm` command per request; not a test itself.

A request is a line of JSON: `arguments` of the command, `log` for its output, `environment` laid upon ours,
`every_episode` to checkpoint after each, and `fault`: [function of os, number of the call, errno or "kill"].
Answers, a line each: the process id, then the exit code (negative: the signal).
"""

import json
import os
import signal
import sys

import torch

torch.set_num_threads(1)

from rsm.cli import parser as cli  # noqa: E402
from rsm.runs import checkpoint  # noqa: E402
from rsm.traffic.simulation import import_libsumo  # noqa: E402
from rsm.training import run as training  # noqa: E402, F401

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


def job(request: dict) -> int:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request.get("environment", {}))
    if request.get("every_episode"):
        checkpoint.COST = float("inf")
    if "fault" in request:
        inject(*request["fault"])
    try:
        return cli.main(request["arguments"])
    except SystemExit as stop:
        return int(stop.code or 0)


for line in sys.stdin:
    process = os.fork()
    if not process:
        code = 70
        try:
            code = job(json.loads(line))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
