"""The commands of `rsm`. Each loads what it needs when it runs, so that `rsm --help` is quick."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rsm import __version__
from rsm.config import load_run
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.registry import SCENARIO_FORMS, parse_scenario
from rsm.study import Study, load_study, study_file
from rsm.theory import PARTS
from rsm.yaml_files import parse_yaml

RESULTS = Path("results")
MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE)  # nobody's mistake
SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 2 after one line on standard error for a user's mistake; 1 after one line for what went wrong around
    us (SUMO, disk, store), and for findings of `verify` and `doctor`; 130 and 143 when told to stop.
    """
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a terminal without "²" gets an escape, not a traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with stopped_by_sigterm():
            options = parser().parse_args(arguments)
            if options.run is not run_doctor:  # which has its own word on it
                check_threads()
            for name in SINGLE_THREAD:  # jobs run side by side; one thread each
                os.environ.setdefault(name, "1")
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
    """SIGTERM came: leave as an interrupt does, so that temporary files go and checkpoints stay."""


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
    """Raises ConfigError where the environment asks for a number of threads that is none."""
    for name in SINGLE_THREAD:
        text = os.environ.get(name)
        if text is not None and not re.fullmatch("[1-9][0-9]{0,3}", text):
            raise ConfigError(
                f"environment: {name}: {shown(text)} is not allowed: a whole number from 1 to 9999 "
                "(or leave it unset: one thread)"
            )


class Parser(argparse.ArgumentParser):
    """One line for a mistake on the command line, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        """Print it and exit with code 2."""
        self.exit(2, f"rsm: {one_line(message)} (see {self.prog} --help)\n")


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Raise ConfigError for a file of the command line that cannot be written; a full disk stays one."""
    from rsm.records import obstacle

    try:
        if (reason := "it is a folder" if path.is_dir() else obstacle(path)) is not None:
            raise OSError(errno.EINVAL, reason)
        yield
    except OSError as error:
        if error.errno in MACHINE:
            raise
        raise ConfigError(
            f"{option}: {one_line(path)} is not allowed: it cannot be written ({error.strerror}); "
            "a file in a folder that can be written is expected"
        ) from None


def parser() -> argparse.ArgumentParser:
    """The command line: one subcommand per line of the house page."""
    top = Parser(
        prog="rsm",
        allow_abbrev=False,
        description="Reproduction of RSM-MASAC: communication-efficient soft actor-critic collaboration "
        "of connected vehicles by regulated segment mixture (arXiv:2312.10123).",
        epilog="A user's mistake gives one line and exit code 2.",
    )
    top.add_argument("--version", action="version", version=f"rsm {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        description = text[0].upper() + text[1:] + "."
        added = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    train = command("train", run_train, "train one run and write its run folder")
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="settings of the run, YAML")
    what.add_argument("--study", metavar="NAME|FILE", help="a study that holds the run")
    train.add_argument("--run", dest="run_id", metavar="RUN_ID", help="the run of that study")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder")
    train.add_argument(
        "--device",
        default="cpu",
        metavar="cpu|cuda[:K]",
        help="where tensors live; no setting of the run. Default: cpu",
    )

    evaluate = command("evaluate", run_evaluate, "drive episodes and report speed and return")
    driving_options(evaluate)
    evaluate.add_argument("--episodes", type=positive, default=5, metavar="N", help="default: 5")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    render = command("render", run_render, "draw one episode as an animation or a picture")
    driving_options(render)
    render.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a file ending in .gif, .mp4 or .png",
    )

    record = command(
        "record", run_record, "drive one held-out episode of a run and write where all were"
    )
    record.add_argument("folder", type=Path, metavar="RUN_DIR")
    record.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .parquet file")

    figures = command("figures", run_figures, "draw the figures of a study from its run folders")
    study_option(figures)
    figures.add_argument("--only", action="append", metavar="FIGURE", help="may be repeated")

    tables = command("tables", run_tables, "write the tables of a study from its run folders")
    study_option(tables)

    theory = command(
        "theory", run_theory, "check the theory: exact worlds, estimators, traces of ζ"
    )
    theory.add_argument("part", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    study_option(theory)

    sync = command("sync", run_sync, "bring every finished run of a study into the MLflow store")
    study_option(sync)

    store = command("store", run_store, "create the MLflow store and the experiment of a study")
    study_option(store)

    publish = command("publish", run_publish, "log one finished run folder to MLflow; idempotent")
    publish.add_argument("folder", type=Path, metavar="RUN_DIR")
    publish.add_argument("--study", required=True, metavar="NAME", help="its MLflow experiment")
    publish.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")

    share = command("publish-results", run_publish_results, "log figures and tables to MLflow")
    study_option(share)
    share.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")

    resolve = command("resolve", run_resolve, "write a study with every default and override in it")
    study_option(resolve)
    resolve.add_argument(
        "--set", default="{}", metavar="YAML", help="a mapping laid upon the study"
    )
    resolve.add_argument("--out", type=Path, required=True, metavar="FILE")

    command("schema", run_schema, "print the JSON schema of a study")

    verify = command(
        "verify",
        run_verify,
        "recompute some committed numbers and compare them with results/reference",
    )
    verify.add_argument(
        "--only", action="append", metavar="RUN_ID", help="a run of the list; may be repeated"
    )
    verify.add_argument(
        "--record", action="store_true", help="write the recomputed numbers instead (maintainers)"
    )

    command(
        "doctor", run_doctor, "check Python, packages, SUMO, disk and the store against the pins"
    )
    return top


def study_option(command: argparse.ArgumentParser) -> None:
    """`--study`, by name or by file."""
    command.add_argument(
        "--study",
        required=True,
        metavar="NAME|FILE",
        help="a name in workflow/studies, or a YAML file",
    )


def driving_options(command: argparse.ArgumentParser) -> None:
    """Who drives where."""
    command.add_argument(
        "--scenario", required=True, type=scenario_name, metavar="NAME", help=SCENARIO_FORMS
    )
    command.add_argument(
        "--controller",
        required=True,
        metavar="NAME",
        help="human, random, go, platoon, constant:<m/s²>, or the folder of a finished run",
    )
    command.add_argument("--seed", type=natural, default=0, metavar="S", help="default: 0")


def scenario_name(text: str) -> str:
    """The name of a scenario, for argparse."""
    try:
        parse_scenario(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: {error}") from None
    return text


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a whole number of at least 1")
    return number


def natural(text: str) -> int:
    """A whole number from 0 to 2 000 000 000, for argparse."""
    if not (re.fullmatch("[0-9]{1,10}", text) and int(text) <= 2_000_000_000):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not allowed: a whole number from 0 to 2000000000"
        )
    return int(text)


def study_path(text: str) -> Path:
    """The file of a study given by its name or by that file; raises ConfigError for an unknown name."""
    looks_like_path = os.sep in text or text.endswith((".yaml", ".yml"))
    return Path(text) if looks_like_path else study_file(text)


def named_study(text: str) -> Study:
    """A study by its name, or by the path of its file; raises ConfigError."""
    return load_study(study_path(text))


def finished_study(text: str) -> Study:
    """The study as it was run: resolved with its overrides beside its results, if it is there."""
    by_name = RESULTS / text / "study.yaml"
    if text not in ("", ".", "..") and os.sep not in text and os.path.isfile(by_name):
        study = load_study(by_name)
        if study.name != text:
            raise ConfigError(
                f"{by_name}: name: {shown(study.name)} is not allowed: {text!r} is expected"
            )
        return study
    study = named_study(text)
    resolved = RESULTS / study.name / "study.yaml"
    return load_study(resolved) if os.path.isfile(resolved) else study


def run_train(options: argparse.Namespace) -> None:
    if options.config is not None:
        if options.run_id is not None:
            raise ConfigError("--run: belongs to --study, not to --config")
        config = load_run(options.config)
    else:
        study = named_study(options.study)
        known = study.runs()
        if options.run_id not in known:
            raise ConfigError(
                f"--run: {shown(options.run_id)} is not allowed: study {study.name} has {len(known)} runs, "
                f"such as {next(iter(known))}"
            )
        config = known[options.run_id]
    from rsm.device import device_of
    from rsm.training import train

    content = train(config, options.out, device_of(options.device))
    if content["status"] == "failed":
        print(f"{content['run_id']}: failed: {content['reason']}")
    else:
        print(
            f"{content['run_id']}: final return {content['final_return']:.4f}, mean speed "
            f"{content['final_mean_speed']:.2f} m/s, {content['bytes_sent'] / 1e6:.2f} MB sent, "
            f"{content['wall_s']:.0f} s, in {options.out}"
        )


def run_evaluate(options: argparse.Namespace) -> None:
    from rsm.evaluation import evaluation_report

    report = evaluation_report(options.scenario, options.controller, options.episodes, options.seed)
    if options.json:
        print(json.dumps(report))
        return
    speed, score = report["mean_speed"], report["return"]
    print(f"{report['scenario']}, driven by {report['controller']}, {report['episodes']} episodes")
    print(f"mean speed  {speed['mean']:.3f} ± {speed['std']:.3f} m/s")
    print(f"return      {score['mean']:.4f} ± {score['std']:.4f}")
    print(f"collisions  {report['collisions']}")
    print(f"steps       {report['steps']} ({report['steps_per_second']:.0f} per second)")


def run_render(options: argparse.Namespace) -> None:
    from rsm.evaluation import last_exchange, resolve_driver
    from rsm.traffic.environment import TrafficEnv
    from rsm.traffic.rendering import check_output, render

    check_output(options.out)
    traffic, driver = resolve_driver(options.controller, options.scenario)
    links = last_exchange(options.controller)
    with TrafficEnv(traffic) as env, writing("--out", options.out):
        render(env, lambda: driver(env, options.seed), options.out, options.seed, links=links)
    print(options.out)


def run_record(options: argparse.Namespace) -> None:
    from rsm.evaluation import record_run
    from rsm.records import write_parquet

    if options.out.suffix != ".parquet":
        raise ConfigError(
            f"--out: {shown(str(options.out))} is not allowed: it must end in .parquet"
        )
    table = record_run(options.folder)
    with writing("--out", options.out):
        write_parquet(options.out, table)
    print(options.out if len(table) else f"{options.out}: the run failed: nothing was driven")


def run_figures(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_figures

    study = finished_study(options.study)
    for path in write_figures(study, RESULTS / study.name, options.only):
        print(path)


def run_tables(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_tables

    study = finished_study(options.study)
    for path in write_tables(study, RESULTS / study.name):
        print(path)


def run_theory(options: argparse.Namespace) -> None:
    from rsm.theory.write import write_part

    study = finished_study(options.study)
    for path in write_part(options.part, study, RESULTS / study.name):
        print(path)


def run_sync(options: argparse.Namespace) -> None:
    from rsm.tracking import sync

    study = finished_study(options.study)
    print(f"{study.name}: {sync(study.name, study.description)}")


def run_store(options: argparse.Namespace) -> None:
    from rsm.tracking import create_store

    study = named_study(options.study)
    create_store(study.name, study.description)


def write_receipt(options: argparse.Namespace, receipt: dict[str, Any]) -> None:
    """What a rule waits for: a file that says what the store holds now."""
    from rsm.records import write_json

    if options.receipt is not None:
        with writing("--receipt", options.receipt):
            write_json(options.receipt, receipt)


def run_publish(options: argparse.Namespace) -> None:
    from rsm.tracking import publish

    receipt = publish(options.folder, options.study)
    write_receipt(options, receipt)


def run_publish_results(options: argparse.Namespace) -> None:
    from rsm.tracking import publish_results

    study = finished_study(options.study)
    receipt = publish_results(study.name, RESULTS / study.name)
    write_receipt(options, receipt)


def run_resolve(options: argparse.Namespace) -> None:
    from rsm.records import write_text
    from rsm.yaml_files import dump_yaml

    overrides = parse_yaml(options.set, "--set")
    text = dump_yaml(load_study(study_path(options.study), overrides))
    with writing("--out", options.out):
        write_text(options.out, text)


def run_schema(options: argparse.Namespace) -> None:
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    print(json.dumps(dialect | Study.model_json_schema(), indent=2, ensure_ascii=False))


def run_verify(options: argparse.Namespace) -> int:
    from rsm.verification import verify

    return verify(options.only, options.record)


def run_doctor(options: argparse.Namespace) -> int:
    from rsm.doctor import examine

    return examine()
