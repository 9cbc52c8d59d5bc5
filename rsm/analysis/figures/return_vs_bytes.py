"""Figure 2: return against bytes sent so far – the price of performance."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, level_lines, log_axes, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Return against bytes sent", "Communication"


def data(runs: Runs) -> pd.DataFrame:
    """`facets.curves_and_levels`: evaluations of every method at one P, and the controls.

    bytes_sent is the total number of bytes transmitted, with requests, headers and lost frames.
    """
    return facets.curves_and_levels(runs)


def draw(data: pd.DataFrame) -> Figure:
    """A panel per topology and share; a method that sends nothing is a point at the left, where x is 0.

    A method that communicates begins with the first evaluation after its first round.
    """
    curves, levels = facets.learned_and_levels(data)
    if curves.empty and levels.empty:
        return style.empty("no run has finished")
    panels = facets.panels(curves)
    curves = pd.concat([panel.part for panel in panels])
    shown = looks(curves["label"])
    figure, [row] = layout.panels(1, len(panels), height=2.3, most=2)
    values = dict(zip(levels["label"], levels["return"], strict=True))
    sent = curves["bytes_sent"] > 0
    positive = curves.loc[sent, "bytes_sent"] / 1e6
    edges = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    silent = set(curves.dropna(subset=["return"])["label"]) - set(curves.loc[sent, "label"])
    zero = edges[0] / 3 if silent else None  # where x = 0 stands on the log axis
    most = max(panel.part["label"].nunique() for panel in panels)
    for (topology, words, part), axis in zip(panels, row, strict=True):
        _draw_panel(axis, part, shown, zero, most)
        log_axes.bytes_axis(axis, edges, zero)
        axis.set_title(layout.panel_title(topology, part["segments"].max(), words))
        axis.set_ylabel("return")
        axis.set_xlabel("bytes sent by all nodes so far (MB, log scale)")
    home, ends = facets.at_home(panels, row), layout.last_of_rows(row)
    level_lines.draw_levels(home, values)
    layout.share_y(row)
    beside = set(home) >= set(ends)  # names of levels stand beside the last panels
    legends.legend(figure, curves, shown, more=() if beside else level_lines.legend_lines(values))
    level_lines.name_levels(figure, dict.fromkeys(ends, values) if beside else {})
    return figure


def _draw_panel(
    axis: Axes, part: pd.DataFrame, shown: dict[str, Look], zero: float | None, most: int
) -> None:
    silent, known = 0, part.dropna(subset=["return"])
    for number, (label, curve) in enumerate(known.groupby("label", sort=False)):
        look, sent = shown[str(label)], curve[curve["bytes_sent"] > 0]
        if len(sent):
            megabytes, line = sent["bytes_sent"] / 1e6, sent["seed"].isna()
            marks.curve(axis, megabytes[line], sent[line], "return", look, (number, most))
            marks.seed_curves(axis, sent[~line], megabytes, "return", look)
        elif zero is not None:
            last = curve[curve["episode"] == curve["episode"].max()]
            [iqm] = selection.records(last[last["seed"].isna()])
            seeds = last.loc[last["seed"].notna(), "return"]
            place = zero * 1.25**silent  # two silent methods stand side by side
            silent += 1
            axis.plot([place] * 2, [iqm["return_low"], iqm["return_high"]], color=look.color)
            axis.plot([place], [iqm["return"]], **look.point())
            marks.seeds(axis, pd.Series(place, index=seeds.index), seeds, look, marks.ASIDE)
    if known.empty:
        style.note(axis, selection.NONE)
