"""ζ of accepted replicas in training: by discount, by policy distance, by the way it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE, note
from rsm.theory.figures import palette
from rsm.theory.theorem2 import GATED

TITLE, CATEGORY = "How ζ scales in training", "Theory"

SHARES = {"actor": "full", "actor+critic": "none"}


def draw(data: pd.DataFrame) -> Figure:
    """Three panels; medians with the range from the first to the ninth decile."""
    figure = Figure(figsize=(PAGE, 2.5))
    by_gamma, by_distance, by_rule = figure.subplots(1, 3)
    style = palette.of_rule("theorem2")

    known = data[data["zeta_median"].notna()]
    _by_gamma(by_gamma, known[known["panel"] == "gamma"], style)
    _by_distance(by_distance, known[known["panel"] == "distance"], style)
    _by_rule(by_rule, known[known["panel"] == "rule"])
    named = [
        (f"share: {share}", {"color": "0.2", "marker": "o", "fillstyle": filling, "linestyle": ""})
        for share, filling in SHARES.items()
    ]
    palette.legend(figure, named)
    return figure


def _by_gamma(axis: Axes, part: pd.DataFrame, style: dict[str, Any]) -> None:
    axis.set(title="a  by discount", xscale="log", yscale="log", xlabel="(1−γ) / √γ", ylabel="ζ")
    if part.empty:
        return note(axis, "no replica accepted")
    _ranges(axis, part["discount_factor"], part, style)
    for _, row in part.iterrows():
        axis.annotate(
            f"γ = {row['gamma']:g}", (row["discount_factor"], row["zeta_p90"]), (0, 3),
            textcoords="offset points", ha="center", size=6,
        )  # fmt: skip
    x = part["discount_factor"]
    middle = np.exp(np.log(part["zeta_median"] / x).mean())
    axis.plot(x, middle * x, color="0.6", linewidth=0.8, label="slope 1")
    axis.legend(loc="lower right")
    axis.margins(x=0.15, y=0.12)


def _by_distance(axis: Axes, part: pd.DataFrame, style: dict[str, Any]) -> None:
    axis.set(title="b  by policy distance", xscale="log", yscale="log", xlabel="q", ylabel="ζ")
    if part.empty:
        return note(axis, "no replica accepted")
    _ranges(axis, part["q_median"], part, style)
    slope, x = float(part["slope"].iloc[0]), part["q_median"]
    for power, dash, name in (
        (-0.5, (0, (4, 1.5)), "slope −0.5"),
        (slope, "-", f"fit: slope {slope:.2f}"),
    ):
        middle = np.exp(np.log(part["zeta_median"] / x**power).mean())
        axis.plot(
            x,
            middle * x**power,
            color="0.6",
            linewidth=0.8,
            linestyle=dash,
            label=name.replace("-", "−"),
        )
    axis.legend(loc="lower left")


def _by_rule(axis: Axes, part: pd.DataFrame) -> None:
    axis.set(title="c  by the way ζ is found, γ = 0.99", yscale="log", ylabel="ζ")
    axis.set_xticks(range(len(GATED)), GATED, rotation=25, ha="right")
    axis.set_xlim(-0.6, len(GATED) - 0.4)
    if part.empty:
        return note(axis, "no replica accepted")
    for number, rule in enumerate(GATED):
        for shift, (share, filling) in zip((-0.14, 0.14), SHARES.items(), strict=True):
            rows = part[(part["found_by"] == rule) & (part["share"] == share)]
            look = palette.of_rule(rule) | {"fillstyle": filling, "linestyle": ""}
            _ranges(axis, pd.Series(number + shift, rows.index), rows, look)


def _ranges(axis: Axes, x: pd.Series, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    axis.vlines(x, rows["zeta_p10"], rows["zeta_p90"], color=style["color"], linewidth=1)
    axis.plot(x, rows["zeta_median"], **(style | {"linestyle": ""}))
