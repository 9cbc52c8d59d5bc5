import logging
import time

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from rsm.config.run import RunConfig
from rsm.runs.announcing import TERMINAL, announce, hush

RUNS = {config.run_id: config for config in (RunConfig(method="go", seed=n) for n in range(3))}


@pytest.fixture
def logger():
    """A logger as Snakemake has one: what writes to the terminal, and to its log file."""
    made = logging.Logger("made", logging.INFO)
    for name in (TERMINAL, "DefaultLogFileHandler"):
        handler = Kept()
        handler.name = name
        made.addHandler(handler)
    return made


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def test_blocks_of_jobs_stay_in_the_log_and_failures_reach_the_terminal(logger):
    assert hush(logger)
    for event in (
        LogEvent.JOB_INFO,
        LogEvent.JOB_STARTED,
        LogEvent.JOB_FINISHED,
        LogEvent.PROGRESS,
    ):
        logger.info("a block", extra={"event": event})
    logger.info("Select jobs to execute...")
    logger.info("stats", extra={"event": LogEvent.RUN_INFO})
    logger.error("it broke", extra={"event": LogEvent.JOB_ERROR})
    logger.info("Nothing to be done")
    terminal, file = logger.handlers
    assert terminal.lines == ["stats", "it broke", "Nothing to be done"]
    assert len(file.lines) == 8


def test_who_asks_for_everything_gets_it(logger):
    logger.setLevel(logging.DEBUG)
    assert not hush(logger)
    logger.info("a block", extra={"event": LogEvent.JOB_INFO})
    assert logger.handlers[0].lines == ["a block"]


def test_study_is_told_in_one_line_again_and_again_until_it_is_over(tmp_path, capfd):
    stop = announce("small", RUNS, tmp_path, every_s=0.02)
    time.sleep(0.3)
    stop()
    time.sleep(0.1)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) >= 2 and set(lines) == {
        "small: 0 of 3 runs done, 3 queued; time left: unknown"
    }
    time.sleep(0.1)
    assert capfd.readouterr().err == ""
