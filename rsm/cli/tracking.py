"""`rsm store`, `rsm ui`, `rsm publish`, `rsm publish-results` and `rsm sync`: the MLflow store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rsm.cli.options import Command, override_option, positive, study_option
from rsm.cli.studies import RESULTS, finished_study, named_study
from rsm.cli.writing import writing
from rsm.errors import ConfigError


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    sync = command("sync", run_sync, "publish every finished run of a study to the MLflow store")
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

    store = command("store", run_store, "create the MLflow store and the experiment of a study")
    study_option(store)
    override_option(store)

    command(
        "ui",
        run_ui,
        "serve the MLflow store to a browser, and print the address of each study",
    )

    publish = command("publish", run_publish, "log finished run folders to MLflow; idempotent")
    publish.add_argument("folders", type=Path, nargs="+", metavar="RUN_DIR")
    publish.add_argument("--study", required=True, metavar="NAME", help="its MLflow experiment")
    publish.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")

    share = command("publish-results", run_publish_results, "log figures and tables to MLflow")
    study_option(share)
    share.add_argument("--receipt", type=Path, metavar="FILE", help="written when it is done")


def run_store(options: argparse.Namespace) -> None:
    from rsm.tracking import columns, create_store, runs_page

    study = named_study(options.study, options.set)
    experiment = create_store(study.name, study.description, columns(study.runs().values()))
    print(f"{study.name}: {runs_page(experiment)}")


def run_ui(options: argparse.Namespace) -> None:
    """Say where the runs of each study are shown, and show them until interrupted."""
    from rsm.tracking import show

    show()


def run_publish(options: argparse.Namespace) -> None:
    from rsm.tracking import publish_all

    receipts = publish_all(options.folders, options.study)
    write_receipt(options, {"study": options.study, "runs": receipts})


def run_publish_results(options: argparse.Namespace) -> None:
    from rsm.tracking import publish_results

    study = finished_study(options.study)
    receipt = publish_results(study.name, RESULTS / study.name)
    write_receipt(options, receipt)


def run_sync(options: argparse.Namespace) -> None:
    if options.live:
        _sync_live(options)
        return
    for name, value in (("run", options.run_id), ("pid", options.pid)):
        if value is not None:
            raise ConfigError(f"--{name}: belongs to --live")
    if options.study is None:
        raise ConfigError(
            "--study: is missing: the name or file of a study is expected, or --live for all studies"
        )
    from rsm.tracking import columns, sync

    study = finished_study(options.study)
    print(f"{study.name}: {sync(study.name, study.description, columns(study.runs().values()))}")


def _sync_live(options: argparse.Namespace) -> None:
    """Runs under way of one study, or of all below results/, until interrupted."""
    from rsm.tracking import columns, create_store, follow

    if options.run_id is not None:
        if options.study is None:
            raise ConfigError("--run: belongs to --study")
        follow(lambda: [options.study], options.run_id, options.pid)
    elif options.study is not None:
        study = finished_study(options.study)
        create_store(study.name, study.description, columns(study.runs().values()))
        follow(lambda: [study.name], pid=options.pid)
    else:
        follow(
            lambda: sorted(place.parent.name for place in RESULTS.glob("*/runs")), pid=options.pid
        )


def write_receipt(options: argparse.Namespace, receipt: dict[str, Any]) -> None:
    """Write the receipt, a file that Snakemake rules wait for: what the store holds now."""
    from rsm.runs.files import write_json

    if options.receipt is not None:
        with writing("--receipt", options.receipt):
            write_json(options.receipt, receipt)
