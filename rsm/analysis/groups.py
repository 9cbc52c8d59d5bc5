"""Returns of groups of agents (slow, new, attacking, good), where each agent has a loop of its own.

An agent is of one kind: an attacker, else a newcomer, else slow, else good. Groups are the kinds, told apart by
the kind of loop where a configuration has several. `honest` are all agents except attackers, and `worst` is
the honest agent with the lowest return.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.differences import ALONE
from rsm.analysis.labels import topology_cell
from rsm.analysis.load import Runs
from rsm.analysis.pareto import MARGIN
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
    "with the lowest return over the last evaluations. Ahead of independent: difference to the same group "
    "under independent learning in the same world, in pairs of a seed, and the number of pairs with a "
    "difference above 0. Level with good: the training episode of the first evaluation from which on the "
    f"group is at most {MARGIN:g} below the good agents of the same run, median over the seeds where there "
    "is one; where agents begin anew, counted from then on. Agents under a team reward have no returns of "
    "their own."
)
_ESTIMATE = ("return_iqm", "return_low", "return_high")
_AHEAD = ("ahead_of_independent", "ahead_of_independent_low", "ahead_of_independent_high")
_COLUMNS = (
    "group", "agents", *_ESTIMATE, "return_points", "pairs", *_AHEAD, "above", "level_episode",
    "level_seeds",
)  # fmt: skip


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
    return_high, and return_points (of each seed, in words, where they are too few for an interval). Then of
    learners: pairs (seeds that `independent` in the same world finished too), ahead_of_independent (difference
    to the same group of it, IQM over the pairs) with its interval, and above (pairs with a difference above 0);
    level_episode and level_seeds, as `level`. Configurations whose agents have no returns of their own have no
    rows.
    """
    index = selection.in_order(runs.index)
    table = agents_table(runs, selection.with_return(index))
    final = {str(name): _final(own) for name, own in table.groupby("configuration", sort=False)}
    frames = []
    for row in selection.records(selection.counts(index)):
        name = row["configuration"]
        if name not in final:
            continue
        base = pd.Series(dtype=object)
        if not row["control"] and row["method"] != ALONE:
            part = index[index["configuration"] == name]
            base = selection.reference(part, index, ALONE)["configuration"]
        when = level(table[table["configuration"] == name], runs.anew_at.get(name, 0))
        for group, own in final[name].groupby("group", sort=False):
            value = selection.estimate(own["return"])
            found = {"group": group, "agents": own["agents"].mean()}
            found |= dict(zip(_ESTIMATE, value, strict=True))
            found["return_points"] = selection.points(own["return"])
            if len(base):
                other = final[base.iloc[0]]
                found |= _ahead(own, other[other["group"] == group])
            frames.append(pd.DataFrame([row | found | when.get(str(group), {})]))
    return facets.gathered(frames, _COLUMNS)


def _final(own: pd.DataFrame) -> pd.DataFrame:
    """`grouped` final returns of a configuration, by seed; `own` are its rows of `agents_table`."""
    last = pd.concat(last_evaluations(part) for _, part in own.groupby("seed"))
    final = last.groupby(["seed", "agent", "kind", "group"])["return"].mean().reset_index()
    return grouped(final, ["seed"])


def _ahead(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    sides = (side.set_index("seed")["return"] for side in (own, other))
    gain = (next(sides) - next(sides)).dropna()
    value = dict(zip(_AHEAD, selection.estimate(gain), strict=True))
    return {"pairs": len(gain), **value, "above": int((gain > 0).sum())} if len(gain) else {}


def level(own: pd.DataFrame, since: int) -> dict[str, dict[str, float]]:
    """When each group of a configuration is level with the good agents of the same run, and stays so.

    Group → level_episode (first evaluation, none before the episode `since`, from which on it is at most MARGIN
    below them; median over the seeds that have one) and level_seeds (their number). Nothing where there are no
    good agents, or only such.
    """
    wide = own.groupby(["group", "seed", "episode"])["return"].mean().unstack("group")
    if GOOD not in wide or wide.shape[1] < 2:
        return {}
    found = {}
    for group in wide.columns.drop(GOOD):
        near = (wide[GOOD] - wide[group] <= MARGIN).unstack("seed").loc[since:]
        stays = near.iloc[::-1].cummin()  # from the last evaluation backwards, as long as it holds
        first = [column.index[column].min() for _, column in stays.items() if column.any()]
        episode = float(np.median(first)) if first else np.nan
        found[str(group)] = {"level_episode": episode, "level_seeds": len(first)}
    return found


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
            "ahead of independent": interval_text(row, "ahead_of_independent", "{:.3f}"),
            "seeds above": _of(row["above"], row["pairs"]),
            "level with good after episode": number_text(row["level_episode"], "{:.0f}"),
            "on seeds": _of(row["level_seeds"], row["seeds"] - row["failed"] - row["missing"]),
        }
        for row in selection.records(table)
    ]
    if not rows:
        return f"{heading}\n\nNo finished run has agents with returns of their own.\n"
    sides = ["left", "left", "right", "left", *["right"] * (len(rows[0]) - 4)]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, NOTE]) + "\n"


def _of(part: float, every: float) -> str:
    return "–" if pd.isna(part) else f"{part:.0f} of {every:.0f}"
