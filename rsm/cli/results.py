"""`rsm tables`, `figures`, `page`, `claims` and `theory`: what is computed from finished runs."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from rsm.cli.studies import RESULTS, finished_study
from rsm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

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
    from rsm.analysis import figures

    out = options.source / "figures" if options.out is None else options.out
    for path in figures.redraw_folder(options.source, out, _known_figures(), options.only):
        print(path)


def _known_figures() -> dict[str, Callable[[], ModuleType]]:
    """Name → what gives its module, of all figures in their order: those of studies and those of the theory."""
    from rsm import analysis, theory
    from rsm.analysis import figures
    from rsm.theory import figures as theory_figures

    known: dict[str, Callable[[], ModuleType]] = {
        name: partial(figures.module, name) for name in analysis.FIGURES
    }
    for name in (name for part in theory.FIGURES.values() for name in part):
        known[name] = partial(theory_figures.module, name)
    return known


def run_page(options: argparse.Namespace) -> None:
    from rsm import analysis, theory
    from rsm.analysis.figures import heading, read_heading
    from rsm.analysis.page.write import write_page
    from rsm.config.study import studies, study_file
    from rsm.theory.figures import module_name

    study = finished_study(options.study)
    shipped = studies() / f"{study.name}.yaml"
    source = shipped if options.source is None else study_file(options.source)
    headings = {name: heading(name) for name in analysis.FIGURES}
    for name in (name for part in theory.FIGURES.values() for name in part):
        headings[name] = read_heading(module_name(name))
    path = write_page(study, RESULTS / study.name, headings, source)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def run_claims(options: argparse.Namespace) -> None:
    from rsm.analysis.claims_pages import write_claims

    for path in write_claims(options.results or [COMMITTED], options.out, options.readme):
        print(path)


def run_theory(options: argparse.Namespace) -> None:
    from rsm.theory.write import write_part

    study = finished_study(options.study)
    for path in write_part(options.part, study, RESULTS / study.name):
        print(path)
