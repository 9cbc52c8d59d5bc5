"""Figure 8: where every vehicle was over time, coloured by its speed: stop-and-go waves as dark bands."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rsm.analysis import facets, selection, worlds
from rsm.analysis.figures import style
from rsm.analysis.labels import topology_label
from rsm.analysis.load import Runs
from rsm.analysis.statistics import Floats

TITLE, CATEGORY = "Vehicles over time", "Performance"

_COLUMNS = (
    "seed", "status", "eval_seed", "mean_speed", "collisions", "horizon", "ranges", "period", "meetings",
    "only_world", "time", "vehicle", "route", "position", "speed", "learner",
)  # fmt: skip
MOST = 4  # panels in a row
BETWEEN = 40.0  # m of the axis between two approaches
WIDTHS = {"yes": 1.25, "no": 0.55}  # of the line of a vehicle that learns or does not, points


def data(runs: Runs) -> pd.DataFrame:
    """One episode of each run of `runs.with_trajectory`, of several separate roads the first alone.

    Columns of the first row of a run: those of `selection.CONFIGURATION`, seed, status, eval_seed, mean_speed
    (m/s, of all vehicles), collisions, horizon (s), ranges (m, of positions on every route), period (m, after
    which they begin anew, if they do), meetings (m, where ways cross or join), and only_world, where the
    study has several worlds and all these runs are of one. Columns of its other rows, of which there are
    none without a trajectory: configuration, time (s), vehicle, route, position (m), speed (m/s) and learner
    (a text).
    """
    frames = []
    driven = worlds.listed(runs.index[runs.index["run_id"].isin(runs.with_trajectory)])
    only = driven[0] if len(driven) == 1 and facets.only_world(runs.index) else None
    for run_id in runs.with_trajectory:
        [run] = selection.records(runs.index[runs.index["run_id"] == run_id])
        row = {name: run[name] for name in (*selection.CONFIGURATION, "seed", "status")}
        row["only_world"] = only
        found = runs.trajectory(run_id) if run["status"] == "finished" else None
        if found is None:
            frames.append(pd.DataFrame([row]))
            continue
        vehicles, about = found
        for name in ("eval_seed", "mean_speed", "collisions", "horizon"):
            row[name] = round(about[name], 3)
        ends = about["period"] is None
        row["period"] = np.nan if ends else round(about["period"], 3)
        ranges = about["ranges"] if ends else about["ranges"][:1]
        row["ranges"] = " ".join(f"{low:g}:{high:g}" for low, high in ranges)
        row["meetings"] = " ".join(f"{place:g}" for place in about["meetings"])
        shown = vehicles if ends else vehicles[vehicles["route"] == 0]
        vehicles = shown.round(2).assign(configuration=run["configuration"])
        learns = vehicles["learner"] & (run["method"] != "human")  # which drives every seat
        frames += [
            pd.DataFrame([row]),
            vehicles.assign(learner=learns.map({True: "yes", False: "no"})),
        ]
    wanted = [*selection.CONFIGURATION, *_COLUMNS]
    if not frames:
        return pd.DataFrame(columns=wanted)
    return pd.concat([frame.reindex(columns=wanted).astype(object) for frame in frames])


def draw(data: pd.DataFrame) -> Figure:
    """A panel per run on one time axis and one colour scale; thick lines are learning vehicles."""
    facts, driven = data[data["time"].isna()], data.dropna(subset=["time"])
    if driven.empty:
        return style.empty("no run of this study has a trajectory: `rsm trajectory` drives one")
    if len(driven_in := worlds.listed(facts)) == 1:  # else each panel names its own
        facts = facets.of_world(facts, driven_in[0])
    rows = -(-len(facts) // MOST)
    columns = -(-len(facts) // rows)
    figure = Figure(figsize=(style.PAGE, min(1.85 * rows + 0.65, style.TALLEST)))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    scale = Normalize(0, max(1, np.ceil(data["speed"].max())))
    for place, axis in enumerate(grid.flat):
        if place >= len(facts):
            axis.remove()
            continue
        run = facts.iloc[place]
        _draw_panel(axis, run, driven[driven["configuration"] == run["configuration"]], scale)
        if place + columns >= len(facts):
            axis.set_xlabel("time (s)")
            axis.tick_params(labelbottom=True)
        if place % columns == 0:
            axis.set_ylabel("position along the road (m)")
    known = facts.dropna(subset=["eval_seed"]).iloc[0]
    grid[0, 0].set_xlim(0, facts["horizon"].max())
    shifted = [(low + by, high + by) for low, high, by in _strips(known["ranges"])]
    grid[0, 0].set_ylim(shifted[-1][0], shifted[0][1])
    if len(shifted) > 1:
        axis = grid[0, 0]
        axis.set_yticks([place for place in axis.get_yticks() if 0 <= place <= shifted[0][1]])
        for low, high in shifted[1:]:
            axis.text(
                -0.03, (low + high) / 2, "joining", transform=axis.get_yaxis_transform(),
                rotation=90, ha="right", va="center", color=style.GREY, size=6,
            )  # fmt: skip
    world = f"{named}. " if (named := facets.named_world(facts)) else ""
    image = mpl.cm.ScalarMappable(norm=scale, cmap=_colours())
    bar = figure.colorbar(image, ax=grid.ravel().tolist()[: len(facts)], pad=0.01, aspect=14 * rows)
    bar.set_label("speed (m/s)")
    bar.outline.set_visible(False)
    figure.suptitle(
        f"{world}Training seed {known['seed']:g}, the same held-out episode (traffic seed "
        f"{known['eval_seed']:.0f}) for all; over the panels the mean speed of all vehicles.",
        x=0.01, ha="left", fontsize=mpl.rcParams["legend.fontsize"], color=style.GREY,
    )  # fmt: skip
    figure.legend(handles=_handles(driven, known["meetings"]), loc="outside lower center", ncols=3)
    return figure


def _colours() -> LinearSegmentedColormap:
    """Ordered in lightness, without the end that is too light for thin lines on white."""
    full = mpl.colormaps["viridis"]
    return LinearSegmentedColormap.from_list("speed", full(np.linspace(0, 0.92, 256)))


def _strips(ranges: str) -> list[tuple[float, float, float]]:
    """From where to where (m) positions go on each route, and how far it is moved to lie apart."""
    strips: list[tuple[float, float, float]] = []
    below = 0.0
    for word in ranges.split():
        low, high = map(float, word.split(":"))
        strips.append((low, high, below - high if strips else 0.0))
        below = strips[-1][0] + strips[-1][2] - BETWEEN
    return strips


def _handles(driven: pd.DataFrame, meetings: Any) -> list[Line2D]:
    names = {"yes": "learning or controlled vehicle", "no": "human driver"}
    lines = [
        Line2D([], [], color="0.3", linewidth=WIDTHS[kind], label=name)
        for kind, name in names.items()
        if (driven["learner"] == kind).any()
    ]
    if _places(meetings):
        look: dict[str, Any] = {"linestyle": (0, (1, 1.5)), "linewidth": 0.7, "color": "0.5"}
        lines.append(Line2D([], [], label="ways cross or join", **look))
    return lines


def _places(text: Any) -> list[float]:
    return [float(word) for word in str(text).split()] if isinstance(text, str) else []


def _draw_panel(axis: Axes, first: pd.Series, part: pd.DataFrame, scale: Normalize) -> None:
    axis.grid(visible=False)
    where = [topology_label(first["topology"])] if isinstance(first["topology"], str) else []
    where += [f"P = {first['segments']:g}"] if np.isfinite(first["segments"]) else []
    label = fill(first["label"], 30, break_on_hyphens=False)
    if part.empty:
        axis.set_title("\n".join([label, ", ".join(where)]), fontsize=6.5)
        style.note(
            axis, "no trajectory" if first["status"] == "finished" else f"run {first['status']}"
        )
        return
    where.append(f"{first['mean_speed']:.2f} m/s")
    axis.set_title("\n".join([label, ", ".join(where)]), fontsize=6.5)
    strips = _strips(first["ranges"])
    for place in _places(first["meetings"]):
        axis.axhline(place, color="0.5", linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=1)
    for (_, _, learner), vehicle in part.groupby(["vehicle", "route", "learner"]):
        time, position, speed = vehicle[["time", "position", "speed"]].to_numpy(np.float64).T
        if np.isfinite(first["period"]):
            lines, speeds = segments(time, position, speed, first["period"])
        else:
            moved = strips[int(vehicle["route"].iloc[0])][2]
            lines, speeds = pieces(time, position + moved, speed)
        drawn = LineCollection(
            list(lines),
            cmap=_colours(),
            norm=scale,
            linewidths=WIDTHS[str(learner)],
            capstyle="butt",
        )
        drawn.set_array(speeds)
        axis.add_collection(drawn)
    end = part["time"].max()
    if first["collisions"] and end < first["horizon"]:
        axis.axvspan(end, first["horizon"], color="0.92", linewidth=0)
        if end < 0.9 * first["horizon"]:
            axis.text(
                (end + first["horizon"]) / 2, 0.5, "collision", transform=axis.get_xaxis_transform(),
                rotation=90, ha="center", va="center", color=style.GREY, style="italic", size=6,
            )  # fmt: skip


def segments(time: Floats, position: Floats, speed: Floats, length: float) -> tuple[Floats, Floats]:
    """The way of a vehicle around a loop of `length` m as straight pieces `[S, 2, 2]` of (time, position).

    All are within the loop: a piece over the seam is cut there. Returns with each its speed `[S]`, the
    mean of its ends. Where a position is NaN, or half the loop further, nothing is drawn.
    """
    way = np.diff(position) % length
    here = np.flatnonzero(np.isfinite(way) & (way < length / 2))
    start, end = time[here], time[here + 1]
    low = position[here]
    high = low + way[here]
    mean = (speed[here] + speed[here + 1]) / 2
    over = high > length
    with np.errstate(divide="ignore", invalid="ignore"):
        seam = np.where(over, start + (end - start) * (length - low) / (high - low), end)
    before = np.stack([start, low, seam, np.minimum(high, length)], axis=1)
    after = np.stack([seam, np.zeros_like(low), end, high - length], axis=1)[over]
    ways = np.concatenate([before, after]).reshape(-1, 2, 2)
    return ways, np.concatenate([mean, mean[over]])


def pieces(time: Floats, position: Floats, speed: Floats) -> tuple[Floats, Floats]:
    """The same of a way along a road that ends: a piece from each moment to the next, with its mean speed."""
    here = np.flatnonzero(np.isfinite(np.diff(position)))
    ways = np.stack([time[here], position[here], time[here + 1], position[here + 1]], axis=1)
    return ways.reshape(-1, 2, 2), (speed[here] + speed[here + 1]) / 2
