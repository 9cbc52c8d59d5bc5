"""Selecting the runs of a study by configuration, that is a row of the grid without its seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rsm.analysis.load import Runs
from rsm.analysis.statistics import (
    FEWEST,
    UNKNOWN,
    Estimate,
    Floats,
    interquartile_mean_estimate,
)
from rsm.analysis.trajectories import PUBLISHED_SEGMENTS
from rsm.analysis.worlds import in_world
from rsm.config.catalogue import METHODS

# Columns that say which configuration a row of figure data belongs to.
CONFIGURATION = (
    "configuration", "label", "world", "method", "control", "topology", "segments", "share",
)  # fmt: skip
NONE = "no run finished"
STATES = ("seeds", "failed", "missing")  # numbers of runs: asked for, failed, missing

REFERENCES = ("fmarl", "average")  # methods that the others are compared with
# Controls drawn as levels; `random` would stretch the axis.
LEVELS = ("human", "untrained", "go", "platoon", "meter")


def generator() -> np.random.Generator:
    """A fresh generator of the bootstrap, the same for every quantity, so that redrawing one figure
    or reordering a table changes no interval."""
    return np.random.default_rng(2312_10123)


def estimate(scores: pd.Series) -> Estimate:
    """IQM of one value per seed with its interval; NaN where there is none."""
    known = scores.dropna().to_numpy(dtype=np.float64)
    if not len(known):
        return UNKNOWN
    return interquartile_mean_estimate([known], generator())


def points(scores: pd.Series) -> str:
    """One number per seed, in words, where they are too few for an interval and more than one; else empty."""
    known = scores.dropna()
    return " ".join(f"{value:.3f}" for value in known) if 1 < len(known) < FEWEST else ""


def in_order(index: pd.DataFrame) -> pd.DataFrame:
    """The index by method as registered, then controls, else in the order of the study."""
    order = {name: position for position, name in enumerate(METHODS)}
    position = index["method"].map(lambda name: order.get(name, len(order)))
    return index.iloc[np.argsort(position.to_numpy(), kind="stable")]


def learners(runs: Runs) -> pd.DataFrame:
    """The rows of the index that learn, in the order of the registry."""
    return in_order(runs.index[~runs.index["control"]])


def representative(index: pd.DataFrame) -> pd.DataFrame:
    """The index with one P for methods that have segments: the published one, else the largest."""
    values = index["segments"].dropna()
    if values.empty:
        return index
    main = PUBLISHED_SEGMENTS if (values == PUBLISHED_SEGMENTS).any() else values.max()
    return index[index["segments"].isna() | (index["segments"] == main)]


def counts(index: pd.DataFrame) -> pd.DataFrame:
    """Per configuration: CONFIGURATION and how many seeds were asked for, `failed` and `missing`, in order."""
    grouped = index.groupby("configuration", sort=False)
    states = grouped["status"]
    return pd.DataFrame(
        {
            **{name: grouped[name].first() for name in CONFIGURATION if name != "configuration"},
            "seeds": grouped.size(),
            "failed": states.agg(lambda column: int((column == "failed").sum())),
            "missing": states.agg(lambda column: int((column == "missing").sum())),
        }
    ).reset_index()[[*CONFIGURATION, *STATES]]


def gap(row: Mapping[str, Any] | pd.Series) -> str:
    """The failed and missing runs of a row (or sum) of `counts`, in words; empty if all finished."""
    if row["failed"] + row["missing"] == row["seeds"]:
        return NONE
    words = (f"{row[name]:.0f} of {row['seeds']:.0f} {name}" for name in STATES[1:] if row[name])
    return ", ".join(words)


def gaps(frame: pd.DataFrame) -> dict[str, str]:
    """Label → `gap` over all configurations of it in `frame`, which has the columns of `counts`."""
    sums = frame.drop_duplicates("configuration").groupby("label", sort=False)[list(STATES)].sum()
    return {str(label): gap(row) for label, row in sums.iterrows()}


def reference(part: pd.DataFrame, index: pd.DataFrame, method: str) -> pd.DataFrame:
    """Finished runs of `method` that those of `part` are compared with; empty where there are none.

    They are of the same world. Where configurations of the method differ it is the label that shares what is
    exchanged, how much is lost, whether agents wait and what they begin with, as far as `part` has such a
    thing, else the first. One whose runs all failed is not replaced.
    """
    found = index[index["method"] == method]
    if len(part) and isinstance(world := part["world"].iloc[0], str):
        found = in_world(found, world)
    if found["label"].nunique() > 1 and len(part):
        for name in ("share", "loss_rate", "communication_mode", "begins"):
            same = found[found[name] == part[name].iloc[0]]
            found = same if len(same) else found
        found = found[found["label"] == found["label"].iloc[0]]
    return with_return(found)


def with_return(index: pd.DataFrame) -> pd.DataFrame:
    """The runs that finished, and with a final return."""
    return index[(index["status"] == "finished") & index["final_return"].notna()]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as mappings from column to value."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def by_seed(*strata: pd.DataFrame) -> tuple[list[Floats], bool]:
    """Final returns of each stratum, of the seeds that all of them have and in their order, and True.

    Where they have no seed in common: all final returns, and False, since they are no pairs.
    """
    common = set.intersection(*(set(runs["seed"]) for runs in strata)) if strata else set()
    chosen = [runs[runs["seed"].isin(common)] if common else runs for runs in strata]
    scores = [runs.sort_values("seed")["final_return"].to_numpy(np.float64) for runs in chosen]
    return scores, bool(common)


def paired(
    finished: pd.DataFrame, label: str, reference: str
) -> tuple[list[Floats], list[Floats], bool]:
    """Final returns of `label` and `reference` by topology, on the topologies that both have, as `by_seed`.

    A method without a topology is one stratum, to be compared with every topology of the other. Both are
    empty where there is nothing to compare.
    """
    sides = [
        dict(iter(own.groupby(own["topology"].fillna(""), sort=False)))
        for own in (finished[finished["label"] == name] for name in (label, reference))
    ]
    if not any("" in side for side in sides):
        common = [topology for topology in sides[0] if topology in sides[1]]
        sides = [{topology: side[topology] for topology in common} for side in sides]
    x, y = (list(side.values()) for side in sides)
    if not (x and y):
        return [], [], False
    scores, pairs = by_seed(*x, *y)
    return scores[: len(x)], scores[len(x) :], pairs
