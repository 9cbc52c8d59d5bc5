"""Step sizes against exact gains, a panel per way of finding ζ."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis.figures.layout import share_y
from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette
from rsm.theory.theorem2 import GATED

TITLE, CATEGORY = "Theorem 2: steps and gains", "Theory"

LOSS = "#C8500A"


def draw(data: pd.DataFrame) -> Figure:
    """A panel per rule on one scale; crosses are steps that lower J."""
    figure = Figure(figsize=(PAGE, 2.2))
    axes = list(figure.subplots(1, len(GATED)))
    for axis, rule in zip(axes, GATED, strict=True):
        steps = data[data["rule"] == rule]
        up, down = steps[~steps["lowers"]], steps[steps["lowers"]]
        axis.plot(
            up["zeta"], up["gain"], linestyle="", marker="o", markersize=2, alpha=0.45,
            color=palette.COLORS["theorem2"], markeredgewidth=0,
        )  # fmt: skip
        axis.plot(
            down["zeta"], down["gain"], linestyle="", marker="x", markersize=4, color=LOSS,
            markeredgewidth=0.9,
        )  # fmt: skip
        axis.axhline(0, color="0.6", linewidth=0.6)
        axis.set_xscale("log")
        axis.set_yscale("symlog", linthresh=1e-3)
        axis.set(title=rule, xlim=(1e-3, 1.2), xlabel="ζ")
        axis.set_xticks([1e-2, 1e-1, 1])
        axis.set_yticks([-1, -0.1, -0.01, -0.001, 0, 0.001, 0.01, 0.1, 1])
        axis.minorticks_off()
    axes[0].set_ylabel(r"gain $(1-\gamma)\,(J(\pi_\zeta) - J(\pi))$")
    share_y(axes)
    handles = [
        Line2D(
            [], [], linestyle="", marker="o", color=palette.COLORS["theorem2"], label="raises J"
        ),
        Line2D([], [], linestyle="", marker="x", color=LOSS, label="lowers J"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
