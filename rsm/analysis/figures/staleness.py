"""Figure: what the gate makes of replicas by the age of their segments."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import facets, selection
from rsm.analysis.figures import layout, legends, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Age of segments and the gate", "Regulation"

BINS = 8
QUANTITIES = {
    "acceptance": "accepted of\njudged (%)",
    "advantage": "A⁺ by its judge\n(learner's reward)",
}
_COLUMNS = (
    "age", "updates", "segments_counted", "acceptance", "acceptance_low", "acceptance_high",
    "advantage", "advantage_low", "advantage_high", "seed",
)  # fmt: skip
_TRACE = ["agent", "round", "outcome", "advantage", "segment_ages", "segment_updates"]


def data(runs: Runs) -> pd.DataFrame:
    """Acceptance and A⁺ by the age of a segment, in equal shares of all segments.

    A segment that came counts once, with its replica's outcome and A⁺. Of each round of a receiver the replica
    that it judged first is counted: later ones are older, and are accepted less often for a reason other than
    age, since the receiver has just moved. Nobody measures the return that a replica gains in training: A⁺ is
    the gain that its judge estimates.

    Columns: those of `selection.counts`, age (s, median of the bin), updates (that its sender had made since,
    median), segments_counted (of all seeds), acceptance (%) and advantage (per seed a mean and a median; IQM
    over seeds) with their 95 % intervals as _low and _high, and seed where a row is of one seed alone. Empty
    where no segment has an age.
    """
    index = selection.representative(selection.learners(runs))
    index = index[index["rule"].notna()]
    frames, aged = [], False
    for row in selection.records(selection.counts(index)):
        part = index[index["configuration"] == row["configuration"]]
        segments = segments_of(runs.table("zeta", part, _TRACE))
        frame = pd.DataFrame([{"segments_counted": 0}])
        if len(segments):
            frame, aged = _binned(segments), aged or bool(segments["age"].max() > 0)
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames if aged else [], _COLUMNS)


def segments_of(trace: pd.DataFrame) -> pd.DataFrame:
    """A row per segment that came of the replica judged first: seed, age (s), updates, accepted (%), advantage.

    `trace` has its rows in the order of judging.
    """
    first = trace.groupby(["seed", "agent", "round"], sort=False).head(1)
    first = first.dropna(subset=["segment_ages"])
    ages = first.explode(["segment_ages", "segment_updates"]).dropna(subset=["segment_ages"])
    return pd.DataFrame(
        {
            "seed": ages["seed"].to_numpy(),
            "age": ages["segment_ages"].to_numpy(np.float64),
            "updates": ages["segment_updates"].to_numpy(np.float64),
            "acceptance": 100.0 * (ages["outcome"] == "accepted").to_numpy(),
            "advantage": ages["advantage"].to_numpy(np.float64),
        }
    )


def _binned(segments: pd.DataFrame) -> pd.DataFrame:
    edges = np.unique(np.quantile(segments["age"], np.linspace(0, 1, BINS + 1)[1:-1]))
    number = np.searchsorted(edges, segments["age"], side="right")
    rows = []
    for _, part in segments.groupby(number):
        about = {"age": part["age"].median(), "updates": part["updates"].median()}
        seeds = part.groupby("seed")
        by_seed = pd.DataFrame(
            {"acceptance": seeds["acceptance"].mean(), "advantage": seeds["advantage"].median()}
        )
        row: dict[str, float] = about | {"segments_counted": len(part)}
        for name in QUANTITIES:
            found = selection.estimate(by_seed[name])
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        rows.append(row)
        if selection.points(by_seed["acceptance"]):
            rows += [about | found for found in selection.records(by_seed.reset_index())]
    return pd.DataFrame(rows)


def draw(data: pd.DataFrame) -> Figure:
    """A row per quantity and a column per world and topology; a line per judge, rule and mode."""
    if data.empty:
        return style.empty("no segment has an age: nothing judged, or rounds take no time")
    panels = facets.panels(data)
    shown = looks(pd.concat([panel.part for panel in panels])["label"])
    figure, axes = layout.panels(len(QUANTITIES), len(panels), height=1.5)
    for (column, unit), row in zip(QUANTITIES.items(), axes, strict=True):
        for (topology, words, part), axis in zip(panels, row, strict=True):
            _draw_panel(axis, part, column, shown)
            axis.set_title(layout.panel_title(topology, part["segments"].max(), words))
            axis.set_ylabel(unit)
            axis.set_xlabel("age of a segment (s)")
        layout.share_y(row)
    layout.once(axes)
    legends.legend(figure, pd.concat([panel.part for panel in panels]), shown)
    return figure


def _draw_panel(axis: Axes, part: pd.DataFrame, column: str, shown: dict[str, Look]) -> None:
    known = part.dropna(subset=[column])
    labels = [label for label in shown if label in set(known["label"])]
    for number, label in enumerate(labels):
        own = known[known["label"] == label].sort_values("age")
        rows, seeds = own[own["seed"].isna()], own[own["seed"].notna()]
        marks.curve(axis, rows["age"], rows, column, shown[label], (number, len(labels)))
        marks.seeds(axis, seeds["age"], seeds[column], shown[label])
    if known["age"].nunique() == 1:  # where rounds take no time
        axis.set_xticks(known["age"].unique())
    if column == "acceptance":
        axis.set_ylim(bottom=0)
    else:
        axis.axhline(0, color="0.6", linewidth=0.6)
    if not labels:
        done = part["failed"] + part["missing"] < part["seeds"]
        style.note(axis, "nothing judged" if done.any() else selection.NONE)
