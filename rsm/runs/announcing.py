"""While Snakemake runs: one line every 30 s in place of a block of lines for every job.

Snakemake's own `quiet` would also keep jobs out of its log file, and failed jobs from the terminal. So only
the terminal is filtered, and the log file keeps every block. `--verbose` and `--no-hooks` show all blocks.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from rsm.config.run import RunConfig
from rsm.runs.planned import planned
from rsm.runs.status import headline, status

EVERY_S = 30.0
TERMINAL = "DefaultStreamHandler"  # Snakemake's name of its terminal handler
# Events of log records about the start, end or number of jobs.
ORDINARY = {"job_info", "group_info", "job_started", "job_finished", "progress", "shellcmd"}
SCHEDULING = ("Select jobs to execute", "Execute ", "Updating checkpoint dependencies")


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record of Snakemake says more than that a job begins or ends."""
    event = getattr(record, "event", None)
    if event is not None:
        return str(getattr(event, "value", event)) not in ORDINARY
    return record.levelno > logging.INFO or not str(record.msg).startswith(SCHEDULING)


def hush(logger: logging.Logger) -> bool:
    """Hide blocks of ordinary jobs on the terminal; returns False, hiding none, where all were asked for."""
    if logger.isEnabledFor(logging.DEBUG):
        return False
    terminal = [handler for handler in logger.handlers if handler.name == TERMINAL]
    for handler in terminal:
        handler.addFilter(is_news)
    return bool(terminal)


def announce(
    study: str,
    runs: Mapping[str, RunConfig],
    results: Path,
    every_s: float = EVERY_S,
) -> Callable[[], None]:
    """Print the state of the study on standard error, now and every `every_s` seconds.

    It ends when the returned function is called, or with the process.
    """
    over, plans = threading.Event(), planned(runs, results)

    def watch() -> None:
        while True:
            print(headline(study, status(plans, results)), file=sys.stderr, flush=True)
            if over.wait(every_s):
                return

    threading.Thread(target=watch, name="status of the study", daemon=True).start()
    return over.set
