"""Figure: acceptance of replicas by the kind of their senders."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import matrix, style
from rsm.analysis.groups import GOOD, KINDS, agents_table
from rsm.analysis.load import Runs
from rsm.runs.performance import episodes_at

TITLE, CATEGORY = "Whom the gate trusts", "Regulation"

BINS = 8
_COLUMNS = ("episode", "group", "acceptance", "acceptance_low", "acceptance_high", "judged", "seed")
_WORST_FIRST = (*KINDS.values(), GOOD)


def data(runs: Runs) -> pd.DataFrame:
    """Accepted of judged replicas by the worst kind of agent among their senders, of every judge and rule.

    A replica with a segment of an attacker counts for `attackers`, else one of a newcomer for `newcomers`, else
    one of a slow agent for `slow`; the others are of good agents alone. Receivers that attack do not count.
    Columns: those of `selection.counts`, episode (middle of one of 8 equal parts of training), group,
    acceptance (%, IQM over seeds) with its 95 % interval as _low and _high, judged (replicas, of all seeds),
    and seed, where a row is of one seed alone. Empty where nothing was judged, or where no agent can be told
    from the others: under a team reward.
    """
    learners = selection.learners(runs)
    index = learners[learners["rule"].notna()]
    known = agents_table(runs, index).drop_duplicates(["configuration", "seed", "agent"])
    frames, some = [], False
    for row in selection.records(selection.counts(index)):
        part = index[index["configuration"] == row["configuration"]]
        agents = known[known["configuration"] == row["configuration"]]
        frame = pd.DataFrame([{"judged": 0}])
        if len(agents) and len(judged := _judged(runs, part, agents)):
            frame, some = _shares(judged), True
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames if some else [], _COLUMNS)


def _judged(runs: Runs, part: pd.DataFrame, agents: pd.DataFrame) -> pd.DataFrame:
    """The judged replicas of honest receivers of a configuration: seed, episode, accepted (%) and group."""
    trace = runs.table("zeta", part, ["env_steps", "agent", "sources", "outcome"])
    episodes = runs.table("episodes", part, ["episode", "env_steps"])
    frames = []
    for seed, own in trace.groupby("seed"):
        ended = episodes[episodes["seed"] == seed]
        own = own.assign(episode=episodes_at(own["env_steps"], ended)).dropna(subset=["episode"])
        kinds = agents[agents["seed"] == seed].set_index("agent")["kind"]
        place = kinds.map(_WORST_FIRST.index).to_dict()
        honest = own[own["agent"].map(kinds) != KINDS["attacker"]]
        worst = [min(place[sender] for sender in sources) for sources in honest["sources"]]
        frames.append(honest.assign(group=[_WORST_FIRST[number] for number in worst]))
    if not frames:
        return pd.DataFrame()
    found = pd.concat(frames)
    found["accepted"] = 100.0 * (found["outcome"] == "accepted")
    return found[["seed", "episode", "accepted", "group"]]


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
