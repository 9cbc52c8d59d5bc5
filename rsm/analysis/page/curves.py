"""Data of the interactive learning curves: those of the figure `learning_curves`, from its CSV."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rsm.analysis import facets
from rsm.analysis.figures.looks import Dash, Look, looks
from rsm.analysis.labels import topology_label

X = ("episode", "env_steps", "bytes_sent")
Y = ("return", "mean_speed")


def curves(data: pd.DataFrame) -> dict[str, Any]:
    """What page.js draws: `panels` of lines, and `levels`, the controls. Without evaluations there is no panel.

    A line has the columns of X and Y as lists, `_low` and `_high` of Y, and the evaluations of each seed where
    these are too few for an interval; None stands for a number that is not there.
    """
    if data.empty:
        return {"panels": [], "levels": []}
    learned, controls = facets.learned_and_levels(data)
    learned = learned.dropna(subset=["episode"])
    levels = [
        {"label": row["label"]} | {name: _number(row[name]) for name in Y}
        for row in controls.to_dict("records")
    ]
    if learned.empty:
        return {"panels": [], "levels": levels}
    panels = facets.panels(learned)
    shown = looks(pd.concat([panel.part for panel in panels])["label"])
    drawn = []
    for topology, words, part in panels:
        names = [topology_label(topology) if isinstance(topology, str) else "", words or ""]
        lines = [
            _line(str(label), own) | _look(shown[str(label)])
            for label, own in part.groupby("label", sort=False)
        ]
        drawn.append({"name": ", ".join(filter(None, names)) or "all", "lines": lines})
    return {"panels": drawn, "levels": levels}


def _line(label: str, own: pd.DataFrame) -> dict[str, Any]:
    line = own[own["seed"].isna()]
    wanted = [*X, *(f"{name}{end}" for name in Y for end in ("", "_low", "_high"))]
    seeds = [
        {"seed": int(str(seed).partition(".")[0])} | _columns(part, [*X, *Y])
        for seed, part in own.dropna(subset=["seed"]).groupby("seed")
    ]
    return {"label": label, "seeds": seeds} | _columns(line, wanted)


def _columns(frame: pd.DataFrame, names: list[str]) -> dict[str, list[float | None]]:
    return {name: [_number(value) for value in frame[name]] for name in names}


def _number(value: Any) -> float | None:
    """Six digits: more are not seen, and would make the page larger."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


# Matplotlib's markers → plotly's.
_MARKERS = {
    "o": "circle", "s": "square", "D": "diamond", "d": "diamond-tall", "v": "triangle-down", "^": "triangle-up",
    "<": "triangle-left", ">": "triangle-right", "P": "cross", "X": "x", "*": "star", "p": "pentagon",
    "h": "hexagon", "8": "octagon",
}  # fmt: skip


def _look(look: Look) -> dict[str, str]:
    marker = _MARKERS.get(look.marker, "circle") + ("" if look.filling == "full" else "-open")
    return {"color": look.color, "dash": _dash(look.dash), "marker": marker}


def _dash(dash: Dash) -> str:
    """Matplotlib's dashes, in line widths, as plotly's, in pixels."""
    if isinstance(dash, str):
        return "solid"
    return ",".join(f"{2 * length:g}px" for length in dash[1])
