"""Figure 5: how the regulation behaves – ζ, acceptance, A⁺ and q over training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, log_axes, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Mixing metric ζ", "Regulation"

BINS = 20
QUANTITIES = {  # in two lines: a study of many topologies has low panels
    "zeta": "ζ of accepted\nreplicas",
    "acceptance": "accepted of\njudged (%)",
    "advantage": "A⁺ (learner's\nreward)",
    "quadratic_form": "quadratic form\nq (nats)",
}
FEWEST = 3  # bins with an accepted replica; fewer are no curve, and their number is said
MOST_BANDS = 2  # in a panel: deciles of more hide each other
_COLUMNS = (
    "env_steps", "judged", "acceptance", "zeta", "zeta_low", "zeta_high", "advantage",
    "advantage_low", "advantage_high", "quadratic_form", "quadratic_form_low", "quadratic_form_high",
)  # fmt: skip
_TRACE = ["env_steps", "advantage", "quadratic_form", "zeta", "outcome"]


def data(runs: Runs) -> pd.DataFrame:
    """The ζ trace of every configuration that has a ζ, at one P, in equal bins of environment steps.

    Columns: those of `selection.counts`, env_steps (middle of the bin), judged, acceptance (%), and for
    zeta (accepted replicas), advantage and quadratic_form (all judged) the median over replicas of
    all seeds with deciles 1 and 9 as `_low` and `_high`. A configuration that judged nothing has one row.
    """
    learners = selection.representative(selection.learners(runs))
    frames = []
    for row in selection.records(selection.counts(learners[learners["rule"].notna()])):
        trace = runs.table(
            "zeta", learners[learners["configuration"] == row["configuration"]], _TRACE
        )
        frame = _binned(trace) if len(trace) else pd.DataFrame([{"judged": 0}])
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames, _COLUMNS)


def _binned(trace: pd.DataFrame) -> pd.DataFrame:
    steps = trace["env_steps"].to_numpy(dtype=np.float64)
    width = max(steps.max(), 1.0) / BINS
    number = np.minimum(steps // width, BINS - 1)
    accepted = trace["outcome"] == "accepted"
    values = pd.DataFrame(
        {
            "zeta": trace["zeta"].where(accepted),
            "advantage": trace["advantage"],
            "quadratic_form": trace["quadratic_form"],
        }
    ).astype(np.float64)
    grouped = values.groupby(number)
    frame = pd.DataFrame({"judged": grouped.size()})
    frame["acceptance"] = 100 * accepted.groupby(number).mean()
    for name in ("zeta", "advantage", "quadratic_form"):
        frame[name] = grouped[name].median()
        frame[f"{name}_low"] = grouped[name].quantile(0.1)
        frame[f"{name}_high"] = grouped[name].quantile(0.9)
    frame.insert(0, "env_steps", (frame.index.to_numpy() + 0.5) * width)
    return frame.reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """A row per quantity and a column per topology and share; a line per way of finding ζ."""
    if data.empty:
        return style.empty("no method of this study finds a ζ")
    panels = facets.panels(data)
    data = pd.concat([panel.part for panel in panels])
    shown = looks(data["label"])
    last = np.nan_to_num(data["env_steps"].max() / 1e3, nan=1.0)  # none where no run finished
    most = max(panel.part["label"].nunique() for panel in panels)
    figure, axes = layout.panels(len(QUANTITIES), len(panels), height=1.5)
    for (column, unit), row in zip(QUANTITIES.items(), axes, strict=True):
        for (topology, words, part), axis in zip(panels, row, strict=True):
            _draw_panel(axis, part, column, shown, most)
            axis.set_title(layout.panel_title(topology, part["segments"].max(), words))
            axis.set_ylabel(unit)
            layout.name_x(axis, "environment steps (thousand)")
            axis.set_xlim(0, 1.03 * last)  # the same where hardly a replica was accepted
        layout.share_y(row)
        for axis in row if _log(column) else ():
            log_axes.number_axis(axis.yaxis, *axis.get_ylim())
    layout.once(axes)
    legends.legend(figure, data, shown)
    return figure


def _draw_panel(
    axis: Axes, part: pd.DataFrame, column: str, shown: dict[str, Look], most: int
) -> None:
    silent: dict[str, str] = {}
    for number, (label, trace) in enumerate(part.groupby("label", sort=False)):
        known = trace.dropna(subset=[column])
        if _log(column):
            known = known[known[column] > 0]  # log axis; identical policies have q = 0
        if known.empty:
            silent[str(label)] = _why(trace)
            continue
        if column == "zeta" and len(known) < FEWEST:  # points that say nothing of how ζ went
            count = round(float((known["acceptance"] / 100 * known["judged"]).sum()))
            silent[str(label)] = f"{count} accepted"
        look, steps = shown[str(label)], known["env_steps"] / 1e3
        if column == "acceptance":
            axis.plot(steps, known[column], markevery=marks.markers_at(len(known)), **look.line())
            continue
        if _log(column):
            # A decile of 0 has no place on a log axis: the band ends far below the line instead.
            low = known[f"{column}_low"].clip(lower=known[column].min() / 1e3)
            known = known.assign(**{f"{column}_low": low})
        marks.curve(axis, steps, known, column, look, (number, most), MOST_BANDS)
    if _log(column):
        axis.set_yscale("log")
    elif column == "acceptance":
        axis.set_ylim(bottom=0)
    else:
        axis.axhline(0, color="0.6", linewidth=0.6)
    if not layout.holds_data(axis):
        style.note(axis, "\n".join(dict.fromkeys(silent.values())))
    elif silent:
        lines = [f"{label}:\n{why}" for label, why in silent.items()]
        style.remark(axis, "\n".join(lines))


def _why(trace: pd.DataFrame) -> str:
    """What happened to a label that has no line."""
    if selection.gaps(trace)[str(trace["label"].iloc[0])] == selection.NONE:
        return selection.NONE
    return "no replica accepted" if trace["judged"].sum() else "no replica judged"


def _log(column: str) -> bool:
    return column in ("zeta", "quadratic_form")
