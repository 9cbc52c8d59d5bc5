"""`rsm train`: one run of a study or of a file."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.cli.studies import named_study
from rsm.errors import ConfigError, shown

if TYPE_CHECKING:
    from rsm.config.run import RunConfig


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
