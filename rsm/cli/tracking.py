"""`rsm store`, `rsm ui`, `rsm publish`, `rsm publish-results` and `rsm sync`: the MLflow store."""

from __future__ import annotations

import argparse
from typing import Any

from rsm.cli.studies import RESULTS, finished_study, named_study
from rsm.cli.writing import writing
from rsm.errors import ConfigError


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
