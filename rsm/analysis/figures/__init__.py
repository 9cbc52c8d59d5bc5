"""Figures of a study: a module each, with `data(runs)` → what is drawn and `draw(data)` → Figure.

A figure is always drawn from its CSV as read back, so that the file beside it is all it takes to
redraw it. The same data give the same bytes: no file carries a date.
"""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rsm.analysis import FIGURES
from rsm.errors import ConfigError
from rsm.runs.files import write_bytes, write_csv

if TYPE_CHECKING:
    from rsm.analysis.load import Runs

_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def module(name: str) -> ModuleType:
    """The module that draws the figure `name`; raises ConfigError for one that does not exist."""
    if name not in FIGURES:
        raise ConfigError(f"figure: {name!r} is not allowed: known figures: {', '.join(FIGURES)}")
    return import_module(f"rsm.analysis.figures.{name}")


def save(name: str, runs: Runs, folder: Path) -> list[Path]:
    """Write `<folder>/<name>.csv`, `.pdf` and `.png`, each atomically; returns them."""
    table = folder / f"{name}.csv"
    write_csv(table, module(name).data(runs))
    return [table, *redraw(module(name), table, folder)]


def redraw(drawing: ModuleType, table: Path, folder: Path) -> list[Path]:
    """Draw a figure's module from its CSV into `folder` as PDF and PNG of the same name; returns them."""
    import matplotlib as mpl
    import pandas as pd

    from rsm.analysis.figures.style import SHEET

    paths = []
    with mpl.rc_context(fname=SHEET):
        figure = drawing.draw(pd.read_csv(table))
        for suffix, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=suffix, metadata=metadata)
            paths.append(folder / f"{table.stem}.{suffix}")
            write_bytes(paths[-1], content.getvalue())
    return paths
