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
from rsm.records import write_bytes

if TYPE_CHECKING:
    import pandas as pd

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
    frame: pd.DataFrame = module(name).data(runs)
    write_bytes(table, frame.to_csv(index=False, lineterminator="\n").encode())
    return [table, *redraw(name, table, folder)]


def redraw(name: str, table: Path, folder: Path) -> list[Path]:
    """Draw the figure `name` from its CSV into `folder` as PDF and PNG; returns them."""
    import matplotlib as mpl
    import pandas as pd

    from rsm.analysis.figures.style import SHEET

    paths = []
    with mpl.rc_context(fname=SHEET):
        figure = module(name).draw(pd.read_csv(table))
        for suffix, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=suffix, metadata=metadata)
            write_bytes(folder / f"{name}.{suffix}", content.getvalue())
            paths.append(folder / f"{name}.{suffix}")
    return paths
