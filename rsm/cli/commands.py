"""What each command of `rsm` does with its options. Each loads what it needs when it runs."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsm.config.loading import parse_yaml
from rsm.config.run import load_run
from rsm.config.study import Study, load_study, study_file
from rsm.errors import ConfigError, obstacle, one_line, shown

RESULTS = Path("results")
MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE)  # nobody's mistake


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Raise ConfigError for a file of the command line that cannot be written; a full disk stays one."""
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


def study_path(text: str) -> Path:
    """The file of a study given by its name or by that file; raises ConfigError for an unknown name."""
    looks_like_path = os.sep in text or text.endswith((".yaml", ".yml"))
    return Path(text) if looks_like_path else study_file(text)


def named_study(text: str, overrides: str = "{}") -> Study:
    """A study by its name, or by the path of its file, `--set` laid upon it; raises ConfigError."""
    return load_study(study_path(text), parse_yaml(overrides, "--set"))


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
            wrong = f": {shown(options.run_id)} is not allowed" if options.run_id else " is missing"
            raise ConfigError(
                f"--run{wrong}: study {study.name} has {len(known)} runs, such as {next(iter(known))}"
            )
        config = known[options.run_id]
    from rsm.sac.device import device_of
    from rsm.training.run import train

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
    from rsm.training.evaluation import evaluation_report

    report = evaluation_report(options.scenario, options.controller, options.episodes, options.seed)
    if options.json:
        print(json.dumps(report))
        return
    speed, score = report["mean_speed"], report["return"]
    print(f"{report['scenario']}, driven by {report['controller']}, {report['episodes']} episodes")
    print(f"mean speed  {speed['mean']:.3f} ± {speed['std']:.3f} m/s")
    print(f"return      {score['mean']:.4f} ± {score['std']:.4f}")
    clear = report["return_without_collision"]
    if clear["values"]:
        print(
            f"            {clear['mean']:.4f} ± {clear['std']:.4f} over the {len(clear['values'])} episodes "
            "without a collision"
        )
    print(f"collisions  {report['collisions']} ({report['collision']})")
    print(f"steps       {report['steps']} ({report['steps_per_second']:.0f} per second)")


def run_render(options: argparse.Namespace) -> None:
    from rsm.traffic.environment import TrafficEnv
    from rsm.traffic.rendering import check_output, render
    from rsm.training.drivers import driver_name, resolve_driver
    from rsm.training.trajectory import last_exchange

    check_output(options.out)
    if options.at is not None and options.out.suffix.lower() != ".png":
        raise ConfigError(
            f"--at: {options.at:g} is not allowed: a film shows every moment, a .png one"
        )
    traffic, driver = resolve_driver(options.controller, options.scenario)
    links = last_exchange(options.controller)
    who = driver_name(options.controller)
    with TrafficEnv(traffic) as env, writing("--out", options.out):
        render(
            env,
            lambda: driver(env, options.seed),
            options.out,
            options.seed,
            options.at,
            links,
            who,
        )
    print(options.out)


def run_record(options: argparse.Namespace) -> None:
    from rsm.runs.files import write_parquet
    from rsm.training.trajectory import record_trajectory

    if options.out.suffix != ".parquet":
        raise ConfigError(
            f"--out: {shown(str(options.out))} is not allowed: it must end in .parquet"
        )
    table = record_trajectory(options.folder)
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

    study = named_study(options.study, options.set)
    create_store(study.name, study.description)


def write_receipt(options: argparse.Namespace, receipt: dict[str, Any]) -> None:
    """What a rule waits for: a file that says what the store holds now."""
    from rsm.runs.files import write_json

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
    from rsm.config.loading import dump_yaml
    from rsm.runs.files import write_text

    text = dump_yaml(named_study(options.study, options.set))
    with writing("--out", options.out):
        write_text(options.out, text)


def run_schema(options: argparse.Namespace) -> None:
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    print(json.dumps(dialect | Study.model_json_schema(), indent=2, ensure_ascii=False))


def run_verify(options: argparse.Namespace) -> int:
    from rsm.cli.verify import verify

    return verify(options.only, options.record)


def run_doctor(options: argparse.Namespace) -> int:
    from rsm.cli.doctor import examine

    return examine()
