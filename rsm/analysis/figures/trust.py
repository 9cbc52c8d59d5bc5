"""Figure: acceptance of replicas by the kind of their senders."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis import facets, trust
from rsm.analysis.figures import matrix, style
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Whom the gate trusts", "Regulation"

BINS = 8
_COLUMNS = ("episode", "group", "acceptance", "acceptance_low", "acceptance_high", "judged", "seed")


def data(runs: Runs) -> pd.DataFrame:
    """Accepted of judged replicas by the worst kind of agent among their senders, of every judge and rule.

    A replica with a segment of an attacker counts for `attackers`, else one of a newcomer for `newcomers`, else
    one of a slow agent for `slow`; the others are of good agents alone. Receivers that attack do not count.
    Columns: those of `selection.counts`, episode (middle of one of 8 equal parts of training), group,
    acceptance (%, IQM over seeds) with its 95 % interval as _low and _high, judged (replicas, of all seeds),
    and seed, where a row is of one seed alone. Empty where nothing was judged, or where no agent can be told
    from the others: under a team reward.
    """
    found = trust.by_configuration(runs)
    frames = []
    for row, judged in found:
        frame = pd.DataFrame([{"judged": 0}]) if judged.empty else _shares(judged)
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    some = any(len(judged) for _, judged in found)
    return facets.gathered(frames if some else [], _COLUMNS)


def _shares(judged: pd.DataFrame) -> pd.DataFrame:
    last = int(judged["episode"].max())
    width = last / min(BINS, last)
    number = np.ceil(judged["episode"] / width) - 1
    judged = judged.assign(episode=(number + 0.5) * width)
    by_seed = judged.groupby(["group", "episode", "seed"])["accepted"].mean()
    shares = by_seed.rename("acceptance").reset_index()
    counts = judged.groupby(["group", "episode"]).size().rename("judged").reset_index()
    return matrix.estimates(shares, "acceptance").merge(counts, on=["group", "episode"])


def draw(data: pd.DataFrame) -> Figure:
    """A row per world, topology and P, a column per judge and rule, a line per kind of sender."""
    if data.empty:
        return style.empty("nothing judged among agents with returns of their own")
    return matrix.draw(data, "acceptance", "accepted of judged (%)", by_segments=True)
