"""What a barrier costs and gains: each method in synchronous rounds and in asynchronous ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.labels import MODES, without
from rsm.analysis.load import Runs
from rsm.analysis.statistics import UNKNOWN, interquartile_mean_estimate
from rsm.analysis.tables import WINDOW, first_reached, interval_text, number_text, points_text
from rsm.config.catalogue import scenario_traits

SYNCHRONOUS, ASYNCHRONOUS = MODES
_COLUMNS = (
    "name", "communication_mode", "minutes", "return", "return_low", "return_high", "seed", "target", "until",
)  # fmt: skip
_TABLE = (
    "name", "communication_mode", "finished", "return_iqm", "return_low", "return_high", "return_points",
    "ahead", "ahead_low", "ahead_high", "pairs", "target_return", "reached", "minutes_to_return",
    "updates_not_made", "share_not_made", "megabytes_sent", "acceptance_rate",
)  # fmt: skip


def both_modes(runs: Runs) -> pd.DataFrame:
    """The runs that exchange, of a study that has both modes; empty where it has one alone.

    With the column `name`: the label without mode and world. By world, in the order of the study.
    """
    index = selection.learners(runs)
    index = index[index["communication_mode"].notna()]
    if set(index["communication_mode"]) != set(MODES):
        index = index[:0]
    names = [
        without(without(row["label"], MODES[row["communication_mode"]]), row["world"])
        for row in selection.records(index)
    ]
    order = {world: place for place, world in enumerate(dict.fromkeys(runs.index["world"]))}
    places = index["world"].map(order).to_numpy()
    return index.assign(name=names).iloc[np.argsort(places, kind="stable")]


def minutes(steps: pd.Series, scenario: str) -> pd.Series:
    """Simulated time of training after so many steps, in minutes."""
    return steps * scenario_traits(scenario).dt / 60


def curves(runs: Runs) -> pd.DataFrame:
    """Return by simulated time, and when the target return was reached, of both modes.

    Columns: those of `selection.counts`, name, communication_mode; minutes (simulated time of
    training), return (IQM over seeds of the deterministic evaluations) with its 95 % interval as _low and
    _high, and seed where a row is of one seed alone. Rows without `minutes` have `target` (the target return
    of the study) and `until`, the minutes until it was reached: of each seed, and without a seed the median
    over seeds; infinite where it was not.
    """
    index = both_modes(runs)
    evaluated = facets.evaluation_curves(runs, index)
    frames = []
    for configuration, part in index.groupby("configuration", sort=False):
        about = {name: part[name].iloc[0] for name in ("name", "communication_mode")}
        own = evaluated[evaluated["configuration"] == configuration].assign(**about)
        done = selection.with_return(part)
        if done.empty:  # kept, so that a legend can say what happened
            frames.append(own)
            continue
        frames.append(own.assign(minutes=minutes(own["env_steps"], done["scenario"].iloc[0])))
        if runs.target_return is None:
            continue
        when = first_reached(runs, done)
        until = minutes(when["env_steps"], done["scenario"].iloc[0])
        rows = [{"seed": np.nan, "until": float(np.median(until))}]
        rows += [{"seed": s, "until": u} for s, u in zip(when["seed"], until, strict=True)]
        row = selection.records(selection.counts(part))[0] | about
        target = {"target": runs.target_return}
        frames.append(pd.DataFrame([row | found | target for found in rows]))
    return facets.gathered(frames, _COLUMNS)


def table(runs: Runs) -> pd.DataFrame:
    """A row per world, method and mode; none where the study has one mode alone.

    Columns: those of `selection.counts`, name, communication_mode, finished; return_iqm, return_low,
    return_high, return_points; ahead (final return of asynchronous runs minus that of synchronous ones of the
    same seed, method and world) with _low and _high, and of how many pairs; target_return, how many seeds
    `reached` it in training (mean of five episodes), and minutes_to_return (simulated time, median over seeds;
    NaN where half of them or more did not); updates_not_made (of an agent, mean over runs) and
    share_not_made (of the occasions to update); megabytes_sent (in total, mean); acceptance_rate.
    """
    index = both_modes(runs)
    rows = []
    for row in selection.records(selection.counts(index)):
        part = index[index["configuration"] == row["configuration"]]
        done = selection.with_return(part)
        about = {name: part[name].iloc[0] for name in ("name", "communication_mode")}
        row |= about | {"finished": len(done)}
        found = selection.estimate(done["final_return"])
        row |= dict(zip(("return_iqm", "return_low", "return_high"), found, strict=True))
        row["return_points"] = selection.points(done["final_return"])
        row |= _ahead(done, index)
        row["target_return"] = np.nan if runs.target_return is None else runs.target_return
        row |= {"reached": np.nan, "minutes_to_return": np.nan}
        if runs.target_return is not None and len(done):
            until = minutes(first_reached(runs, done)["env_steps"], done["scenario"].iloc[0])
            row["reached"] = float(np.isfinite(until).sum())
            middle = float(np.median(until))
            row["minutes_to_return"] = middle if np.isfinite(middle) else np.nan
        not_made = done["updates_not_made"] / done["agents"]
        row["updates_not_made"] = not_made.mean()
        row["share_not_made"] = (not_made / done["updates"].where(done["updates"] > 0)).mean()
        row["megabytes_sent"] = done["bytes_sent"].mean() / 1e6
        judged = done["judged"].sum()
        row["acceptance_rate"] = done["accepted"].sum() / judged if judged else np.nan
        rows.append(row)
    return facets.gathered([pd.DataFrame([row]) for row in rows], _TABLE)


def _ahead(done: pd.DataFrame, index: pd.DataFrame) -> dict[str, float]:
    """Final return of an asynchronous configuration minus that of its synchronous self, in pairs of a seed."""
    found, pairs = UNKNOWN, 0
    if len(done) and done["communication_mode"].iloc[0] == ASYNCHRONOUS:
        other = selection.with_return(_in_step(done, index)).set_index("seed")["final_return"]
        ahead = (done.set_index("seed")["final_return"] - other).dropna()
        pairs = len(ahead)
        if pairs:
            values = ahead.to_numpy(dtype=np.float64)
            found = interquartile_mean_estimate([values], selection.generator())
    return dict(zip(("ahead", "ahead_low", "ahead_high"), found, strict=True)) | {"pairs": pairs}


def _in_step(own: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """The synchronous runs that differ from those of `own` in nothing else."""
    like = index[index["communication_mode"] == SYNCHRONOUS]
    for name in ("world", "name", "topology", "segments"):
        value = own[name].iloc[0]
        like = like[like[name].isna() if pd.isna(value) else like[name] == value]
    return like


NOTE = (
    "Final return: interquartile mean over seeds with its 95 % bootstrap interval (none below five seeds, "
    "whose values are given in brackets). *Ahead*: final return of the asynchronous runs minus that of the "
    "synchronous ones, paired by seed. *Updates not made*: updates that an agent missed while it waited for a "
    "round, mean over runs, and as a share of its opportunities. *Sent*: total bytes transmitted. *Accepted*: "
    "share of judged replicas."
)


def markdown(found: pd.DataFrame, runs: Runs) -> str:
    """The table as Markdown with what its columns mean."""
    heading, note = f"# {runs.study}: synchronous and asynchronous rounds", NOTE
    if found.empty:
        return f"{heading}\n\nThis study has no runs of both modes, synchronous and asynchronous.\n"
    rows = []
    for row in selection.records(found):
        texts = {
            "world": row["world"],
            "method": row["name"],
            "rounds": row["communication_mode"],
            "seeds": f"{row['finished']} of {row['seeds']}",
            "return": points_text(
                interval_text(row, "return", "{:.3f}", "_iqm"), row["return_points"]
            ),
            "ahead of synchronous": interval_text(row, "ahead", "{:.3f}"),
        }
        if runs.target_return is not None:
            texts[f"minutes to {runs.target_return:g}"] = _until(row)
        share = number_text(100 * row["share_not_made"], " ({:.0f} %)").replace("–", "")
        texts["updates not made"] = number_text(row["updates_not_made"], "{:.0f}") + share
        texts["sent (MB)"] = number_text(row["megabytes_sent"], "{:.1f}")
        texts["accepted (%)"] = number_text(100 * row["acceptance_rate"], "{:.0f}")
        rows.append(texts)
    if runs.target_return is not None:
        note += (
            f" *Minutes to {runs.target_return:g}*: simulated time of training until the mean return of "
            f"{WINDOW} episodes first reaches it, median over seeds. A seed that never reaches it counts as "
            "later than all others; a dash means that half of the seeds or more never do."
        )
    sides = ["left"] * 3 + ["right"] * (len(rows[0]) - 3)
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, note]) + "\n"


def _until(row: dict[str, Any]) -> str:
    text, missed = number_text(row["minutes_to_return"], "{:.0f}"), row["finished"] - row["reached"]
    return text + (f", {row['reached']:.0f} of {row['finished']} seeds" if missed > 0 else "")
