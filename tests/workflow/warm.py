"""A process that has loaded Snakemake, run by tests.forking; not a test itself.

A request has `arguments`, the `folder` to run in, the `environment` in place of ours, and files for standard
`output` and `errors`.
"""

import os
import signal
import sys
from typing import Any

import pandas  # noqa: F401
import pydantic  # noqa: F401
import smart_open  # noqa: F401
import snakemake.report  # noqa: F401
from snakemake.cli import main

from tests.forking import serve


def call(request: dict[str, Any]) -> int:
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
    return 0


serve(call)
