"""Runs gathered by cell: what figures and tables share. A cell is a row of the grid without its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis.labels import without
from rsm.analysis.load import Runs
from rsm.analysis.statistics import (
    UNKNOWN,
    Estimate,
    Floats,
    interquartile_mean,
    interquartile_mean_estimate,
    stratified_bootstrap_interval,
)
from rsm.analysis.trajectories import PUBLISHED_SEGMENTS
from rsm.config.catalogue import METHODS

# Columns that say which cell a row of figure data belongs to.
CELL = ("cell", "label", "method", "control", "topology", "segments", "share")
NONE = "no run finished"
STATES = ("seeds", "failed", "missing")  # how many runs were asked for, and are not there
_CURVES = (
    "episode", "env_steps", "bytes_sent", "return", "return_low", "return_high", "mean_speed",
    "mean_speed_low", "mean_speed_high",
)  # fmt: skip

REFERENCES = ("fmarl", "average")  # methods that the others are compared with
LEVELS = ("human", "go", "platoon")  # controls drawn as levels; `random` would stretch the axis


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
    """Per cell: CELL and how many seeds were asked for, `failed` and `missing`, in order."""
    grouped = index.groupby("cell", sort=False)
    states = grouped["status"]
    return pd.DataFrame(
        {
            **{name: grouped[name].first() for name in CELL if name != "cell"},
            "seeds": grouped.size(),
            "failed": states.agg(lambda column: int((column == "failed").sum())),
            "missing": states.agg(lambda column: int((column == "missing").sum())),
        }
    ).reset_index()[[*CELL, *STATES]]


def gap(row: Mapping[str, Any] | pd.Series) -> str:
    """What a row of `counts`, or a sum of them, lacks, in words; empty where every run finished."""
    if row["failed"] + row["missing"] == row["seeds"]:
        return NONE
    words = (f"{row[name]:.0f} of {row['seeds']:.0f} {name}" for name in STATES[1:] if row[name])
    return ", ".join(words)


def gaps(frame: pd.DataFrame) -> dict[str, str]:
    """Label → `gap` over all cells of it in `frame`, which has the columns of `counts`."""
    sums = frame.drop_duplicates("cell").groupby("label", sort=False)[list(STATES)].sum()
    return {str(label): gap(row) for label, row in sums.iterrows()}


def reference(part: pd.DataFrame, index: pd.DataFrame, method: str) -> pd.DataFrame:
    """Finished runs of `method` that those of `part` are compared with; empty where there are none.

    Where cells of the method differ it is the label that shares what is exchanged and how much is lost,
    as far as `part` has such a thing, else the first. One whose runs all failed is not replaced.
    """
    found = index[index["method"] == method]
    if found["label"].nunique() > 1 and len(part):
        for name in ("share", "loss_rate"):
            same = found[found[name] == part[name].iloc[0]]
            found = same if len(same) else found
        found = found[found["label"] == found["label"].iloc[0]]
    return with_return(found)


def with_return(index: pd.DataFrame) -> pd.DataFrame:
    """The runs that finished, and with a final return."""
    return index[(index["status"] == "finished") & index["final_return"].notna()]


def levels(runs: Runs) -> pd.DataFrame:
    """Controls as levels: CELL, `return` and `mean_speed` (m/s), IQM over seeds."""
    rows = runs.finished[runs.finished["method"].isin(LEVELS)]
    grouped = rows.groupby("cell", sort=False)
    frame = grouped[[name for name in CELL if name != "cell"]].first()
    frame["return"] = grouped["final_return"].agg(_iqm)
    frame["mean_speed"] = grouped["final_mean_speed"].agg(_iqm)
    return frame.reset_index()


def evaluation_curves(runs: Runs, index: pd.DataFrame) -> pd.DataFrame:
    """Deterministic evaluations of the cells of `index`, by training episode.

    Columns: those of `counts`, episode, env_steps and bytes_sent (median over seeds), and for return
    and mean_speed (m/s) the IQM over seeds with `_low` and `_high`. Only episodes that every
    finished seed of the cell evaluated are kept, so that a curve never changes its seeds midway.
    """
    by_seed = scores_by_seed(runs, index)
    frames = []
    for row in records(counts(index)):
        wide = by_seed.get(row["cell"])
        if wide is None:  # kept without episode, so that a legend can say what happened
            frames.append(pd.DataFrame([row]))
            continue
        frame = pd.DataFrame({"episode": wide.index})
        for name in ("env_steps", "bytes_sent"):
            frame[name] = pd.DataFrame(wide[name]).median(axis="columns").to_numpy()
        for name in ("return", "mean_speed"):
            scores = wide[name].to_numpy(dtype=np.float64).T  # [seeds, evaluations]
            low, high = stratified_bootstrap_interval([scores], generator())
            frame[name] = interquartile_mean(scores, axis=0)
            frame[f"{name}_low"], frame[f"{name}_high"] = low, high
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return gathered(frames, _CURVES)


def scores_by_seed(runs: Runs, index: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Cell → its deterministic evaluations, for the cells of `index` that have any.

    A row per training episode that every finished seed of the cell evaluated, and columns (quantity, seed)
    with env_steps, bytes_sent, return and mean_speed (m/s), means over held-out episodes.
    """
    quantities = ["env_steps", "bytes_sent", "return", "mean_speed"]
    table = runs.table("evaluations", index, ["episode", "mode", *quantities])
    table = table[table["mode"] == "deterministic"]
    found = {}
    for cell, part in table.groupby("cell", sort=False):
        per_seed = part.groupby(["episode", "seed"])[quantities].mean()
        found[str(cell)] = pd.DataFrame(per_seed.unstack("seed")).dropna()
    return found


def gathered(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Frames one below the other with the columns of `counts` and `columns`, be they empty or not."""
    wanted = [*CELL, *STATES, *columns]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=wanted)
    return frame.reindex(columns=wanted).astype({"control": bool})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as mappings from column to value."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def curves_and_levels(runs: Runs) -> pd.DataFrame:
    """`evaluation_curves` of every method at one P, then a row per control without episode."""
    curves = evaluation_curves(runs, representative(learners(runs)))
    return pd.concat([curves, levels(runs)], ignore_index=True)


def learned_and_levels(data: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figure data, maybe read from CSV, split into methods and controls."""
    control = data["control"].astype(bool)  # an empty column of a CSV has no type
    return data[~control], data[control]


def topologies(index: pd.DataFrame) -> list[str | None]:
    """Topologies of a study in its order; [None] where no method has one."""
    found = list(dict.fromkeys(index["topology"].dropna()))
    return found or [None]


def on_topology(frame: pd.DataFrame, topology: str | None) -> pd.DataFrame:
    """Rows of that topology and rows of methods that have none."""
    return frame[frame["topology"].isna() | (frame["topology"] == topology)]


class Facet(NamedTuple):
    """What one panel of a figure shows."""

    topology: str | None
    share: str | None  # None where the study varies no share
    part: pd.DataFrame  # the rows of that topology and share, and of methods that have none


def facets(frame: pd.DataFrame) -> list[Facet]:
    """A panel per topology and, where it varies, what is shared, which then leaves the labels.

    There is none for a topology on which nothing of that share was run. What only methods without a
    topology share has a panel of its own.
    """
    if len(shares(frame)) < 2:
        return [Facet(name, None, on_topology(frame, name)) for name in topologies(frame)]
    placed = frame[frame["topology"].notna()]
    known = set(zip(placed["topology"], placed["share"], strict=True))
    pairs = [(name, share) for name in topologies(placed) for share in shares(frame)]
    pairs = [pair for pair in pairs if pair in known]
    pairs += [(None, share) for share in shares(frame) if share not in set(placed["share"])]
    return [
        Facet(topology, share, sharing(on_topology(frame, topology), share))
        for topology, share in pairs
    ]


def shares(frame: pd.DataFrame) -> list[str]:
    """What is shared in a study, in its order; nothing where no method exchanges."""
    return list(dict.fromkeys(frame["share"].dropna()))


def of_share(frame: pd.DataFrame, share: str) -> pd.DataFrame:
    """Rows of that share and rows of methods that share nothing."""
    return frame[frame["share"].isna() | (frame["share"] == share)]


def sharing(frame: pd.DataFrame, share: str) -> pd.DataFrame:
    """`of_share`, whose labels the share leaves."""
    own = of_share(frame, share)
    return own.assign(label=[without(label, share) for label in own["label"]])


def _iqm(scores: pd.Series) -> float:
    known = scores.dropna().to_numpy(dtype=np.float64)
    return float(interquartile_mean(known)) if len(known) else float("nan")


def final_scores(index: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Final numbers of every run of `index`, and of its cell.

    `columns` maps a column of the summary to its name in the result. Columns: those of `counts`, seed,
    each quantity of the run (NaN where it did not finish) and the cell's IQM of it with its interval
    as `_iqm`, `_low`, `_high`.
    """
    frames = []
    for row in records(counts(index)):
        runs = index[index["cell"] == row["cell"]]
        frame = pd.DataFrame([row] * len(runs)).assign(seed=runs["seed"].to_numpy())
        done = (runs["status"] == "finished").to_numpy()
        for source, name in columns.items():
            scores = runs[source].where(done)
            value, low, high = estimate(scores)
            frame[name] = scores.to_numpy()
            frame[f"{name}_iqm"], frame[f"{name}_low"], frame[f"{name}_high"] = value, low, high
        frames.append(frame)
    suffixes = ("", "_iqm", "_low", "_high")
    return gathered(
        frames, ["seed", *(name + end for name in columns.values() for end in suffixes)]
    )


def paired(finished: pd.DataFrame, label: str, reference: str) -> tuple[list[Floats], list[Floats]]:
    """Final returns of `label` and `reference` by topology, on the topologies that both have.

    A method without a topology is one stratum, to be compared with every topology of the other. Both are
    empty where there is nothing to compare.
    """
    sides = [
        {
            topology: runs["final_return"].to_numpy(dtype=np.float64)
            for topology, runs in own.groupby(own["topology"].fillna(""), sort=False)
        }
        for own in (finished[finished["label"] == name] for name in (label, reference))
    ]
    if not any("" in side for side in sides):
        common = [topology for topology in sides[0] if topology in sides[1]]
        sides = [{topology: side[topology] for topology in common} for side in sides]
    x, y = (list(side.values()) for side in sides)
    return (x, y) if x and y else ([], [])
