"""Theorem 1: bound and gain over β, how loose the bound is, and where the check begins to fail."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Theorem 1: bound and gain", "Theory"

SIDES: dict[str, dict[str, Any]] = {
    "gain, γ = 0.5": {"color": "#0B56A4", "linestyle": "-"},
    "bound, γ = 0.5": {"color": "#0B56A4", "linestyle": (0, (4, 1.5))},
    "gain, γ = 0.9": {"color": "#C8500A", "linestyle": "-"},
    "bound, γ = 0.9": {"color": "#C8500A", "linestyle": (0, (1.2, 0.9))},
}
GAIN = r"$J(\pi_\mathrm{mix}) - J(\pi)$"
DRAWS = ("largest", "99 %", "median")


def draw(data: pd.DataFrame) -> Figure:
    """Three panels."""
    figure = Figure(figsize=(PAGE, 2.35))
    sides, needed, violated = figure.subplots(1, 3)

    shown = data[data["panel"] == "sides"]
    for name, look in SIDES.items():
        line = shown[shown["series"] == name]
        sides.plot(line["x"], line["y"], label=name, **look)
    gains = shown.loc[shown["series"].str.startswith("gain"), "y"]
    sides.set_ylim(-0.7 * gains.max(), 2.1 * gains.max())
    sides.axhline(0, color="0.6", linewidth=0.6)
    sides.set(title="a  two worlds", xlabel="share β of π̃ in the mixture", ylabel=GAIN)
    sides.legend(loc="upper left", handlelength=2.2)

    shown = data[data["panel"] == "needed"]
    example = shown[shown["series"] == "tight example"]
    needed.plot(example["x"], example["y"], color=palette.GREY, label="tight example")
    for number, name in enumerate(DRAWS):
        line = shown[shown["series"] == name]
        style = palette.numbered(number) | {"markersize": 3}
        needed.plot(line["x"], line["y"], label=f"random draws, {name}", **style)
    needed.axhline(1, color="0.6", linewidth=0.6)
    needed.set(
        title="b  share of the penalty that is needed", xscale="log", ylim=(-0.05, 1.62),
        xlabel="share β of π̃ in the mixture", ylabel="needed / penalty of Theorem 1",
    )  # fmt: skip
    needed.set_yticks([0, 0.25, 0.5, 0.75, 1])
    needed.legend(loc="upper right", handlelength=2.2)

    line = data[data["panel"] == "violated"]
    seen = line[line["y"] > 0]
    violated.plot(seen["x"], seen["y"], color="#0B56A4", label="random draws")
    limit = float(data.loc[data["panel"] == "limit", "x"].iloc[0])
    violated.axvline(
        limit, color=palette.GREY, linestyle=(0, (4, 1.5)), label="tight example\nfails below"
    )
    violated.set(
        title="c  draws that violate a scaled bound", xscale="log", yscale="log",
        xlabel="scale of the penalty constant", ylabel="draws violated (%)", xlim=(0.009, 1.3),
        ylim=(5e-4, 100),
    )  # fmt: skip
    violated.legend(loc="lower left", handlelength=2.2)
    return figure
