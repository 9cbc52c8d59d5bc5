"""Scores by configuration, topology and share, for the panels and curves of figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis import worlds
from rsm.analysis.labels import without
from rsm.analysis.load import Runs
from rsm.analysis.selection import (
    CONFIGURATION,
    LEVELS,
    STATES,
    counts,
    estimate,
    generator,
    learners,
    records,
    representative,
)
from rsm.analysis.statistics import FEWEST, interquartile_mean, stratified_bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVES = (
    "episode", "env_steps", "bytes_sent", "return", "return_low", "return_high", "mean_speed",
    "mean_speed_low", "mean_speed_high", "seed",
)  # fmt: skip


def levels(runs: Runs) -> pd.DataFrame:
    """Controls as levels: CONFIGURATION, `return` and `mean_speed` (m/s), IQM over seeds."""
    rows = runs.finished[runs.finished["method"].isin(LEVELS)]
    grouped = rows.groupby("configuration", sort=False)
    frame = grouped[[name for name in CONFIGURATION if name != "configuration"]].first()
    frame["return"] = grouped["final_return"].agg(_iqm)
    frame["mean_speed"] = grouped["final_mean_speed"].agg(_iqm)
    return frame.reset_index()


def evaluation_curves(runs: Runs, index: pd.DataFrame) -> pd.DataFrame:
    """Deterministic evaluations of the configurations of `index`, by training episode.

    Columns: those of `counts`, episode, env_steps and bytes_sent (median over seeds), and for return
    and mean_speed (m/s) the IQM over seeds with `_low` and `_high`. Only episodes that every
    finished seed of the configuration evaluated are kept, so that a curve never changes its seeds midway.
    Where the seeds are too few for an interval, rows with a `seed` follow: the evaluations of each.
    """
    by_seed = scores_by_seed(runs, index)
    frames = []
    for row in records(counts(index)):
        wide = by_seed.get(row["configuration"])
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
        seeds = wide["return"].columns
        for seed in seeds if 1 < len(seeds) < FEWEST else ():
            own = wide.xs(seed, axis="columns", level="seed").reset_index().assign(seed=seed)
            frames.append(pd.DataFrame([row] * len(own)).join(own))
    return gathered(frames, _CURVES)


def scores_by_seed(runs: Runs, index: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Configuration → its deterministic evaluations, for the configurations of `index` that have any.

    A row per training episode that every finished seed of the configuration evaluated, and columns (quantity,
    seed) with env_steps, bytes_sent, return and mean_speed (m/s), means over held-out episodes.
    """
    quantities = ["env_steps", "bytes_sent", "return", "mean_speed"]
    table = runs.table("evaluations", index, ["episode", "mode", *quantities])
    table = table[table["mode"] == "deterministic"]
    found = {}
    for configuration, part in table.groupby("configuration", sort=False):
        per_seed = part.groupby(["episode", "seed"])[quantities].mean()
        found[str(configuration)] = pd.DataFrame(per_seed.unstack("seed")).dropna()
    return found


def gathered(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Frames one below the other with the columns of `counts` and `columns`, be they empty or not."""
    wanted = [*CONFIGURATION, *STATES, *columns]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=wanted)
    return frame.reindex(columns=wanted).astype({"control": bool})


def curves_and_levels(runs: Runs) -> pd.DataFrame:
    """`evaluation_curves` of every method at one P, then a row per control without episode."""
    curves = evaluation_curves(runs, representative(learners(runs)))
    return pd.concat([curves, levels(runs)], ignore_index=True)


def learned_and_levels(data: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figure data, maybe read from CSV, split into methods and controls."""
    control = data["control"].astype(bool)  # an empty column of a CSV has no type
    return data[~control], data[control]


def final_scores(index: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Final numbers of every run of `index`, and of its configuration.

    `columns` maps a column of the summary to its name in the result. Columns: those of `counts`, seed,
    each quantity of the run (NaN where it did not finish) and the configuration's IQM of it with its interval
    as `_iqm`, `_low`, `_high`.
    """
    frames = []
    for row in records(counts(index)):
        runs = index[index["configuration"] == row["configuration"]]
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


def one_world(frame: pd.DataFrame) -> pd.DataFrame:
    """The first world of a study, for what has no room for several, as `of_world`."""
    first = only_world(frame)
    return of_world(frame, first) if first else frame


def only_world(index: pd.DataFrame) -> str | None:
    """The world that `one_world` leaves, where a study has several: the figure has to name it."""
    found = worlds.listed(index)
    return found[0] if len(found) > 1 else None


def named_world(data: pd.DataFrame) -> str:
    """The column `only_world` of figure data, in which it is the same in all rows that have it."""
    if "only_world" not in data:  # figure data of an earlier version
        return ""
    return next(iter(data["only_world"].dropna()), "")


def topologies(index: pd.DataFrame) -> list[str | None]:
    """Topologies of a study in its order; [None] where no method has one."""
    found = list(dict.fromkeys(index["topology"].dropna()))
    return found or [None]


def on_topology(frame: pd.DataFrame, topology: str | None) -> pd.DataFrame:
    """Rows of that topology and rows of methods that have none."""
    return frame[frame["topology"].isna() | (frame["topology"] == topology)]


class Panel(NamedTuple):
    """What one panel of a figure shows."""

    topology: str | None
    words: str | None  # what is shared and the world, where the study varies them
    part: pd.DataFrame  # the rows of these, and of methods that have none


def panels(frame: pd.DataFrame) -> list[Panel]:
    """A panel per world and topology and, where it varies, what is shared; these leave the labels.

    There is none for a topology on which nothing of that share was run. What only methods without a
    topology share has a panel of its own.
    """
    found = worlds.listed(frame)
    if len(found) < 2:
        return _panels(frame, None)
    return [panel for world in found for panel in _panels(of_world(frame, world), world)]


def _panels(frame: pd.DataFrame, world: str | None) -> list[Panel]:
    if len(shares(frame)) < 2:
        return [Panel(name, world, on_topology(frame, name)) for name in topologies(frame)]
    placed = frame[frame["topology"].notna()]
    known = set(zip(placed["topology"], placed["share"], strict=True))
    pairs = [(name, share) for name in topologies(placed) for share in shares(frame)]
    pairs = [pair for pair in pairs if pair in known]
    pairs += [(None, share) for share in shares(frame) if share not in set(placed["share"])]
    return [
        Panel(
            topology,
            f"{share}, {world}" if world else share,
            sharing(on_topology(frame, topology), share),
        )
        for topology, share in pairs
    ]


def at_home(panels: Sequence[Panel], axes: Sequence[Axes]) -> list[Axes]:
    """The axes of those panels whose agents drive where the controls of the study do."""
    pairs = zip(panels, axes, strict=True)
    return [axis for panel, axis in pairs if not worlds.on_other_roads(panel.part)]


def of_world(frame: pd.DataFrame, world: str) -> pd.DataFrame:
    """`worlds.in_world`, whose labels the world leaves."""
    own = worlds.in_world(frame, world)
    pairs = zip(own["label"], own["world"], strict=True)
    return own.assign(label=[without(label, str(where)) for label, where in pairs])


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
