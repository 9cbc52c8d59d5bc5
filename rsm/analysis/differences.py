"""The difference between each method and the independent baseline, by seed, at every evaluation.

Runs of one seed begin with the same parameters, meet the same traffic and are evaluated on the same episodes,
so that their difference varies less than either. It shows the effect of exchange during training.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.labels import topology_cell, without
from rsm.analysis.load import Runs
from rsm.analysis.statistics import interquartile_mean, stratified_bootstrap_interval
from rsm.analysis.tables import interval_text, number_text
from rsm.analysis.worlds import in_world

ALONE, UNTRAINED = "independent", "untrained"
NOTE = (
    f"Return at the evaluation after that training episode minus the return of {ALONE} with the same seed (of "
    "several in a world, the first): interquartile mean over seeds with its 95 % bootstrap interval (none "
    "below five seeds), and the number of seeds with a difference above 0."
)
_COLUMNS = (
    "episode", "env_steps", "pairs", "difference", "difference_low", "difference_high", "above",
)  # fmt: skip
_SUMMARY = (
    "reference", "quantity", "seed", "difference", "difference_iqm", "difference_low",
    "difference_high",
)  # fmt: skip


def differences(runs: Runs) -> pd.DataFrame:
    """Return of every learning configuration minus that of `independent` of the same seed, by training episode.

    Columns: those of `selection.counts`, episode, env_steps (median over seeds), pairs (seeds that both
    finished, in the same world), difference (IQM over seeds) with its 95 % bootstrap interval as _low and
    _high, and above, the number of seeds with a difference above 0. Deterministic evaluations; no row where
    the study has no `independent`; of several in a world, such as one for each start of a transfer, the first
    is the reference. The control `untrained` has the return of its only evaluation at every episode.
    """
    index = selection.learners(runs)
    scores = facets.scores_by_seed(runs, index)
    alone_runs = index[(index["method"] == ALONE) & index["configuration"].isin(list(scores))]
    untrained = runs.index[runs.index["method"] == UNTRAINED]
    if len(alone_runs) and len(untrained):
        index = pd.concat([index, untrained])
        like = scores[str(alone_runs["configuration"].iloc[0])]
        for configuration, own_runs in untrained.groupby("configuration", sort=False):
            scores[str(configuration)] = _unchanging(own_runs, like)
    frames = []
    for row in selection.records(selection.counts(index)):
        world, own = row["world"], scores.get(row["configuration"])
        others = in_world(alone_runs, world) if isinstance(world, str) else alone_runs
        if others.empty or own is None or row["configuration"] == others["configuration"].iloc[0]:
            continue
        alone = scores[str(others["configuration"].iloc[0])]
        ours, theirs = (pd.DataFrame(side["return"]) for side in (own, alone))
        paired = (ours - theirs).dropna(axis="columns", how="all").dropna()
        if paired.empty:
            continue
        values = paired.to_numpy(dtype=np.float64).T  # [seeds, evaluations]
        low, high = stratified_bootstrap_interval([values], selection.generator())
        frame = pd.DataFrame(
            {
                "episode": paired.index,
                "env_steps": pd.DataFrame(own["env_steps"])
                .loc[paired.index]
                .median(axis="columns")
                .to_numpy(),
                "pairs": len(values),
                "difference": interquartile_mean(values, axis=0),
                "difference_low": low,
                "difference_high": high,
                "above": (values > 0).sum(axis=0),
            }
        )
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames, _COLUMNS)


def summaries(runs: Runs) -> pd.DataFrame:
    """How far every learning configuration at one P ends above `independent`, and is above it on average.

    Of several configurations of `independent` in a world, such as one for each start of a transfer, the first
    is the reference. Columns: those of `selection.counts`, reference (its label), quantity (`final`: final
    return; `training`: mean over all deterministic evaluations), seed, difference (of this seed), and
    difference_iqm over seeds with its 95 % interval as difference_low and difference_high. A row per quantity
    and seed that both finished, or one without seed where there is none. Empty where no run of `independent`
    finished.
    """
    index = selection.representative(selection.learners(runs))
    finished = selection.with_return(index)
    scores = facets.scores_by_seed(runs, index)
    every = finished[finished["method"] == ALONE]
    frames = []
    for row in selection.records(selection.counts(index)):
        world = row["world"]
        alone = in_world(every, world) if isinstance(world, str) else every
        alone = alone[alone["configuration"] == alone["configuration"].iloc[:1].squeeze()]
        if alone.empty or row["configuration"] == alone["configuration"].iloc[0]:
            continue
        reference = without(str(alone["label"].iloc[0]), str(world))
        own = finished[finished["configuration"] == row["configuration"]]
        final, base = (side.set_index("seed")["final_return"] for side in (own, alone))
        ways = {"final": final - base}
        names = row["configuration"], alone["configuration"].iloc[0]
        if all(name in scores for name in names):
            sides = (pd.DataFrame(scores[name]["return"]) for name in names)
            apart = next(sides) - next(sides)
            ways["training"] = apart.dropna(axis="columns", how="all").dropna().mean()
        for quantity, found in ways.items():
            known = found.dropna()
            value = dict(zip(_SUMMARY[4:], selection.estimate(known), strict=True))
            seeds = {"seed": known.index, "difference": known.to_numpy()}
            frame = pd.DataFrame(seeds if len(known) else {"seed": [np.nan]})
            frame = frame.assign(reference=reference, quantity=quantity, **value)
            frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames, _SUMMARY)


def _unchanging(control: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """The return of a control at every episode of `like` (`facets.scores_by_seed`), by seed."""
    final = selection.with_return(control).set_index("seed")["final_return"]
    returns = pd.DataFrame(like["return"])
    returns = returns * 0 + final.reindex(returns.columns)
    return pd.concat({"return": returns, "env_steps": pd.DataFrame(like["env_steps"])}, axis=1)


def markdown(table: pd.DataFrame, study: str) -> str:
    """The table of `differences` as Markdown with what its columns mean."""
    rows = [
        {
            "method": row["label"],
            "topology": topology_cell(row["topology"]),
            "P": number_text(row["segments"], "{:.0f}"),
            "episode": f"{row['episode']:.0f}",
            "difference to independent": interval_text(row, "difference", "{:.3f}"),
            "seeds above": f"{row['above']:.0f} of {row['pairs']:.0f}",
        }
        for row in selection.records(table)
    ]
    heading = f"# {study}: difference to independent learning"
    if not rows:
        return f"{heading}\n\nNothing to compare: finished runs of {ALONE} and of another method are needed.\n"
    sides = ["left", "left", *["right"] * (len(rows[0]) - 2)]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, NOTE]) + "\n"
