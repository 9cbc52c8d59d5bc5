"""ROC curves of A⁺ by every judge against measured gains; the diagonal is a coin, a dot the gate A⁺ > 0."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Is the gate's yes a gain?", "Theory"

PANELS = {"all": "all replicas", "clear": "clear gains and losses"}


def draw(data: pd.DataFrame) -> Figure:
    """A panel per `replicas_counted`; a line per `judge`."""
    figure = Figure(figsize=(PAGE, 4.6))
    axes = figure.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
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
            axis.text(0.5, 0.6, "no gains and losses to tell apart", ha="center")
    axes[0].set_ylabel("gains accepted (share)")
    return figure
