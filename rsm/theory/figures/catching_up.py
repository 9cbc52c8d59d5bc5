"""Acceptance after actors alone have learnt on against their frozen critics."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rsm.analysis.figures.style import PAGE
from rsm.theory.figures import palette

TITLE, CATEGORY = "Actors that catch up with their critics", "Theory"


def draw(data: pd.DataFrame) -> Figure:
    """Acceptance at the left, the gain of the receiver's own actor at the right."""
    figure = Figure(figsize=(PAGE, 2.2))
    left, right = figure.subplots(1, 2)
    named = []
    for number, (ratio, line) in enumerate(data.groupby("ratio")):
        style = palette.numbered(2 * number)
        left.plot(line["actor_updates"], line["accepted"], **style)
        right.plot(line["actor_updates"], line["gained"], **style)
        named.append((f"trained with actor rate / critic rate = {ratio:g}", style))
    ticks = [0, 1, 3, 10, 30, 100, 300]
    for axis in (left, right):
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel("updates of the actor alone, critics frozen")
    left.set(title="a  replicas with A⁺ > 0", ylabel="share (%)", ylim=(0, None))
    right.set(title="b  what the actor itself has gained", ylabel="A⁺ over where it stood")
    palette.legend(figure, named)
    return figure
