"""Figure: synchronous rounds beside asynchronous ones, over simulated time and until the target return."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis import barrier, selection
from rsm.analysis.barrier import ASYNCHRONOUS
from rsm.analysis.figures import layout, legends, marks, style
from rsm.analysis.figures.looks import Look, looks
from rsm.analysis.labels import MODES
from rsm.analysis.load import Runs

TITLE, CATEGORY = "Synchronous and asynchronous rounds", "Communication"

MOST = 4  # panels in a row
NEIGHBOURS = 12  # points between two methods in one world
NEVER = 1.12  # where seeds that never reached the target stand, of the longest training
_DASHED = (0, (3, 1.2))


def data(runs: Runs) -> pd.DataFrame:
    """`barrier.curves`: return by simulated time and when the target was reached, of both modes."""
    return barrier.curves(runs)


def draw(data: pd.DataFrame) -> Figure:
    """A panel per world with a line per method and mode; below, the time to the target return."""
    if data.empty:
        return style.empty("no study of both modes, synchronous and asynchronous")
    places = [str(name) for name in dict.fromkeys(data["world"])]
    data = data.assign(label=_with_mode(data["name"], data["communication_mode"]))
    shown = _looks(data)
    columns = min(MOST, len(places))
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(style.PAGE, min(1.6 * rows + 2.6, style.TALLEST)))
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.0] * rows + [1.25])
    axes = [figure.add_subplot(grid[divmod(place, columns)]) for place in range(len(places))]
    longest = np.nan_to_num(data["minutes"].max(), nan=1.0)
    for axis, world in zip(axes, places, strict=True):
        _draw_curves(axis, data[data["world"] == world], shown)
        axis.set_title(world)
        axis.set_xlim(0, 1.02 * longest)
        axis.set_ylabel("return")
        axis.set_xlabel("simulated time (min)")
    layout.share_y(axes)
    for axis, below in zip(axes, axes[columns:], strict=False):
        axis.set_xlabel("")
        axis.sharex(below)
        axis.tick_params(labelbottom=False)
    _draw_times(figure.add_subplot(grid[rows, :]), data, places, shown, longest)
    legends.legend(figure, data, shown)
    return figure


def _with_mode(names: pd.Series, modes: pd.Series) -> list[str]:
    """`rsm (coin)` → `rsm (coin, async)`."""
    pairs = zip(names, modes.map(MODES), strict=True)
    return [
        f"{name[:-1]}, {mode})" if name.endswith(")") else f"{name} ({mode})"
        for name, mode in pairs
    ]


def _looks(data: pd.DataFrame) -> dict[str, Look]:
    """A method has its colour and marker; synchronous is solid and filled, asynchronous dashed and open."""
    of_name = looks(data["name"])
    first = data.drop_duplicates("label").sort_values("name", kind="stable")
    return {
        row["label"]: (
            of_name[row["name"]]._replace(dash=_DASHED, filling="none")
            if row["communication_mode"] == ASYNCHRONOUS
            else of_name[row["name"]]._replace(dash="-", filling="full")
        )
        for row in selection.records(first)
    }


def _draw_curves(axis: Axes, part: pd.DataFrame, shown: dict[str, Look]) -> None:
    curves = part.dropna(subset=["return", "minutes"])
    present = [label for label in shown if label in set(curves["label"])]
    for number, label in enumerate(present):
        own = curves[curves["label"] == label].sort_values("minutes")
        rows, seeds = own[own["seed"].isna()], own[own["seed"].notna()]
        place = (number, len(present))
        marks.curve(axis, rows["minutes"], rows, "return", shown[label], place)
        marks.seeds(axis, seeds["minutes"], seeds["return"], shown[label])
    for target in part["target"].dropna().head(1):
        axis.axhline(target, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1.4)
    if not present:
        style.note(axis, selection.NONE)


def _draw_times(
    axis: Axes,
    data: pd.DataFrame,
    places: list[str],
    shown: dict[str, Look],
    longest: float,
) -> None:
    """The time until the target by world: the median as a marker, every seed as a pale point."""
    known = data.dropna(subset=["target"])
    axis.set_xticks(range(len(places)), [fill(name, 14) for name in places])
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.grid(axis="x", visible=False)
    if known.empty:
        style.note(axis, "the study names no target return, or no run finished")
        return
    never = NEVER * longest
    room = layout.points(axis, min(MOST, len(places))) / len(places)
    offsets, aside = marks.side_by_side(len(shown), room, NEIGHBOURS)
    at = {name: place for place, name in enumerate(places)}
    for offset, (label, look) in zip(offsets, shown.items(), strict=True):
        own = known[known["label"] == label]
        x = own["world"].map(at).astype(float) + offset
        height = own["until"].clip(upper=never)
        single = own["seed"].notna()
        marks.seeds(axis, x[single], height[single], look, aside)
        axis.plot(x[~single], height[~single], linestyle="", **look.point())
    for edge in range(1, len(places)):
        axis.axvline(edge - 0.5, color="0.8", linewidth=0.6)
    axis.axhline((never + longest) / 2, color="0.6", linewidth=0.6, linestyle=":")
    axis.set_ylim(0, 1.06 * never)
    ticks = [tick for tick in axis.get_yticks() if 0 <= tick <= longest]
    axis.set_yticks([*ticks, never], [*(f"{tick:g}" for tick in ticks), "never"])
    axis.set_ylabel(f"simulated time until\na return of {known['target'].iloc[0]:g} (min)")
