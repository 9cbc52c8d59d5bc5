"""Error of the two estimators of A⁺ and how often they get its sign right, by number of samples."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Estimators of A⁺", "Theory"

ESTIMATORS = {"direct": "-", "importance": (0, (2, 1.2))}


def draw(data: pd.DataFrame) -> Figure:
    """A column per kind of policies; error above, sign below. A colour is a policy distance."""
    kinds = list(dict.fromkeys(data["policies"]))
    figure = Figure(figsize=(PAGE, 4.1))
    axes = figure.subplots(2, len(kinds), sharex=True, sharey="row", squeeze=False)
    decades = sorted({decade(value) for value in data["kl"]})
    for column, kind in enumerate(kinds):
        above, below = axes[0, column], axes[1, column]
        part = data[data["policies"] == kind]
        for (kl, estimator), line in part.groupby(["kl", "estimator"]):
            style = palette.numbered(decades.index(decade(float(kl)))) | {
                "linestyle": ESTIMATORS[str(estimator)]
            }
            above.plot(line["samples"], line["standard_error"], **style)
            below.plot(line["samples"], line["sign_right"], **style)
        above.set(title=kind, xscale="log", yscale="log")
        above.axhline(1, color="0.6", linewidth=0.6)
        below.axhline(50, color="0.6", linewidth=0.6)
        below.set(xlabel="samples", ylim=(35, 103))
        below.set_xticks([50, 256, 1024], ["50", "256", "1024"])
        below.minorticks_off()
    axes[0, 0].set_ylabel("standard error / |A⁺|")
    axes[1, 0].set_ylabel("sign right (%)")
    named = [
        (rf"KL ≈ $10^{{{n}}}$ nats", palette.numbered(k) | {"linestyle": ""})
        for k, n in enumerate(decades)
    ]
    lines = [(name, {"color": "black", "linestyle": dash}) for name, dash in ESTIMATORS.items()]
    palette.legend(figure, named + lines, columns=-(-(len(named) + 2) // 2))
    return figure


def decade(kl: float) -> int:
    """The power of ten next to a policy distance."""
    return round(math.log10(kl))
