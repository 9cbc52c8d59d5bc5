"""`rsm tables`, `rsm figures` and `rsm theory`: what is computed from finished runs."""

from __future__ import annotations

import argparse

from rsm.cli.studies import RESULTS, finished_study


def run_tables(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_tables

    study = finished_study(options.study)
    for path in write_tables(study, RESULTS / study.name):
        print(path)


def run_figures(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_figures

    study = finished_study(options.study)
    for path in write_figures(study, RESULTS / study.name, options.only):
        print(path)


def run_theory(options: argparse.Namespace) -> None:
    from rsm.theory.write import write_part

    study = finished_study(options.study)
    for path in write_part(options.part, study, RESULTS / study.name):
        print(path)
