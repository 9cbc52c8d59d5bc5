"""The command line of `rsm`: its options, its exit codes, and what each mistake looks like."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from rsm import __version__
from rsm.cli import (
    archive,
    checks,
    comparing,
    driving,
    results,
    status,
    studies,
    tracking,
    training,
)
from rsm.cli.writing import MACHINE
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.runs.machine import search_less_for_garbage

SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 2 after one line on standard error for a user's mistake; 1 after one line for a failure outside rsm
    (SUMO, disk, store), and for findings of `verify` and `doctor`; 130 and 143 when told to stop.
    """
    search_less_for_garbage()
    for stream in (sys.stdout, sys.stderr):  # a terminal without "²" gets an escape, no traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with stopped_by_sigterm():
            options = parser().parse_args(arguments)
            if options.run is not checks.run_doctor:  # which reports these itself
                check_threads()
                settle_environment()
            code: int = options.run(options) or 0
            sys.stdout.flush()
    except ConfigError as error:
        print(f"rsm: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"rsm: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"rsm: {one_line(error)}", file=sys.stderr)
        return 1 if error.errno in MACHINE else 2
    except KeyboardInterrupt:
        print("rsm: interrupted", file=sys.stderr)
        return 130
    except Terminated:
        print("rsm: terminated", file=sys.stderr)
        return 143
    return code


class Terminated(BaseException):
    """SIGTERM was received: exit as on an interrupt, removing temporary files and keeping checkpoints."""


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into `Terminated`, where signals can be handled."""

    def stop(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_threads() -> None:
    """Raises ConfigError where the environment asks for an invalid number of threads.

    A list, a number for each level of nesting, is valid for OpenMP: schedulers and notebooks set it.
    """
    for name in SINGLE_THREAD:
        text = os.environ.get(name)
        if text is not None and not re.fullmatch(" *[1-9][0-9]{0,3}(, *[1-9][0-9]{0,3})* *", text):
            raise ConfigError(
                f"environment: {name}: {shown(text)} is not allowed: a whole number from 1 to 9999 "
                "(or leave it unset: one thread)"
            )


def settle_environment() -> None:
    """Override variables left by schedulers, notebooks and shells that could break a run after hours."""
    for name in SINGLE_THREAD:  # jobs run side by side; one thread each
        if not os.environ.get(name, "").isdecimal():
            os.environ[name] = "1"
    # Figures are only written to files; the backend of a notebook may not be installed
    os.environ["MPLBACKEND"] = "agg"


class Parser(argparse.ArgumentParser):
    """Reports a mistake on the command line in one line, like every other mistake."""

    def error(self, message: str) -> NoReturn:
        """Print it and exit with code 2."""
        self.exit(2, f"rsm: {one_line(message)} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The command line with all its subcommands."""
    top = Parser(
        prog="rsm",
        allow_abbrev=False,
        description="Reproduction of RSM-MASAC: communication-efficient soft actor-critic collaboration "
        "of connected vehicles by regulated segment mixture (arXiv:2312.10123).",
        epilog="A user's mistake gives one line and exit code 2.",
    )
    top.add_argument("--version", action="version", version=f"rsm {__version__}")
    below = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        description = text[0].upper() + text[1:] + "."
        added = below.add_parser(name, help=text, description=description, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    for group in (
        training,
        status,
        driving,
        results,
        comparing,
        tracking,
        archive,
        studies,
        checks,
    ):
        group.add_commands(command)
    return top
