"""Whose replicas a gate accepts, and who judged them: by the kinds of receivers, senders and jurors.

Jurors are drawn among the neighbours that sent nothing of a replica. So where good agents sent, the others are
left to judge, and acceptance by sender alone mixes up two things: what was sent, and who judged it.
"""

from __future__ import annotations

import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.groups import GOOD, KINDS, agents_table
from rsm.analysis.labels import topology_cell
from rsm.analysis.load import Runs
from rsm.analysis.tables import interval_text, number_text
from rsm.runs.performance import episodes_at

UNLIKE, NOBODY = "unlike", "no peers"
NOTE = (
    "Accepted of the replicas that honest receivers judged in the second half of training or, where agents "
    "begin anew, after that: interquartile mean over seeds, with its 95 % bootstrap interval (none below five "
    "seeds). Unlike are newcomers, slow agents and attackers; all others are good. Unlike senders: how many of "
    "the segments came from them. Jurors: what most of those that answered are, half and half counting as "
    f"unlike; “{NOBODY}”: the receiver's own critic or no critic judged. Judged: replicas of all seeds."
)
_CELL = ("receiver", "unlike_senders", "jurors")
_ESTIMATE = ("acceptance", "acceptance_low", "acceptance_high")
_COLUMNS = (*_CELL, *_ESTIMATE, "judged")
_WORST_FIRST = (*KINDS.values(), GOOD)


def by_configuration(runs: Runs) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The row of `selection.counts` of every configuration with a gate, and its judged replicas (`_judged`).

    These are empty where nothing was judged, or where no agent can be told from the others: under a team
    reward.
    """
    learners = selection.learners(runs)
    index = learners[learners["rule"].notna()]
    known = agents_table(runs, index).drop_duplicates(["configuration", "seed", "agent"])
    found = []
    for row in selection.records(selection.counts(index)):
        part = index[index["configuration"] == row["configuration"]]
        agents = known[known["configuration"] == row["configuration"]]
        found.append((row, _judged(runs, part, agents) if len(agents) else pd.DataFrame()))
    return found


def _judged(runs: Runs, part: pd.DataFrame, agents: pd.DataFrame) -> pd.DataFrame:
    """The judged replicas of honest receivers of a configuration.

    Columns: seed, episode, accepted (%), receiver (its kind), group (the worst kind among its senders:
    attackers, newcomers, slow, good), unlike_senders (segments of agents that are not good) and jurors (GOOD,
    UNLIKE or NOBODY).
    """
    columns = ["env_steps", "agent", "sources", "jurors", "outcome"]
    trace = runs.table("zeta", part, columns)
    episodes = runs.table("episodes", part, ["episode", "env_steps"])
    frames = []
    for seed, own in trace.groupby("seed"):
        ended = episodes[episodes["seed"] == seed]
        own = own.assign(episode=episodes_at(own["env_steps"], ended)).dropna(subset=["episode"])
        kind = agents[agents["seed"] == seed].set_index("agent")["kind"].to_dict()
        own = own.assign(receiver=own["agent"].map(kind))
        own = own[own["receiver"] != KINDS["attacker"]]
        senders = [[kind[sender] for sender in sources] for sources in own["sources"]]
        # No list of jurors at all is nobody, as an empty one.
        jurors = [[] if who is None else [kind[juror] for juror in who] for who in own["jurors"]]
        frames.append(
            own.assign(
                group=[min(kinds, key=_WORST_FIRST.index) for kinds in senders],
                unlike_senders=[len(kinds) - kinds.count(GOOD) for kinds in senders],
                jurors=[_most(kinds) for kinds in jurors],
            )
        )
    if not frames:
        return pd.DataFrame()
    found = pd.concat(frames)
    found["accepted"] = 100.0 * (found["outcome"] == "accepted")
    return found[["seed", "episode", "accepted", "group", *_CELL]]


def _most(kinds: list[str]) -> str:
    if not kinds:
        return NOBODY
    return GOOD if 2 * kinds.count(GOOD) > len(kinds) else UNLIKE


def table(runs: Runs) -> pd.DataFrame:
    """Accepted of judged replicas by receiver, senders and jurors, late in training.

    Columns: those of `selection.counts`, receiver (kind), unlike_senders (segments from agents that are not
    good), jurors (good, unlike or no peers: what most are), acceptance (%, IQM over seeds) with its interval as
    _low and _high, and judged (replicas, of all seeds). Late is the second half of training or, where agents
    begin anew, the time after that.
    """
    frames = []
    for row, judged in by_configuration(runs):
        if judged.empty:
            continue
        second_half = judged["episode"].max() // 2 + 1
        since = runs.anew_at.get(str(row["configuration"]), second_half)
        late = judged[judged["episode"] >= since]
        for cell, own in late.groupby(list(_CELL)):
            shares = own.groupby("seed")["accepted"].mean()
            value = dict(zip(_ESTIMATE, selection.estimate(shares), strict=True))
            found = dict(zip(_CELL, cell, strict=True)) | value | {"judged": len(own)}
            frames.append(pd.DataFrame([row | found]))
    return facets.gathered(frames, _COLUMNS)


def markdown(found: pd.DataFrame, study: str) -> str:
    """The `table` as Markdown with what its columns mean."""
    heading = f"# {study}: whose replicas are accepted, and who judged them"
    rows = [
        {
            "method": row["label"],
            "topology": topology_cell(row["topology"]),
            "P": number_text(row["segments"], "{:.0f}"),
            "receiver": row["receiver"],
            "unlike senders": f"{row['unlike_senders']:.0f}",
            "jurors": row["jurors"],
            "accepted (%)": interval_text(row, "acceptance", "{:.1f}"),
            "judged": f"{row['judged']:.0f}",
        }
        for row in selection.records(found)
    ]
    if not rows:
        return f"{heading}\n\nNothing was judged among agents with returns of their own.\n"
    sides = ["left", "left", "right", "left", "right", "left", "right", "right"]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, NOTE]) + "\n"
