"""`rsm tables`, `figures`, `page`, `claims` and `theory`: what is computed from finished runs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.cli.options import Command, study_option
from rsm.cli.studies import RESULTS, finished_study
from rsm.errors import ConfigError
from rsm.theory import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

COMMITTED = RESULTS / "committed"


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    figures = command("figures", run_figures, "draw the figures of a study from its run folders")
    drawn = figures.add_mutually_exclusive_group(required=True)
    drawn.add_argument(
        "--study", metavar="NAME|FILE", help="a name in workflow/studies, or a YAML file"
    )
    drawn.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FOLDER",
        help="a folder with figures/*.csv, such as results/committed/STUDY: redraw its figures from these",
    )
    figures.add_argument(
        "--out", type=Path, metavar="DIR", help="where --from writes. Default: beside the CSV files"
    )
    figures.add_argument("--only", action="append", metavar="FIGURE", help="may be repeated")

    tables = command("tables", run_tables, "write the tables of a study from its run folders")
    study_option(tables)

    page = command(
        "page", run_page, "write the page of a study, one HTML file that needs no network"
    )
    study_option(page)
    page.add_argument(
        "--source",
        metavar="NAME|FILE",
        help="the study's own file, whose comments hold its questions; default: the one of its name",
    )

    claims = command(
        "claims", run_claims, "check the paper's claims against the tables of the studies"
    )
    claims.add_argument(
        "--results",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder of studies with their tables; may be repeated; the first one with a study is used. "
        f"Default: {COMMITTED}",
    )
    claims.add_argument(
        "--out", type=Path, default=COMMITTED, metavar="DIR",
        help=f"where claims.csv, .md and .html are written. Default: {COMMITTED}",
    )  # fmt: skip
    claims.add_argument(
        "--readme", type=Path, metavar="FILE", help="a page whose claims table is updated"
    )

    theory = command(
        "theory",
        run_theory,
        "check the theory: finite MDPs, estimators of A⁺, ζ in training",
    )
    theory.add_argument("part", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    study_option(theory)


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
