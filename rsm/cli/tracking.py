"""`rsm store`, `rsm ui`, `rsm publish`, `rsm publish-results` and `rsm sync`: the MLflow store."""

from __future__ import annotations

import argparse
from typing import Any

from rsm.cli.studies import RESULTS, finished_study, named_study
from rsm.cli.writing import writing


def run_store(options: argparse.Namespace) -> None:
    from rsm.tracking import create_store, runs_page

    study = named_study(options.study, options.set)
    print(f"{study.name}: {runs_page(create_store(study.name, study.description))}")


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
    from rsm.tracking import sync

    study = finished_study(options.study)
    print(f"{study.name}: {sync(study.name, study.description)}")


def write_receipt(options: argparse.Namespace, receipt: dict[str, Any]) -> None:
    """Write the receipt, a file that Snakemake rules wait for: what the store holds now."""
    from rsm.runs.files import write_json

    if options.receipt is not None:
        with writing("--receipt", options.receipt):
            write_json(options.receipt, receipt)
