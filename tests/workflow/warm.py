"""A process that has loaded Snakemake and forks one call of it per request; not a test itself.

A request is a line of JSON: `arguments`, `folder` to run in, `environment` in place of ours, and files for
standard `output` and `errors`. The answer is a line with the exit code (negative: the signal).
"""

import json
import os
import signal
import sys

import pandas  # noqa: F401
import pydantic  # noqa: F401
import smart_open  # noqa: F401
import snakemake.report  # noqa: F401
from snakemake.cli import main


def call(request: dict) -> None:
    """As `python -m snakemake` would, started in that folder; leaves by SystemExit."""
    signal.alarm(1800)  # only reached if it hangs
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["arguments"]
    main()


for line in sys.stdin:
    process = os.fork()
    if not process:
        code: int | str | None = 70
        try:
            call(json.loads(line))
        except SystemExit as stop:
            code = stop.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else int(code is not None))
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
