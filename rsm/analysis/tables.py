"""The main table of a study, a row per configuration, and one row per run beside it.

Bytes are named by convention wherever they stand: `sent` is the total number of bytes transmitted
(requests, headers, payload, lost frames too); `payload per agent` counts parameter bytes over N.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.labels import topology_cell
from rsm.analysis.load import Runs
from rsm.analysis.statistics import (
    UNKNOWN,
    Estimate,
    interquartile_mean_estimate,
    probability_of_improvement_estimate,
    ratio_of_interquartile_means,
    share_of_gap,
)
from rsm.config.catalogue import CONTROLS, parse_scenario
from rsm.runs.performance import last_evaluations

WINDOW = 5  # training episodes over which a return counts as reached
TARGET = 0.95  # of the final return of fmarl, for the rounds it takes to get there


def main_table(runs: Runs) -> pd.DataFrame:
    """One row per configuration, controls last, full precision; NaN where a number does not exist.

    Columns: those of `selection.counts`, replicas, finished; return_iqm, return_low, return_high;
    return_points (final return of each seed, in words, where they are too few for an interval);
    return_stochastic_iqm (sampled actions) and return_without_collision_iqm (mean actions, episodes of the
    final evaluations that had no collision; NaN where a scenario has several loops), with _low and _high;
    mean_speed (m/s, IQM); worst_iqm, worst_low, worst_high (final return of the honest agent that has the
    least, where each has a return of its own); ratio_to_fmarl, ahead_of_fmarl and ahead_of_independent
    (differences), each in pairs of a seed, with _low and _high; improvement_over_fmarl and
    improvement_over_average with _low and _high (against `average` on the same topology);
    gap_share = (return − go) / (platoon − go) with _low and _high; megabytes_sent and
    payload_megabytes_per_agent (means over seeds); heaviest_share; rounds_to_target
    and episode_to_target (first evaluation at which the configuration's IQM reaches 95 % of the final return of
    fmarl); target_return with the number of
    seeds that `reached` it in training (mean of five episodes) and the median over seeds of episodes
    and rounds until then (NaN where half of the seeds or more did not); acceptance_rate;
    updates_not_made (mean per run: what waiting for slower agents costs); crashed (share of
    the deterministic evaluation episodes, all since the first, with a collision); wall_min (mean per run).
    """
    index = selection.in_order(runs.index)
    curves = facets.evaluation_curves(runs, index[~index["control"]])
    curves = curves[curves["seed"].isna()]
    finished = selection.with_return(index)
    rows = []
    for row in selection.records(selection.counts(index)):
        part = finished[finished["configuration"] == row["configuration"]]
        row["replicas"] = index.loc[
            index["configuration"] == row["configuration"], "replicas"
        ].iloc[0]
        row["finished"] = len(part)
        row |= _spread("return", selection.estimate(part["final_return"]), "_iqm")
        row["return_points"] = selection.points(part["final_return"])
        row |= _spread(
            "return_stochastic", selection.estimate(part["final_return_stochastic"]), "_iqm"
        )
        driven = runs.table("evaluations", part, ["episode", "mode", "return", "collisions"])
        driven = driven[driven["mode"] == "deterministic"]
        clear = selection.estimate(_without_collision(driven, part))
        row |= _spread("return_without_collision", clear, "_iqm")
        row["mean_speed"] = selection.estimate(part["final_mean_speed"]).value
        row |= _spread("worst", selection.estimate(part["final_return_worst"]), "_iqm")
        row |= _against_references(part, index)
        row |= _spread("gap_share", _gap_share(part, finished))
        row["megabytes_sent"] = part["bytes_sent"].mean() / 1e6
        row["payload_megabytes_per_agent"] = part["payload_per_agent"].mean() / 1e6
        row["heaviest_share"] = part["heaviest_share"].mean()
        row |= _time_to_target(runs, part, curves)
        row |= _time_to_return(runs, part)
        judged = part["judged"].sum()
        row["acceptance_rate"] = part["accepted"].sum() / judged if judged else np.nan
        row["updates_not_made"] = part["updates_not_made"].mean()
        row["crashed"] = _crashed(driven, part)
        row["wall_min"] = part["wall_s"].mean() / 60
        rows.append(row)
    return pd.DataFrame(rows)


def runs_table(runs: Runs) -> pd.DataFrame:
    """One row per run that the study asks for, missing and failed ones included: the summaries."""
    return selection.in_order(runs.index).drop(columns=["label", "control"])


def _spread(name: str, estimate: Estimate, suffix: str = "") -> dict[str, float]:
    keys = (f"{name}{suffix}", f"{name}_low", f"{name}_high")
    return dict(zip(keys, estimate, strict=True))


def _crashed(driven: pd.DataFrame, part: pd.DataFrame) -> float:
    """Share of the deterministic evaluation episodes `driven` that had a collision, over the whole of training.

    Where a scenario has several loops, each is an episode of its own; a run folder has the collisions of
    all of them together, so several in one loop count as in several.
    """
    if driven.empty:
        return float("nan")
    _, loops = parse_scenario(part["scenario"].iloc[0])
    return float(driven["collisions"].clip(upper=loops).mean() / loops)


def _without_collision(driven: pd.DataFrame, part: pd.DataFrame) -> pd.Series:
    """Mean return of each seed over those episodes `driven` of its final return that had no collision.

    Where SUMO moves a vehicle on, a collision frees the crossing, and the episode ends higher. NaN for a seed
    without such an episode, and where a scenario has several loops, whose collisions are counted together.
    """
    none = pd.Series(np.nan, index=part["seed"], dtype=np.float64)
    if driven.empty or parse_scenario(part["scenario"].iloc[0])[1] > 1:
        return none
    counted = pd.concat([last_evaluations(own) for _, own in driven.groupby("seed")])
    counted = counted[counted["collisions"] == 0]
    return counted.groupby("seed")["return"].mean().reindex(none.index)


def _against_references(part: pd.DataFrame, index: pd.DataFrame) -> dict[str, float]:
    """Ratio to fmarl, differences, and probability of improvement over the references, in pairs of a seed."""
    row: dict[str, float] = {}
    central = selection.reference(part, index, "fmarl")
    ratio = UNKNOWN
    if len(part) and set(part["configuration"]) == set(central["configuration"]):
        ratio = Estimate(1.0, np.nan, np.nan)  # itself: nothing to estimate
    elif len(part) and len(central):
        (own, other), pairs = selection.by_seed(part, central)
        ratio = ratio_of_interquartile_means([own], [other], selection.generator(), pairs)
    row |= _spread("ratio_to_fmarl", ratio)
    for name in ("fmarl", "independent"):
        row |= _spread(f"ahead_of_{name}", _ahead(part, selection.reference(part, index, name)))
    for name in selection.REFERENCES:
        other_runs = selection.reference(part, index, name)
        estimate = UNKNOWN
        if len(part) and len(other_runs) and not set(part["label"]) & set(other_runs["label"]):
            names = [str(side["label"].iloc[0]) for side in (part, other_runs)]
            x, y, pairs = selection.paired(pd.concat([part, other_runs]), *names)
            if x:
                generator = selection.generator()
                estimate = probability_of_improvement_estimate(x, y, generator, pairs)
        row |= _spread(f"improvement_over_{name}", estimate)
    return row


def _ahead(part: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """Final return of a configuration minus that of another of the same seed: IQM over the pairs."""
    if part.empty or other.empty or set(part["configuration"]) == set(other["configuration"]):
        return UNKNOWN
    (own, theirs), pairs = selection.by_seed(part, other)
    if not pairs:
        return UNKNOWN
    return interquartile_mean_estimate([own - theirs], selection.generator())


def _gap_share(part: pd.DataFrame, finished: pd.DataFrame) -> Estimate:
    """Where the final return lies between the selfish `go` (0) and the `platoon` (1)."""
    sides = [part, *(finished[finished["method"] == name] for name in ("go", "platoon"))]
    if any(side.empty for side in sides):
        return UNKNOWN
    if len({road for side in sides for road in side["scenario"]}) > 1:
        return UNKNOWN  # controls of other roads
    (own, low, high), pairs = selection.by_seed(*sides)
    found = share_of_gap([own], [low], [high], selection.generator(), pairs)
    if set(part["method"]) <= {"go", "platoon"}:  # an end itself: nothing to estimate
        return Estimate(found.value, np.nan, np.nan)
    return found


def _time_to_target(runs: Runs, part: pd.DataFrame, curves: pd.DataFrame) -> dict[str, float]:
    """First evaluation that reaches the target: its training episode and the rounds by then (median
    over seeds; NaN for a method without rounds)."""
    never = {"rounds_to_target": np.nan, "episode_to_target": np.nan}
    central = selection.reference(part, runs.index, "fmarl")
    if part.empty or central.empty or curves.empty or part["control"].iloc[0]:
        return never
    target = TARGET * selection.estimate(central["final_return"]).value
    curve = curves[
        (curves["configuration"] == part["configuration"].iloc[0]) & (curves["return"] >= target)
    ]
    if curve.empty:
        return never
    episode = float(curve["episode"].iloc[0])
    rounds = runs.table("rounds", part, ["round", "episode"])
    if rounds.empty:
        return never | {"episode_to_target": episode}
    by_then = rounds[rounds["episode"] <= episode].groupby("seed").size()
    count = by_then.reindex(part["seed"].unique(), fill_value=0).median()
    return {"rounds_to_target": float(count), "episode_to_target": episode}


def _time_to_return(runs: Runs, part: pd.DataFrame) -> dict[str, float]:
    """When training reaches the target return of the study: how many seeds, median episode and rounds."""
    target = np.nan if runs.target_return is None else runs.target_return
    row = {"target_return": target, "reached": np.nan}
    row |= {"episode_to_return": np.nan, "rounds_to_return": np.nan}
    if runs.target_return is None or part.empty or part["control"].iloc[0]:
        return row
    when = first_reached(runs, part)["episode"].tolist()
    rounds = runs.table("rounds", part, ["episode"])
    held = []
    for seed, episode in zip(part["seed"], when, strict=True):
        by_then = (rounds["seed"] == seed) & (rounds["episode"] <= episode)
        held.append(float(by_then.sum()) if np.isfinite(episode) else np.inf)
    row["reached"] = float(np.isfinite(when).sum())
    if 2 * row["reached"] > len(when):
        # Never is later than any episode, so the middle is known where most have reached it.
        row["episode_to_return"] = float(np.median(when))
        row["rounds_to_return"] = float(np.median(held)) if len(rounds) else np.nan
    return row


def first_reached(runs: Runs, part: pd.DataFrame) -> pd.DataFrame:
    """When each run of `part` first had the target return of the study, in the order of `part`.

    That is the mean of five training episodes. Columns: seed, episode and env_steps, infinite where it never
    had.
    """
    episodes = runs.table("episodes", part, ["episode", "env_steps", "return"])
    rows = []
    for seed in part["seed"]:
        own = episodes[episodes["seed"] == seed].sort_values("episode")
        high = own[own["return"].rolling(WINDOW).mean() >= runs.target_return]
        found = high.iloc[0] if len(high) else dict.fromkeys(("episode", "env_steps"), np.inf)
        when = {name: float(found[name]) for name in ("episode", "env_steps")}
        rows.append({"seed": seed} | when)
    return pd.DataFrame(rows, columns=["seed", "episode", "env_steps"])


HEADINGS = (
    "method", "topology", "P", "K", "seeds", "return", "return, sampled actions",
    "return without collision", "worst agent", "speed (m/s)",
    "ratio to fmarl",
    "ahead of fmarl", "ahead of independent",
    "P(better than fmarl)", "P(better than average)", "go–platoon gap (%)", "sent (MB)",
    "payload per agent (MB)", "heaviest node (%)", "rounds to 95 % of fmarl", "accepted (%)",
    "crashed (%)", "wall (min)",
)  # fmt: skip


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The main table as text: value and interval in one cell of it, `–` where there is none."""
    rows = []
    for row in selection.records(table):
        rounds = number_text(row["rounds_to_target"], "{:.0f}")
        if np.isfinite(row["episode_to_target"]):
            rounds += f" (ep. {row['episode_to_target']:.0f})"
        learned = row["method"] not in CONTROLS  # a control has no radio
        texts = (
            row["label"],
            topology_cell(row["topology"]),
            number_text(row["segments"], "{:.0f}"),
            number_text(row["replicas"], "{:.0f}"),
            _seeds(row),
            points_text(interval_text(row, "return", "{:.3f}", "_iqm"), row["return_points"]),
            interval_text(row, "return_stochastic", "{:.3f}", "_iqm"),
            interval_text(row, "return_without_collision", "{:.3f}", "_iqm"),
            interval_text(row, "worst", "{:.3f}", "_iqm"),
            number_text(row["mean_speed"], "{:.2f}"),
            interval_text(row, "ratio_to_fmarl", "{:.2f}"),
            interval_text(row, "ahead_of_fmarl", "{:.3f}"),
            interval_text(row, "ahead_of_independent", "{:.3f}"),
            interval_text(row, "improvement_over_fmarl", "{:.2f}"),
            interval_text(row, "improvement_over_average", "{:.2f}"),
            interval_text(row, "gap_share", "{:.0f}", scale=100),
            number_text(row["megabytes_sent"], "{:.1f}") if learned else "–",
            number_text(row["payload_megabytes_per_agent"], "{:.2f}") if learned else "–",
            number_text(100 * row["heaviest_share"], "{:.0f}"),
            rounds,
            number_text(100 * row["acceptance_rate"], "{:.1f}"),
            number_text(100 * row["crashed"], "{:.0f}"),
            number_text(row["wall_min"], "{:.1f}"),
        )
        rows.append(dict(zip(HEADINGS, texts, strict=True)))
        if table["updates_not_made"].max() > 0:
            rows[-1]["updates not made"] = number_text(row["updates_not_made"], "{:.0f}")
        if np.isfinite(row["target_return"]):
            rows[-1][f"rounds to {row['target_return']:g}"] = _until(row) if learned else "–"
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else list(HEADINGS))


def _until(row: dict[str, Any]) -> str:
    """Median rounds and episode until the target return, and how many seeds reached it."""
    text = number_text(row["rounds_to_return"], "{:.0f}")
    if np.isfinite(row["episode_to_return"]):
        text += f" (ep. {row['episode_to_return']:.0f})"
    missed = row["finished"] - row["reached"]
    return text + (f", {row['reached']:.0f} of {row['finished']} seeds" if missed else "")


def number_text(value: float, form: str) -> str:
    """A number in this format with a true minus sign; `–` where there is none."""
    if not np.isfinite(value):
        return "–"
    text = form.format(value)
    return text.replace("-", "−" if text.strip("-0.") else "")  # no −0


def interval_text(
    row: dict[str, Any], name: str, form: str, suffix: str = "", scale: float = 1.0
) -> str:
    """A number of a row with its interval in brackets, if it has one."""
    value = number_text(scale * row[f"{name}{suffix}"], form)
    low, high = (number_text(scale * row[f"{name}_{end}"], form) for end in ("low", "high"))
    return value if low == "–" else f"{value} [{low}, {high}]"


def points_text(value: str, points: Any) -> str:
    """A number with the points it is of, `0.19 (0.18, 0.21)`, where those are given (else no text)."""
    return f"{value} ({', '.join(points.split())})" if isinstance(points, str) and points else value


def _seeds(row: dict[str, Any]) -> str:
    words = [f"{row[name]} {name}" for name in ("failed", "missing") if row[name]]
    count = f"{row['finished']} of {row['seeds']}" if words else f"{row['seeds']}"
    return f"{count} ({', '.join(words)})" if words else count
