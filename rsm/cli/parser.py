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
from pathlib import Path
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
from rsm.cli.options import driving_options, override_option, positive, seconds, study_option
from rsm.cli.writing import MACHINE
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.theory import PARTS

SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 2 after one line on standard error for a user's mistake; 1 after one line for a failure outside rsm
    (SUMO, disk, store), and for findings of `verify` and `doctor`; 130 and 143 when told to stop.
    """
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

    train = command("train", training.run_train, "train one run and write its run folder")
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="settings of the run, YAML")
    what.add_argument("--study", metavar="NAME|FILE", help="a study that holds the run")
    train.add_argument("--run", dest="run_id", metavar="RUN_ID", help="the run of that study")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder")
    train.add_argument(
        "--device",
        default="cpu",
        metavar="cpu|cuda[:K]",
        help="device of the tensors: cpu, cuda or cuda:NUMBER; not a setting of the run. Default: cpu",
    )
    train.add_argument(
        "--force",
        action="store_true",
        help="replace a finished run of other settings, or of another number of episodes",
    )

    watch = command("status", status.run_status, "show what is done, running, failed and queued")
    study_option(watch)
    watch.add_argument("--watch", action="store_true", help="update every two seconds")

    evaluate = command(
        "evaluate", driving.run_evaluate, "drive episodes and report speed and return"
    )
    driving_options(evaluate)
    evaluate.add_argument("--episodes", type=positive, default=5, metavar="N", help="default: 5")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    render = command("render", driving.run_render, "draw one episode as an animation or a picture")
    driving_options(render, compared=True)
    render.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a file ending in .gif, .mp4 or .png",
    )
    render.add_argument(
        "--at",
        type=seconds,
        metavar="SECONDS",
        help="the moment that a .png shows; default: the end",
    )

    trajectory = command(
        "trajectory",
        driving.run_trajectory,
        "drive one held-out episode of a finished run and write the trajectory of every vehicle",
    )
    trajectory.add_argument("folder", type=Path, metavar="RUN_DIR")
    trajectory.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .parquet file"
    )

    figures = command(
        "figures", results.run_figures, "draw the figures of a study from its run folders"
    )
    drawn = figures.add_mutually_exclusive_group(required=True)
    drawn.add_argument(
        "--study", metavar="NAME|FILE", help="a name in workflow/studies, or a YAML file"
    )
    drawn.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FOLDER",
        help="a folder with figures/*.csv, such as results/committed/STUDY: redraw its figures from these",
    )
    figures.add_argument(
        "--out", type=Path, metavar="DIR", help="where --from writes. Default: beside the CSV files"
    )
    figures.add_argument("--only", action="append", metavar="FIGURE", help="may be repeated")

    tables = command(
        "tables", results.run_tables, "write the tables of a study from its run folders"
    )
    study_option(tables)

    page = command(
        "page", results.run_page, "write the page of a study, one HTML file that needs no network"
    )
    study_option(page)
    page.add_argument(
        "--source",
        metavar="NAME|FILE",
        help="the study's own file, whose comments hold its questions; default: the one of its name",
    )

    compare = command(
        "compare",
        comparing.run_compare,
        "compare two studies or two configurations, paired by seed",
    )
    for place in ("first", "second"):
        compare.add_argument(place, metavar="STUDY[::CONFIGURATION]")
    compare.add_argument(
        "--out", type=Path, metavar="DIR", help="default: results/comparisons/FIRST-and-SECOND"
    )

    claims = command(
        "claims", results.run_claims, "check the paper's claims against the tables of the studies"
    )
    claims.add_argument(
        "--results",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder of studies with their tables; may be repeated; the first one with a study is used. "
        f"Default: {results.COMMITTED}",
    )
    claims.add_argument(
        "--out", type=Path, default=results.COMMITTED, metavar="DIR",
        help=f"where claims.csv, .md and .html are written. Default: {results.COMMITTED}",
    )  # fmt: skip
    claims.add_argument(
        "--readme", type=Path, metavar="FILE", help="a page whose claims table is updated"
    )

    theory = command(
        "theory",
        results.run_theory,
        "check the theory: finite MDPs, estimators of A⁺, ζ in training",
    )
    theory.add_argument("part", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    study_option(theory)

    sync = command(
        "sync", tracking.run_sync, "publish every finished run of a study to the MLflow store"
    )
    sync.add_argument(
        "--study", metavar="NAME|FILE", help="a name in workflow/studies, or a YAML file"
    )
    sync.add_argument(
        "--live",
        action="store_true",
        help="also publish runs in progress, repeatedly until interrupted; without --study, those of all "
        "studies",
    )
    sync.add_argument("--run", dest="run_id", metavar="RUN_ID", help="with --live: only this run")
    sync.add_argument(
        "--pid", type=positive, metavar="PID", help="with --live: until this process has ended"
    )

    store = command(
        "store", tracking.run_store, "create the MLflow store and the experiment of a study"
    )
    study_option(store)
    override_option(store)

    command(
        "ui",
        tracking.run_ui,
        "serve the MLflow store to a browser, and print the address of each study",
    )

    publish = command(
        "publish", tracking.run_publish, "log finished run folders to MLflow; idempotent"
    )
    publish.add_argument("folders", type=Path, nargs="+", metavar="RUN_DIR")
    publish.add_argument("--study", required=True, metavar="NAME", help="its MLflow experiment")
    publish.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")

    share = command(
        "publish-results", tracking.run_publish_results, "log figures and tables to MLflow"
    )
    study_option(share)
    share.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")

    pack = command(
        "archive", archive.run_archive, "write a finished study as one zip, an RO-Crate for others"
    )
    study_option(pack)
    pack.add_argument("--out", type=Path, metavar="FILE.zip", help="default: results/STUDY.zip")

    policies = command(
        "policies",
        archive.run_policies,
        "write policies of a finished study small enough to be committed",
    )
    study_option(policies)
    policies.add_argument("--out", type=Path, required=True, metavar="DIR")

    resolve = command(
        "resolve", studies.run_resolve, "write a study with all defaults and overrides resolved"
    )
    study_option(resolve)
    override_option(resolve)
    resolve.add_argument("--out", type=Path, required=True, metavar="FILE")

    command("schema", studies.run_schema, "print the JSON schema of a study")

    verify = command(
        "verify",
        checks.run_verify,
        "recompute some committed numbers and compare them with results/committed",
    )
    verify.add_argument(
        "--only",
        action="append",
        metavar="STUDY/RUN_ID",
        help="a run of the list, or RUN_ID of the archive; may be repeated",
    )
    verify.add_argument(
        "--archive", type=Path, metavar="FILE.zip", help="check an archive for consistency instead"
    )
    verify.add_argument(
        "--record", action="store_true", help="write the recomputed numbers instead (maintainers)"
    )

    doctor = command(
        "doctor",
        checks.run_doctor,
        "check Python, packages, SUMO, disk and the MLflow store of this installation",
    )
    doctor.add_argument(
        "--report",
        action="store_true",
        help="print it as Markdown to paste into an issue, without personal paths and addresses",
    )
    return top
