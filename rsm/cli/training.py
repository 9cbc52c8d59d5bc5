"""`rsm train`: one run of a study or of a file."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.cli.options import Command
from rsm.cli.studies import named_study
from rsm.errors import ConfigError, shown

if TYPE_CHECKING:
    from rsm.config.run import RunConfig


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
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
        help="device of the tensors: cpu, cuda or cuda:NUMBER; not a setting of the run. Default: cpu",
    )
    train.add_argument(
        "--force",
        action="store_true",
        help="replace a finished run of other settings, or of another number of episodes",
    )


def run_train(options: argparse.Namespace) -> None:
    from rsm.config.run import load_run

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
    from rsm.runs.planning import check_run
    from rsm.sac.device import device_of
    from rsm.training.run import train

    check_run(config)
    device = device_of(options.device)
    with logged(config, options.out):
        content = train(config, options.out, device, options.force)
    if content["status"] == "failed":
        print(f"{content['run_id']}: failed: {content['reason']}")
    else:
        print(
            f"{content['run_id']}: final return {content['final_return']:.4f}, mean speed "
            f"{content['final_mean_speed']:.2f} m/s, {content['bytes_sent'] / 1e6:.2f} MB sent, "
            f"{content['wall_s']:.0f} s, in {options.out}"
        )


def logged(config: RunConfig, folder: Path) -> contextlib.AbstractContextManager[None]:
    """Context in which the run may bring its curves to a server (`tracking.live`)."""
    if not config.tracking.live:
        return contextlib.nullcontext()
    from rsm.tracking.job import logged_live  # loads pandas

    return logged_live(config, folder)
