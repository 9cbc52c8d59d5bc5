"""Figures of a study: a module each, with `data(runs)` → what is drawn and `draw(data)` → Figure.

A module also has a TITLE and a CATEGORY, and beside it lies its caption, `<name>.rst`: all that the report
says of the figure. How a figure is added to the list is the business of `rsm.analysis.FIGURES`.

A figure is always drawn from its CSV as read back, so that the file beside it is all it takes to
redraw it. The same data give the same bytes: no file carries a date.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from rsm.analysis import FIGURES
from rsm.config.extensions import imported
from rsm.errors import ConfigError, one_line
from rsm.runs.files import write_bytes, write_csv

if TYPE_CHECKING:
    from rsm.analysis.load import Runs

_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}

HEADED = "(TITLE, CATEGORY)"  # what a module assigns


def module(name: str) -> ModuleType:
    """The module that draws the figure `name`; raises ConfigError for an unknown or broken one."""
    if name not in FIGURES:
        raise ConfigError(f"figure: {name!r} is not allowed: known figures: {', '.join(FIGURES)}")
    return imported(FIGURES, name, FIGURES[name], "data", "draw", "TITLE", "CATEGORY")


class Heading(NamedTuple):
    """What the report says of a figure."""

    title: str
    category: str
    caption: Path  # of reStructuredText


def heading(name: str) -> Heading:
    """What the files of a figure say of it: TITLE and CATEGORY of its module, and the caption beside it.

    Raises ConfigError where the caption is missing, and for a broken module of an installed package: that is
    imported, so that it is noticed before anything is trained.
    """
    if name in FIGURES.own:
        return read_heading(FIGURES[name])
    drawing = module(name)
    return Heading(drawing.TITLE, drawing.CATEGORY, _caption(drawing.__name__, drawing.__file__))


def read_heading(module: str) -> Heading:
    """The heading of one of our own figures, read from its module's source: importing loads matplotlib."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, module
    says: dict[str, str] = {}
    for statement in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == HEADED:
            says = dict(zip(Heading._fields, ast.literal_eval(statement.value), strict=False))
    return Heading(**says, caption=_caption(module, spec.origin))


def _caption(module: str, source: str | None) -> Path:
    caption = Path(str(source)).with_suffix(".rst")
    if not caption.is_file():
        raise ConfigError(f"figure: {module} has no caption: {caption} is expected")
    return caption


def save(name: str, runs: Runs, folder: Path) -> list[Path]:
    """Write `<folder>/<name>.csv`, `.pdf` and `.png`, each atomically; returns them."""
    table = folder / f"{name}.csv"
    write_csv(table, module(name).data(runs))
    return [table, *redraw(module(name), table, folder)]


def redraw(drawing: ModuleType, table: Path, folder: Path) -> list[Path]:
    """Draw a figure's module from its CSV into `folder` as PDF and PNG of the same name; returns them.

    Raises ConfigError for a CSV without a column that the figure has now.
    """
    import matplotlib as mpl
    import pandas as pd

    from rsm.analysis.figures.style import SHEET

    paths = []
    with mpl.rc_context(fname=SHEET):
        try:
            # In one piece, so that a column has one type, also where only later rows have a value.
            figure = drawing.draw(pd.read_csv(table, low_memory=False))
        except KeyError as error:
            raise ConfigError(
                f"{one_line(table)}: it has no column {error}: another version of rsm wrote it; draw it with "
                "that one, or leave it out with --only"
            ) from None
        for suffix, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=suffix, metadata=metadata)
            paths.append(folder / f"{table.stem}.{suffix}")
            write_bytes(paths[-1], content.getvalue())
    return paths


def redraw_folder(
    folder: Path,
    out: Path,
    known: Mapping[str, Callable[[], ModuleType]],
    only: Sequence[str] | None = None,
) -> list[Path]:
    """Draw every `<folder>/figures/<name>.csv` (or those in `only`) into `out`; returns the files.

    `known` maps the name of a figure to what gives its module. Raises ConfigError, before anything is drawn,
    where the folder has no such CSV or one of an unknown figure.
    """
    tables = {path.stem: path for path in sorted((folder / "figures").glob("*.csv"))}
    if not tables:
        raise ConfigError(
            f"--from: {one_line(folder)} is not allowed: it has no figures/*.csv; a folder such as "
            "results/committed/STUDY is expected"
        )
    names = list(tables) if only is None else list(only)
    for name in names:
        if name not in tables:
            raise ConfigError(
                f"figure: {name!r} is not allowed: {one_line(folder)} has {', '.join(tables)}"
            )
        if name not in known:
            raise ConfigError(
                f"{one_line(tables[name])}: no such figure is known: {', '.join(known)}; "
                "name those to draw with --only"
            )
    return [path for name in names for path in redraw(known[name](), tables[name], out)]
