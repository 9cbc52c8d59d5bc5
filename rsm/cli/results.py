"""`rsm tables`, `rsm figures` and `rsm theory`: what is computed from finished runs."""

from __future__ import annotations

import argparse
from functools import partial

from rsm.cli.studies import RESULTS, finished_study
from rsm.errors import ConfigError

COMMITTED = RESULTS / "committed"


def run_tables(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_tables

    study = finished_study(options.study)
    for path in write_tables(study, RESULTS / study.name):
        print(path)


def run_figures(options: argparse.Namespace) -> None:
    from rsm.analysis.aggregate import write_figures

    if options.source is not None:
        redraw_figures(options)
        return
    if options.out is not None:
        raise ConfigError("--out: is not allowed without --from: a study has a folder of its own")
    study = finished_study(options.study)
    for path in write_figures(study, RESULTS / study.name, options.only):
        print(path)


def redraw_figures(options: argparse.Namespace) -> None:
    """Draw the figures of a folder again from their CSVs: those of a study and those of the theory."""
    from rsm import analysis, theory
    from rsm.analysis import figures
    from rsm.theory import figures as theory_figures

    known = {name: partial(figures.module, name) for name in analysis.FIGURES}
    for name in (name for part in theory.FIGURES.values() for name in part):
        known[name] = partial(theory_figures.module, name)
    out = options.source / "figures" if options.out is None else options.out
    for path in figures.redraw_folder(options.source, out, known, options.only):
        print(path)


def run_claims(options: argparse.Namespace) -> None:
    from rsm.analysis.claims_pages import write_claims

    for path in write_claims(options.results or [COMMITTED], options.out, options.readme):
        print(path)


def run_theory(options: argparse.Namespace) -> None:
    from rsm.theory.write import write_part

    study = finished_study(options.study)
    for path in write_part(options.part, study, RESULTS / study.name):
        print(path)
