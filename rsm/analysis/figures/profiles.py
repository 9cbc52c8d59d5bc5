"""Figure 7: performance profiles and probability of improvement over `fmarl` and `average`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import cells
from rsm.analysis.figures import style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs
from rsm.analysis.statistics import (
    performance_profile,
    performance_profile_interval,
    probability_of_improvement_estimate,
)

REFERENCES = ("fmarl", "average")
THRESHOLDS = 121
_COLUMNS = [
    "panel", "label", "threshold", "reference", "value", "low", "high", "cell", *cells.STATES
]  # fmt: skip


def data(runs: Runs) -> pd.DataFrame:
    """Final returns of learning runs at one P, the topologies of a study being the strata.

    `panel` is `profile` (rows: threshold → fraction of runs above it) or `improvement` (rows:
    reference → probability that a run of the label beats one of the reference on its topology).
    Columns: panel, the columns of `cells.counts` summed over cells of a label, threshold, reference,
    value, low, high.
    """
    index = cells.representative(cells.learners(runs))
    finished = index[(index["status"] == "finished") & index["final_return"].notna()]
    if finished.empty:
        return pd.DataFrame(columns=_COLUMNS)
    scores = {
        str(label): [part["final_return"].to_numpy() for _, part in group.groupby("cell")]
        for label, group in finished.groupby("label", sort=False)
    }
    least, most = finished["final_return"].min(), finished["final_return"].max()
    margin = 0.05 * max(most - least, 1e-3)
    thresholds = np.linspace(least - margin, most + margin, THRESHOLDS)
    frames = []
    for label, strata in scores.items():
        low, high = performance_profile_interval(strata, thresholds, cells.generator())
        profile = performance_profile(strata, thresholds)
        frames.append(
            pd.DataFrame(
                {"panel": "profile", "label": label, "threshold": thresholds,
                 "value": profile, "low": low, "high": high}
            )
        )  # fmt: skip
    for reference in REFERENCES:
        for label in scores:
            pairs = cells.paired(finished, label, reference)
            if label == reference or not pairs[0]:
                continue
            estimate = probability_of_improvement_estimate(*pairs, cells.generator())
            row = {"panel": "improvement", "label": label, "reference": reference}
            frames.append(pd.DataFrame([row | estimate._asdict()]))
    states = cells.counts(index).groupby("label", sort=False)[list(cells.STATES)].sum()
    frame = pd.concat(frames, ignore_index=True).merge(
        states.reset_index().assign(cell=states.index), on="label"
    )
    return frame.reindex(columns=_COLUMNS)


def draw(data: pd.DataFrame) -> Figure:
    """Profiles to the left, comparisons with each reference to the right."""
    if data.empty:
        return style.empty("no run has finished")
    shown = looks(data["label"])
    figure = Figure(figsize=(style.PAGE, 2.9))
    left, *others = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
    for label, rows in data[data["panel"] == "profile"].groupby("label", sort=False):
        look = shown[str(label)]
        style.band(left, rows["threshold"], rows["low"], rows["high"], look.color)
        left.plot(rows["threshold"], rows["value"], markevery=15, **look.line())
    left.set_xlabel("return threshold τ")
    left.set_ylabel("fraction of runs with final return > τ")
    left.set_ylim(-0.03, 1.03)
    for reference, axis in zip(REFERENCES, others, strict=True):
        rows = data[(data["panel"] == "improvement") & (data["reference"] == reference)]
        _draw_improvement(axis, rows, reference, shown)
    style.legend(figure, data, shown)
    return figure


def _draw_improvement(
    axis: Axes, rows: pd.DataFrame, reference: str, shown: dict[str, Look]
) -> None:
    axis.set_title(f"against {reference}")
    axis.axvline(0.5, color="0.5", linewidth=0.7, linestyle="--")
    for place, row in enumerate(reversed(rows.to_dict("records"))):
        look = shown[row["label"]]
        axis.hlines(place, row["low"], row["high"], color=look.color, linewidth=1.6)
        axis.plot([row["value"]], [place], **look.point())
    names = [str(label) for label in reversed(list(rows["label"]))]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of improvement")
    axis.grid(visible=False, axis="y")
    if not names:
        style.note(axis, "nothing to compare")
