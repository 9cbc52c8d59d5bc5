"""ROC curves of A⁺ by every judge against measured gains; the diagonal is a coin, a dot the gate A⁺ > 0.

Below, where it was measured, the area by the number of states of a question to peers.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullLocator

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Does A⁺ predict gains?", "Theory"

PANELS = {"all": "all replicas", "clear": "clear gains and losses"}


def draw(data: pd.DataFrame) -> Figure:
    """A column per `replicas_counted`: a line per `judge`, and areas where there are several `states`."""
    by_states = data[data["panel"] == "states"]
    several = by_states["states"].nunique() > 1
    figure = Figure(figsize=(PAGE, 6.9 if several else 4.6))
    heights = (2.0, 1.0) if several else (1.0,)
    axes = figure.subplots(
        len(heights), len(PANELS), sharey="row", squeeze=False, height_ratios=heights
    )
    _draw_curves(axes[0], data[data["panel"] == "curves"])
    if several:
        _draw_states(axes[1], by_states)
    return figure


def _draw_states(axes: Sequence[Axes], data: pd.DataFrame) -> None:
    """Area with its interval against B; the line is the area that is enough."""
    for axis, name in zip(axes, PANELS, strict=True):
        part = data[data["replicas_counted"] == name].sort_values("states")
        errors = [part["area"] - part["area_low"], part["area_high"] - part["area"]]
        style = palette.numbered(0)
        axis.errorbar(part["states"], part["area"], yerr=errors, **style)
        if len(part):
            most, needed = part.iloc[-1], part["needed"].iloc[0]
            text = f"{most['area'] - needed:.2f} below that of {most['states']:g} states"
            axis.axhline(needed, color=palette.GREY, linewidth=0.7, label=text)
            axis.legend(loc="lower right")
        axis.set_xscale("log", base=2)
        axis.set(xlabel="states B of a question to peers", xticks=list(part["states"]))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%d"))
        axis.xaxis.set_minor_locator(NullLocator())
    axes[0].set_ylabel("area under the curve")


def _draw_curves(axes: Sequence[Axes], data: pd.DataFrame) -> None:
    judges = list(dict.fromkeys(data["judge"]))
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=palette.GREY, linewidth=0.7, zorder=1)
        part = data[data["replicas_counted"] == name]
        for place, judge in enumerate(judges):
            line = part[part["judge"] == judge]
            if line.empty:
                continue
            style = palette.numbered(place)
            first = line.iloc[0]
            label = (
                f"{judge}: {first['area']:.2f} [{first['area_low']:.2f}, {first['area_high']:.2f}]"
            )
            shape = {key: value for key, value in style.items() if not key.startswith("marker")}
            axis.plot(line["false_positive"], line["true_positive"], label=label, **shape)
            axis.plot(
                first["gate_false_positive"], first["gate_true_positive"], linestyle="",
                color=style["color"], marker=style["marker"],
            )  # fmt: skip
        count = int(part["replicas"].max()) if len(part) else 0
        axis.set(title=f"{title} ({count})", xlabel="losses accepted (share)", aspect="equal")
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if len(part):
            axis.legend(
                title="area under the curve [95 % interval]", ncols=2, loc="upper center",
                bbox_to_anchor=(0.5, -0.15),
            )  # fmt: skip
        else:
            axis.text(0.5, 0.6, "no gains and losses to distinguish", ha="center")
    axes[0].set_ylabel("gains accepted (share)")
