"""Figure 7: performance profiles beside controls, and probability of improvement over `fmarl` and `average`."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, level_lines, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.labels import topology_label, without
from rsm.analysis.load import Runs
from rsm.analysis.statistics import (
    Floats,
    performance_profile,
    performance_profile_interval,
    probability_of_improvement_estimate,
)

TITLE, CATEGORY = "Performance profiles", "Performance"

THRESHOLDS = 121
_COLUMNS = [
    "panel", "share", "topology", "segments", "label", "threshold", "reference", "against", "value",
    "low", "high", "configuration", *selection.STATES, "only_world",
]  # fmt: skip


def data(runs: Runs) -> pd.DataFrame:
    """Final returns of learning runs at one P in one world, apart by share where it varies.

    Like is compared with like: where all methods with a topology ran on the same ones, these are the
    strata, else only the first topology of the study is shown (the column `topology`, in words).
    `panel` is `profile` (rows: threshold → fraction of runs above it), `level` (rows: a control → its final
    return) or `improvement` (rows: reference, a method, and `against`, the label of it that was chosen →
    probability that a run of the label beats one of it on its topology). Columns: panel, share (where it
    varies), topology, segments (the P), label, threshold, reference, against, value, low, high,
    configuration and the states of `selection.counts` summed over the configurations of a label, and
    only_world (where the study has several). A label without a finished run has rows without value.
    """
    every = selection.representative(selection.learners(runs))
    index = facets.one_world(every)
    if index.empty:
        return pd.DataFrame(columns=_COLUMNS)
    scores = selection.with_return(index)["final_return"]
    least, most = (scores.min(), scores.max()) if len(scores) else (0.0, 1.0)
    margin = 0.05 * max(most - least, 1e-3)
    thresholds = np.linspace(least - margin, most + margin, THRESHOLDS)
    shares = facets.shares(index)
    frames = []
    for share in shares if len(shares) > 1 else [None]:
        part = index if share is None else facets.of_share(index, share)
        topologies = _comparable(part)
        part, others = (
            rows[rows["topology"].isna() | rows["topology"].isin(topologies)]
            for rows in (part, index)
        )
        frame = pd.concat([_profiles(part, thresholds), _improvements(part, others, share)])
        states = selection.counts(part).groupby("label", sort=False)[list(selection.STATES)].sum()
        frame = frame.merge(states.reset_index().assign(configuration=states.index), on="label")
        names = [topology_label(name) for name in topologies]
        where = f"{len(names)} topologies" if names[1:] else "".join(names)
        frame = frame.assign(share=share, topology=where, segments=part["segments"].max())
        frames.append(frame.assign(only_world=facets.only_world(every)))
    controls = facets.levels(runs)[["label", "configuration", "return"]]
    frames.append(controls.rename(columns={"return": "value"}).assign(panel="level"))
    return pd.concat([frame.reindex(columns=_COLUMNS).astype(object) for frame in frames])


def _comparable(part: pd.DataFrame) -> list[str]:
    """Topologies whose runs can be pooled: all, or the first where not every method has all."""
    placed = part[part["topology"].notna()]
    found = list(dict.fromkeys(placed["topology"]))
    everywhere = (placed.groupby("label")["topology"].nunique() == len(found)).all()
    return found if everywhere else found[:1]


def _profiles(part: pd.DataFrame, thresholds: Floats) -> pd.DataFrame:
    frames = []
    for label, runs in part.groupby("label", sort=False):
        strata = [
            own["final_return"].to_numpy()
            for _, own in selection.with_return(runs).groupby("configuration")
        ]
        frame = pd.DataFrame({"panel": "profile", "label": label, "threshold": thresholds})
        if strata:
            frame["value"] = performance_profile(strata, thresholds)
            frame["low"], frame["high"] = performance_profile_interval(
                strata, thresholds, selection.generator()
            )
        frames.append(frame)
    return pd.concat(frames) if frames else pd.DataFrame()


def _improvements(part: pd.DataFrame, index: pd.DataFrame, share: str | None) -> pd.DataFrame:
    """A row per label and reference, which shares what the panel is about and is of `index`."""
    rows: list[dict[str, Any]] = []
    for method in selection.REFERENCES:
        for label, own in part.groupby("label", sort=False):
            other = selection.reference(own.assign(share=share or own["share"]), index, method)
            row = {"panel": "improvement", "label": label, "reference": method}
            if len(other):
                row["against"] = against = str(other["label"].iloc[0])
                both = pd.concat([selection.with_return(own), other])
                if label != against:
                    x, y, pairs = selection.paired(both, str(label), against)
                    if x:
                        generator = selection.generator()
                        found = probability_of_improvement_estimate(x, y, generator, pairs)
                        row |= found._asdict()
            rows.append(row)
    return pd.DataFrame(rows)


def draw(data: pd.DataFrame) -> Figure:
    """A row per share: profiles to the left, comparisons with each reference of the study to the right."""
    if data.empty:
        return style.empty("no method of this study learns")
    controls = data[data["panel"] == "level"]
    levels = dict(zip(controls["label"], controls["value"].astype(float), strict=True))
    data = data[data["panel"] != "level"]
    shares = facets.shares(data)
    parts = [data[data["share"] == share] for share in shares] or [data]
    parts = [
        part.assign(label=[without(label, share) for label in part["label"]])
        for part, share in zip(parts, shares or [""], strict=True)
    ]
    shown = looks(pd.concat(parts)["label"])
    figure = Figure(figsize=(style.PAGE, 2.3 * len(parts) + 0.6))
    methods = {str(label).partition(" (")[0] for label in data["label"]}
    references = [method for method in selection.REFERENCES if method in methods]
    widths = (1.5, *[1.0] * len(references))
    grid = figure.subplots(len(parts), len(widths), squeeze=False, width_ratios=widths)
    for part, (left, *others) in zip(parts, grid, strict=True):
        _draw_profiles(left, part[part["panel"] == "profile"], shown)
        controls_named = level_lines.upright_levels(left, levels)
        for method, axis in zip(references, others, strict=True):
            rows = part[(part["panel"] == "improvement") & (part["reference"] == method)]
            _draw_improvement(axis, rows, method, shown)
        for axis in others[1:]:
            axis.set_yticklabels([])  # the labels of its neighbour
    legends.legend(figure, pd.concat(parts), shown, more=controls_named)
    return figure


def _draw_profiles(axis: Axes, part: pd.DataFrame, shown: dict[str, Look]) -> None:
    known = part.dropna(subset=["value"])
    known = known.rename(columns={"low": "value_low", "high": "value_high"})
    count = known["label"].nunique()
    if count > marks.MOST_BANDS:  # bars would look like the steps
        known = known.assign(value_low=np.nan, value_high=np.nan)
    for number, (label, rows) in enumerate(known.groupby("label", sort=False)):
        look = shown[str(label)]
        marks.curve(axis, rows["threshold"], rows, "value", look, (number, count))
    first = part.iloc[0]
    share, topology = (
        first[name] if isinstance(first[name], str) else "" for name in ("share", "topology")
    )
    title = layout.heading(topology, first["segments"], share)
    axis.set_title(layout.below_world(part, title))
    axis.set_xlabel("return threshold τ")
    axis.set_ylabel("runs with final return > τ")
    axis.set_ylim(-0.03, 1.03)
    if known.empty:
        style.note(axis, selection.NONE)


def _draw_improvement(
    axis: Axes, rows: pd.DataFrame, reference: str, shown: dict[str, Look]
) -> None:
    """A line per label, from above as in the legend; a label that cannot be compared says why."""
    chosen = list(dict.fromkeys(rows["against"].dropna()))
    axis.set_title(textwrap.fill(f"over {chosen[0] if len(chosen) == 1 else reference}", 28))
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel("probability of\nimprovement")
    axis.grid(visible=False, axis="y")
    labels = [str(label) for label in rows["label"]]
    axis.set_yticks(range(len(rows)), labels[::-1])
    if rows["value"].isna().all():
        style.note(axis, "nothing to compare" if chosen else f"no finished run of {reference}")
        return
    axis.axvline(0.5, color="0.5", linewidth=0.7, linestyle="--")
    for place, row in enumerate(reversed(selection.records(rows))):
        look = shown[row["label"]]
        if np.isfinite(row["value"]):
            axis.hlines(place, row["low"], row["high"], color=look.color, linewidth=1.6)
            axis.plot([row["value"]], [place], **look.point())
        else:
            text = selection.gap(row) if selection.gap(row) == selection.NONE else "the reference"
            axis.text(
                0.52, place, text, va="center", color=style.GREY, style="italic", size=6,
            )  # fmt: skip
