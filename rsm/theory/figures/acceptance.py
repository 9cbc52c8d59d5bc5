"""Acceptance over the course of training, by the ratio of the learning rates and by what is shared."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Acceptance over training", "Theory"

FLOOR = 0.1  # percent: where a share of 0 is drawn on the log axis


def draw(data: pd.DataFrame) -> Figure:
    """A panel per `share`; a line per ratio."""
    shares = list(dict.fromkeys(data["share"]))
    figure = Figure(figsize=(PAGE, 2.4))
    axes = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    ratios = sorted(data["ratio"].unique())
    for axis, share in zip(axes, shares, strict=True):
        part = data[data["share"] == share]
        for number, ratio in enumerate(ratios):
            line = part[part["ratio"] == ratio]
            axis.plot(
                100 * line["progress"], line["acceptance"].clip(lower=FLOOR),
                **palette.numbered(number),
            )  # fmt: skip
        axis.axhline(1, color="0.6", linewidth=0.6)
        axis.set(title=f"share: {share}", yscale="log", xlabel="communication rounds held (%)")
        axis.set_yticks([FLOOR, 1, 10, 100], ["0", "1", "10", "100"])
        axis.minorticks_off()
        axis.set_ylim(FLOOR * 0.8, 130)
    axes[0].set_ylabel("replicas accepted (%)")
    named = [
        (f"actor rate / critic rate = {r:g}", palette.numbered(k)) for k, r in enumerate(ratios)
    ]
    palette.legend(figure, named, columns=4)
    return figure
