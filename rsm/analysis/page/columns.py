"""The columns of the main table on the page: what each means, which side is better, and where it is shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

VIEWS = {"main": "Main", "comparisons": "Comparisons", "costs": "Communication and time"}


class Column(NamedTuple):
    """A heading of `rsm.analysis.tables.readable` and the column of main.csv that it sorts by."""

    heading: str
    key: str
    better: int  # 1: more is better, −1: less is, 0: neither
    views: tuple[str, ...]
    meaning: str


_MAIN, _COMPARED, _COST = ("main",), ("comparisons",), ("costs",)
COLUMNS = (
    Column(
        "seeds", "finished", 0, tuple(VIEWS),
        "Runs of this configuration that finished, of those asked for. Runs differ in the seed alone.",
    ),
    Column(
        "return", "return_iqm", 1, tuple(VIEWS),
        "Final return, from 0 to 1: mean over the last 10 % of the evaluations, mean actions. Interquartile "
        "mean over seeds with its 95 % bootstrap interval; below five seeds, the return of each seed.",
    ),
    Column(
        "return, sampled actions", "return_stochastic_iqm", 1, _COMPARED,
        "The final return with actions drawn from the policy in place of its mean.",
    ),
    Column(
        "return without collision", "return_without_collision_iqm", 0, _COMPARED,
        "Mean over those episodes of the final return that had no collision. Seeds without such an episode are "
        "left out. Empty where a scenario has several loops.",
    ),
    Column(
        "worst agent", "worst_iqm", 1, _MAIN,
        "Final return of the honest agent that has the least. Only where every agent has a return of its own.",
    ),
    Column(
        "speed (m/s)", "mean_speed", 1, _MAIN,
        "Mean speed of all vehicles in the same evaluations, in metres per second.",
    ),
    Column(
        "ratio to fmarl", "ratio_to_fmarl", 1, _MAIN,
        "Final return divided by that of centralised FMARL, in pairs of runs of the same seed.",
    ),
    Column(
        "ahead of fmarl", "ahead_of_fmarl", 1, _COMPARED,
        "Final return minus that of FMARL, in pairs of runs of the same seed.",
    ),
    Column(
        "ahead of independent", "ahead_of_independent", 1, (*_MAIN, *_COMPARED),
        "Final return minus that of independent learning, in pairs of runs of the same seed.",
    ),
    Column(
        "P(better than fmarl)", "improvement_over_fmarl", 1, _COMPARED,
        "Probability of improvement: how likely a run ends above a run of FMARL of the same seed.",
    ),
    Column(
        "P(better than average)", "improvement_over_average", 1, _COMPARED,
        "Probability of improvement over averaging on the same topology.",
    ),
    Column(
        "go–platoon gap (%)", "gap_share", 1, (*_MAIN, *_COMPARED),
        "Where the final return lies between two controls: 0 % is always-accelerate control (go), 100 % is the "
        "scripted platoon controller.",
    ),
    Column(
        "sent (MB)", "megabytes_sent", -1, (*_MAIN, *_COST),
        "All bytes transmitted by all nodes in a run (requests, headers, payload, lost frames), in megabytes, "
        "mean per run.",
    ),
    Column(
        "payload per agent (MB)", "payload_megabytes_per_agent", -1, _COST,
        "Parameter bytes divided by the number of agents, in megabytes, mean per run.",
    ),
    Column(
        "heaviest node (%)", "heaviest_share", -1, _COST,
        "Share of all bytes that the busiest node sent or received. A central server is such a node.",
    ),
    Column(
        "rounds to 95 % of fmarl", "rounds_to_target", -1, (*_MAIN, *_COST),
        "Communication rounds until the first evaluation that reaches 95 % of the final return of FMARL, and "
        "the training episode (ep.) of that evaluation.",
    ),
    Column(
        "accepted (%)", "acceptance_rate", 0, (*_MAIN, *_COST),
        "Acceptance rate: share of the judged replicas that were accepted.",
    ),
    Column(
        "crashed (%)", "crashed", -1, _COST,
        "Share of all evaluation episodes, since the first evaluation, that had a collision.",
    ),
    Column("wall (min)", "wall_min", -1, _COST, "Wall time of a run in minutes, mean per run."),
    Column(
        "updates not made", "updates_not_made", -1, _COST,
        "Updates that agents could have made had they not waited for slower ones, mean per run.",
    ),
)  # fmt: skip

UNTIL = Column(  # its heading holds the target return of the study
    "", "rounds_to_return", -1, (*_MAIN, *_COST),
    "Communication rounds, and the training episode (ep.), until the mean return of five training episodes "
    "first reaches the target return of the study. Median over seeds; "
    "empty where half of them or more never do.",
)  # fmt: skip
SENT = (
    "megabytes_sent",
    "payload_megabytes_per_agent",
)  # the least is marked among those that send


def column(heading: str) -> Column:
    """The column of a heading; one that is not known has no explanation and is not sorted by a number."""
    for known in COLUMNS:
        if known.heading == heading:
            return known
    if heading.startswith("rounds to "):
        return UNTIL._replace(heading=heading)
    return Column(heading, "", 0, _COST, "")


_BESIDE = ("episode_to_target", "episode_to_return", "target_return", "reached", "return_points")


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """main.csv with NaN in the columns that a version of rsm did not have when it wrote that file."""
    stems = [known.key.removesuffix("_iqm") for known in (*COLUMNS, UNTIL)]
    ends = [f"{stem}_{end}" for stem in stems for end in ("low", "high")]
    wanted = [*(known.key for known in (*COLUMNS, UNTIL)), *ends, *_BESIDE]
    missing = [name for name in wanted if name not in table]
    return table.assign(**dict.fromkeys(missing, np.nan)) if len(table) else table
