"""Theorem 2 in the smallest world where it fails, and how often it fails in random ones."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette
from rsm.theory.theorem2 import GATED

TITLE, CATEGORY = "Theorem 2: the smallest counterexample", "Theory"

CURVES: dict[str, dict[str, Any]] = {
    "mixture of distributions": {"color": "#CF9420", "linestyle": (0, (5, 1.5))},
    "step in parameters": {"color": "#0B56A4", "linestyle": "-"},
    "its first order": {"color": "#000000", "linestyle": (0, (1.2, 0.9))},
}
FLOOR = 0.01  # percent; where a rate of 0 is drawn on the log axis


def draw(data: pd.DataFrame) -> Figure:
    """Two panels."""
    figure = Figure(figsize=(PAGE, 2.5))
    example, rates = figure.subplots(1, 2)

    shown = data[data["panel"] == "example"]
    for name, look in CURVES.items():
        line = shown[(shown["series"] == name) & (shown["gain"] > -0.03)]
        example.plot(line["zeta"], line["gain"], label=name, **look)
    bound = float(shown.loc[shown["series"] == "bound", "zeta"].iloc[0])
    example.axvspan(0, bound, color="0.92", zorder=0)
    example.axhline(0, color="0.6", linewidth=0.6)
    example.annotate("0 < ζ < bound", (bound / 2, 0.036), ha="center", size=6, color=palette.GREY)
    example.set(
        title="a  one state, three actions", xlabel="ζ", ylabel=r"$J(\pi_\zeta) - J(\pi)$",
        xlim=(0, 0.25), ylim=(-0.07, 0.08),
    )  # fmt: skip
    example.legend(loc="lower right", handlelength=2.6)

    shown = data[data["panel"] == "spreads"]
    for rule in GATED:
        line = shown[shown["rule"] == rule]
        rates.plot(
            line["spread"], line["lowered_percent"].clip(lower=FLOOR),
            **palette.of_rule(rule),
        )  # fmt: skip
    rates.axhline(4.6, color="0.6", linewidth=0.6)
    rates.annotate("4.6 %", (9.2, 5.1), size=6, color=palette.GREY)
    rates.set(
        title="b  random worlds with A⁺ > 0", xscale="log", yscale="log",
        xlabel="spread of the logits (standard deviation)", ylabel="accepted steps that lower J (%)",
    )  # fmt: skip
    rates.set_xticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
    rates.set_yticks([FLOOR, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    rates.minorticks_off()
    palette.legend(figure, [(c, palette.of_rule(c)) for c in GATED])
    return figure
