"""Returns of groups of agents (slow, new, attacking, good), where each agent has a loop of its own.

An agent is of one kind: an attacker, else a newcomer, else slow, else good. Groups are the kinds, told apart by
the kind of loop where a configuration has several. `honest` are all agents except attackers, and `worst` is
the honest agent with the lowest return.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.labels import topology_cell
from rsm.analysis.load import Runs
from rsm.analysis.tables import interval_text, number_text, points_text
from rsm.runs.performance import last_evaluations
from rsm.runs.schema import AGENTS

GOOD, HONEST, WORST = "good", "honest", "worst"
# Column of the table `agents` → kind; the first that holds.
KINDS = {"attacker": "attackers", "newcomer": "newcomers", "slow": "slow"}
NOTE = (
    "Final return of the agents' own loops, with mean actions: interquartile mean over seeds with its 95 "
    "% bootstrap interval. Below five seeds there is no interval, and the value of each seed is given in "
    "brackets. An agent counts as an attacker, a newcomer, slow or good, whichever applies first. "
    "Honest: all agents except attackers; this is the return of the main table. Worst: the honest agent "
    "with the lowest return over the last evaluations. Agents under a team reward have no returns of "
    "their own."
)
_COLUMNS = ("group", "agents", "return_iqm", "return_low", "return_high", "return_points")


def kinds(agents: pd.DataFrame) -> pd.Series:
    """The kind of the agent in each row of a table `agents`."""
    flags = [agents[name].astype(bool) for name in KINDS]
    return pd.Series(np.select(flags, list(KINDS.values()), GOOD), index=agents.index)


def agents_table(runs: Runs, index: pd.DataFrame) -> pd.DataFrame:
    """Deterministic returns of every agent, mean over held-out episodes, and its `group`.

    Columns: configuration, seed, episode, agent, kind, group and return.
    """
    table = runs.table(AGENTS, index)
    table = table[table["mode"] == "deterministic"]
    table = table.assign(kind=kinds(table), group="")
    for _, part in table.groupby("configuration", sort=False):
        kind, loop = part["kind"], part["loop"].astype(str)
        if loop.nunique() > 1:
            kind = loop if (kind == GOOD).all() else kind + " on " + loop
        table.loc[part.index, "group"] = kind
    key = ["configuration", "seed", "episode", "agent", "kind", "group"]
    return table.groupby(key, sort=False)["return"].mean().reset_index()


def grouped(agents: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Returns of groups, of those of single agents: the columns of `key`, group, agents (in it) and return."""
    honest = agents[agents["kind"] != KINDS["attacker"]]
    found = {
        name: honest.groupby(key, sort=False)["return"].agg(["size", how]).assign(group=name)
        for name, how in ((HONEST, "mean"), (WORST, "min"))
    }
    found[WORST]["size"] = 1
    frames = [frame.set_axis(["agents", "return", "group"], axis=1) for frame in found.values()]
    if agents["group"].nunique() > 1:
        parts = agents.groupby([*key, "group"], sort=False)["return"].agg(["size", "mean"])
        frames.append(parts.set_axis(["agents", "return"], axis=1).reset_index("group"))
    return pd.concat(frames).reset_index()


def groups(runs: Runs) -> pd.DataFrame:
    """Final returns of groups: a row per configuration and group, controls last.

    Columns: those of `selection.counts`, group, agents (in it, mean over seeds), return_iqm with return_low and
    return_high, and return_points (of each seed, in words, where they are too few for an interval).
    Configurations whose agents have no returns of their own have no rows.
    """
    index = selection.in_order(runs.index)
    table = agents_table(runs, selection.with_return(index))
    frames = []
    for row in selection.records(selection.counts(index)):
        own = table[table["configuration"] == row["configuration"]]
        if own.empty:
            continue
        last = pd.concat(last_evaluations(part) for _, part in own.groupby("seed"))
        final = last.groupby(["seed", "agent", "kind", "group"])["return"].mean().reset_index()
        for name, part in grouped(final, ["seed"]).groupby("group", sort=False):
            value = selection.estimate(part["return"])
            found = {"group": name, "agents": part["agents"].mean()}
            found |= dict(zip(_COLUMNS[2:5], value, strict=True))
            found["return_points"] = selection.points(part["return"])
            frames.append(pd.DataFrame([row | found]))
    return facets.gathered(frames, _COLUMNS)


def markdown(table: pd.DataFrame, study: str) -> str:
    """The table of `groups` as Markdown with what its columns mean."""
    heading = f"# {study}: returns of groups of agents"
    rows = [
        {
            "method": row["label"],
            "topology": topology_cell(row["topology"]),
            "P": number_text(row["segments"], "{:.0f}"),
            "group": row["group"],
            "agents": f"{row['agents']:.3g}",
            "return": points_text(
                interval_text(row, "return", "{:.3f}", "_iqm"), row["return_points"]
            ),
        }
        for row in selection.records(table)
    ]
    if not rows:
        return f"{heading}\n\nNo finished run has agents with returns of their own.\n"
    sides = ["left", "left", "right", "left", "right", "right"]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, NOTE]) + "\n"
