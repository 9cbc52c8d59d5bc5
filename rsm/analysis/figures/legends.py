"""The legend of a figure: every label once, below the panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis import selection
from rsm.analysis.figures.looks import Look
from rsm.analysis.figures.style import PAGE


def legend(
    figure: Figure,
    data: pd.DataFrame,
    shown: Mapping[str, Look],
    lines: bool = True,
    more: Sequence[Line2D] = (),
) -> None:
    """A legend below the panels: every label once, with runs that failed or are missing, and then `more`."""
    gaps = selection.gaps(data)
    handles = []
    for label, look in shown.items():
        text = f"{label} [{gaps[label]}]" if gaps.get(label) else label
        style = look.line() if lines else look.point() | {"linestyle": ""}
        handles.append(Line2D([], [], label=text, **style))
    handles += more
    if handles:
        longest = max(len(str(handle.get_label())) for handle in handles)
        fitting = max(1, int(PAGE * 72 / (longest * 3.7 + 36)))
        rows = -(-len(handles) // min(fitting, 6))
        columns = -(-len(handles) // rows)
        # Panels keep their size: what a legend of many rows needs beyond three is added below them.
        figure.set_figheight(figure.get_figheight() + 0.17 * max(0, rows - 3))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
