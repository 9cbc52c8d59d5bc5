"""`rsm compare`: comparison of two studies or two configurations."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.cli.options import Command
from rsm.cli.results import COMMITTED
from rsm.cli.studies import RESULTS, finished_study
from rsm.cli.writing import writing

if TYPE_CHECKING:
    from rsm.analysis.comparison import Side


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    compare = command(
        "compare",
        run_compare,
        "compare two studies or two configurations, paired by seed",
    )
    for place in ("first", "second"):
        compare.add_argument(place, metavar="STUDY[::CONFIGURATION]")
    compare.add_argument(
        "--out", type=Path, metavar="DIR", help="default: results/comparisons/FIRST-and-SECOND"
    )


def run_compare(options: argparse.Namespace) -> None:
    from rsm.analysis.comparison import write_comparison

    first, second = side(options.first), side(options.second)
    names = "-and-".join(
        re.sub("[^a-z0-9.+-]+", "-", text.lower()) for text in (options.first, options.second)
    )
    out = options.out or RESULTS / "comparisons" / names
    with writing("--out", out / "comparison.csv"):
        paths = write_comparison(first, second, out)
    print(paths[1].read_text(encoding="utf-8"))
    for path in paths:
        print(path)


def side(text: str) -> Side:
    """What `STUDY` or `STUDY::CONFIGURATION` names: its run folders, or the table of it that is committed."""
    from rsm.analysis.comparison import BETWEEN, side_of_study, side_of_table

    name, _, configuration = text.partition(BETWEEN)
    table = COMMITTED / name / "tables" / "runs.csv"
    if not (RESULTS / name / "runs").is_dir() and table.is_file():
        return side_of_table(name, table, configuration or None)
    study = finished_study(name)
    return side_of_study(study.name, study, RESULTS / study.name, configuration or None)
