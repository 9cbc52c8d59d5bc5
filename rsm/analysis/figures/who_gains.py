"""Figure: returns of good, slow, new and attacking agents, of every method in every world."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import matrix, style
from rsm.analysis.groups import GOOD, HONEST, WORST, agents_table, grouped
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Who gains", "Performance"

_COLUMNS = ("episode", "group", "return", "return_low", "return_high", "seed")
_LEVELS = ("go", "platoon")


def data(runs: Runs) -> pd.DataFrame:
    """Return of each group of agents by training episode, of every method at one P, then the controls.

    Columns: those of `selection.counts`, episode, group (`rsm.analysis.groups`), return (IQM over seeds of the
    deterministic evaluations) with its 95 % interval as _low and _high, and seed, where a row is of one seed
    alone. Empty where no agent has a return of its own.
    """
    index = selection.representative(selection.learners(runs))
    table = agents_table(runs, index)
    if table.empty:
        return facets.gathered([], _COLUMNS)
    frames = []
    for row in selection.records(selection.counts(index)):
        own = table[table["configuration"] == row["configuration"]]
        frame = pd.DataFrame([{}])
        if len(own):
            frame = matrix.estimates(grouped(own, ["seed", "episode"]), "return")
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    frames.append(facets.levels(runs).drop(columns="mean_speed"))
    return facets.gathered(frames, _COLUMNS)


def draw(data: pd.DataFrame) -> Figure:
    """A row per world and topology, a column per method, a line per group and for the worst honest agent."""
    curves, levels = facets.learned_and_levels(data)
    if curves.empty:
        return style.empty("no groups: no finished run has agents with returns of their own")
    # All honest agents are a line where there is nobody else to be told from.
    kinds = curves[~curves["group"].isin([HONEST, WORST])].dropna(subset=["group"])
    apart = curves["configuration"].isin(kinds["configuration"])
    curves = curves[~(apart & (curves["group"] == HONEST))]
    if GOOD in set(curves["group"]):  # where all are good, they are drawn as such
        curves = curves.assign(group=curves["group"].replace(HONEST, GOOD))
    known = dict(zip(levels["label"], levels["return"], strict=True))
    values = {name: known[name] for name in _LEVELS if name in known}
    return matrix.draw(curves, "return", "return of their own loops", levels=values)
