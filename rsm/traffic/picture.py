"""A moment of traffic seen from above, with who exchanged and a strip of speed against time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from rsm.config.catalogue import SCRIPTED
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.films import Frame
from rsm.traffic.trajectory import Trajectory

# [E, 4] agent, agent (below 0: the server), bytes both ways, and the ζ with which one accepted a replica of the
# other: 0 if neither did, NaN where no replica was judged
Links = NDArray[np.float64]

Points = NDArray[np.float64]  # [·, 2] m

GAP = 25.0  # m between loops
INCHES, DPI = (7.2, 5.4), 100
ROAD, STRIP = (0.03, 0.24, 0.8, 0.63), (0.085, 0.09, 0.56, 0.115)  # left, bottom, width, height
THINNEST, THICKEST, LINK_COLOUR = 0.5, 3.0, "#1f4e9c"  # of links, points
SPEED_COLOURS = "viridis"  # ordered in brightness, so also without colour vision
EDGES = {"human": "#555555", "driven": "#d1006c"}  # around vehicles, and of their mean speeds


def top_speed(env: TrafficEnv, trajectory: Trajectory) -> float:
    """Where the colours of speed end, m/s."""
    return min(env.limit, 1.05 * max(float(np.nanmax(trajectory.speed)), 1.0))


class Picture:
    """The road with its vehicles; only what moves is drawn anew for each frame."""

    def __init__(
        self,
        env: TrafficEnv,
        trajectory: Trajectory,
        links: Links | None = None,
        who: str = "",
        fastest: float | None = None,
    ) -> None:
        """Draw what stands still. Links of an agent that has no seat in this scenario are left out.

        Where humans drive alone (`who` is "human") nobody is marked. `fastest` is the speed at the end of the
        colours (m/s), by default a little above that of the trajectory.
        """
        shapes, trajectory = gathered(env, trajectory)
        self._trajectory, self._horizon = trajectory, env.horizon
        links = np.empty((0, 4)) if links is None else links
        links = links[(links[:, :2] < env.n_agents).all(axis=1)]
        to_server = links[(links[:, :2] < 0).any(axis=1)]
        between = links[(links[:, :2] >= 0).all(axis=1)]
        self._pairs = trajectory.seats[:, between[:, :2].astype(np.intp)]  # [T, E, 2]; −1: none
        self._widths = widths(between)
        driven = np.arange(0) if who == "human" else trajectory.learners
        written = who in SCRIPTED or who.startswith("constant:")
        kind = "controlled vehicle" if written else "learning vehicle"
        vehicles = trajectory.speed.shape[1]
        what = f"{vehicles} human drivers"
        if len(driven):
            what = f"{env.n_agents} {kind.split()[0]} of {vehicles} vehicles"
            if not env.network.closed:
                what = f"up to {what}"
        self.figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self.figure)
        axes = self.figure.add_axes(ROAD)
        smaller = math.ceil(math.sqrt(len(shapes)))  # several loops share the picture
        draw_road(axes, shapes, 12 / smaller)
        if fastest is None:
            fastest = top_speed(env, trajectory)
        human = np.setdiff1d(np.arange(vehicles), driven)
        look: dict[str, Any] = {
            "cmap": SPEED_COLOURS, "vmin": 0.0, "vmax": fastest, "animated": True, "zorder": 3,
        }  # fmt: skip
        self.links = LineCollection([], colors=LINK_COLOUR, alpha=0.5, animated=True, zorder=2)
        axes.add_collection(self.links)
        self._groups: list[tuple[NDArray[Any], PathCollection]] = []
        kinds = (
            ("human driver", human, "o", 80 / smaller, EDGES["human"], 0.8),
            (kind, driven, "s", 100 / smaller, EDGES["driven"], 2.2 if smaller == 1 else 1.4),
        )
        for label, members, marker, size, edge, width in kinds:
            dots = axes.scatter(
                [0.0] * len(members), [0.0] * len(members), c=[0.0] * len(members), s=size,
                marker=marker, edgecolors=edge, linewidths=width, **look,
            )  # fmt: skip
            self._groups.append((members, dots))
            if len(members):
                axes.scatter(
                    [], [], s=size, marker=marker, facecolors="#cccccc", edgecolors=edge,
                    linewidths=width, label=label,
                )  # fmt: skip
        name_links(axes, between, to_server, env.n_agents)
        self.figure.legend(loc="lower right", frameon=False, fontsize=9)
        self._strip = strip(self.figure, trajectory, driven, fastest)
        bar = self.figure.colorbar(
            self._groups[0][1], cax=self.figure.add_axes((0.87, 0.36, 0.025, 0.48))
        )
        if bar.solids is not None:
            bar.solids.set(animated=False)
        bar.set_label("speed (m/s)")
        title = ", ".join(word for word in (who, env.scenario.name, what) if word)
        self.figure.text(0.03, 0.935, title, fontsize=12 if len(title) < 70 else 9)
        self._clock: Text = self.figure.text(0.03, 0.885, "", fontsize=11, animated=True)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[attr-defined]

    def frame(self, moment: int) -> Frame:
        """The picture of one kept moment."""
        trajectory = self._trajectory
        self._canvas.restore_region(self._still)  # type: ignore[attr-defined]
        renderer = self._canvas.get_renderer()
        pairs = self._pairs[moment]
        ends = trajectory.xy[moment][pairs]  # [E, 2, 2] m
        present = np.isfinite(ends).all(axis=(1, 2)) & (pairs >= 0).all(axis=1)
        self.links.set_segments(list(ends[present]))
        self.links.set_linewidth(self._widths[present])
        self.links.draw(renderer)
        for members, dots in self._groups:
            dots.set_offsets(np.ma.masked_invalid(trajectory.xy[moment, members]))
            dots.set_array(trajectory.speed[moment, members])
            dots.draw(renderer)
        last = moment in (-1, len(trajectory.time) - 1)
        until = len(trajectory.time) if last else moment + 1
        for line, speeds in self._strip:
            line.set_data(trajectory.time[:until], speeds[:until])
            line.draw(renderer)
        mean = np.nanmean(trajectory.speed[moment])
        ended = last and trajectory.stats.collisions > 0 and trajectory.stats.steps < self._horizon
        self._clock.set_text(
            f"{trajectory.time[moment]:5.1f} s    mean speed {mean:4.1f} m/s"
            + ("    collision" if ended else "")
        )
        self._clock.draw(renderer)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def frames(self) -> Iterator[Frame]:
        """Every kept moment in turn."""
        return (self.frame(moment) for moment in range(len(self._trajectory.time)))


def widths(between: Links) -> NDArray[np.float64]:
    """Of links between agents, points [E]: by the ζ of those accepted, or by bytes where nothing was judged.

    An exchange of which nothing was accepted is a hairline.
    """
    judged = np.isfinite(between[:, 3])
    size = np.where(judged, between[:, 3], between[:, 2])
    most = max(size.max(initial=0.0), np.finfo(float).tiny)
    return np.asarray(THINNEST + (THICKEST - THINNEST) * size / most)


def gathered(env: TrafficEnv, trajectory: Trajectory) -> tuple[list[Points], Trajectory]:
    """The ways of all loops or approaches, each [·, 2] m, and the trajectory upon them.

    Separate loops stand far apart in SUMO; here they stand close to each other, in the same rows.
    """
    shapes = [np.array(shape) for shape in env.network.shapes]
    if not env.network.closed or len(shapes) == 1:
        return shapes, trajectory
    low = np.array([shape.min(axis=0) for shape in shapes])
    size = max(np.ptp(shape, axis=0).max() for shape in shapes) + GAP
    cells = [np.unique(low[:, axis].round(), return_inverse=True)[1] for axis in (0, 1)]
    moves = np.stack(cells, axis=1) * size - low  # [loops, 2] m
    xy = trajectory.xy + moves[trajectory.route]
    return [shape + move for shape, move in zip(shapes, moves, strict=True)], trajectory._replace(
        xy=xy
    )


def draw_road(axes: Axes, shapes: list[Points], width: float) -> None:
    """The ways of all loops or approaches as seen from above, `width` points wide."""
    axes.set_aspect("equal")
    axes.set_axis_off()
    for line in shapes:
        axes.plot(*line.T, color="#d3d3d3", linewidth=width, solid_joinstyle="round", zorder=1)
        axes.plot(*line.T, color="white", linewidth=0.8, linestyle=(0, (6, 6)), zorder=1)
    road, pad = np.concatenate(shapes), 8.0
    axes.set_xlim(road[:, 0].min() - pad, road[:, 0].max() + pad)
    axes.set_ylim(road[:, 1].min() - pad, road[:, 1].max() + pad)


def name_links(axes: Axes, between: Links, to_server: Links, agents: int) -> None:
    """Entries of the legend for links between agents, and for those to the server, which are not drawn."""
    look: dict[str, Any] = {"color": LINK_COLOUR, "alpha": 0.5}
    if np.isfinite(between[:, 3]).any():
        most = np.nanmax(between[:, 3])
        if most > 0:
            label = f"accepted in the last round\n(width: ζ, at most {most:.2g})"
            axes.plot([], [], linewidth=THICKEST, label=label, **look)
        if (between[:, 3] == 0).any():
            axes.plot([], [], linewidth=THINNEST, label="exchanged, not accepted", **look)
    elif len(between):
        label = "last exchange of the run\n(width: bytes)"
        axes.plot([], [], linewidth=THICKEST, label=label, **look)
    if len(to_server):
        there = len({agent for agent in to_server[:, :2].ravel().tolist() if agent >= 0})
        these = "all" if there == agents else f"{there} of {agents}"
        axes.plot([], [], linestyle="", label=f"{these} exchange with the server")


def strip(
    figure: Figure, trajectory: Trajectory, driven: NDArray[Any], fastest: float
) -> list[tuple[Line2D, NDArray[np.float64]]]:
    """A strip of mean speed against time: pale to its end, and lines [T] m/s to be drawn up to a moment."""
    axes = figure.add_axes(STRIP)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, length=2)
    axes.set_xlabel("time (s)", fontsize=9, labelpad=1)
    axes.set_ylabel("mean speed\n(m/s)", fontsize=9, labelpad=2)
    axes.set_xlim(trajectory.time[0], max(trajectory.time[-1], trajectory.time[0] + 1e-6))
    axes.set_ylim(0, fastest)
    groups = {"all vehicles": (np.arange(trajectory.speed.shape[1]), EDGES["human"])}
    if len(driven):
        groups["marked vehicles"] = (driven, EDGES["driven"])
    found = []
    for place, (name, (members, colour)) in enumerate(groups.items()):
        axes.text(
            0.01 + 0.3 * place,
            1,
            name,
            color=colour,
            fontsize=9,
            va="bottom",
            transform=axes.transAxes,
        )
        speeds = np.ma.masked_invalid(trajectory.speed[:, members]).mean(axis=1).filled(np.nan)
        axes.plot(trajectory.time, speeds, color=colour, linewidth=0.8, alpha=0.25)
        [line] = axes.plot([], [], color=colour, linewidth=1.4, animated=True)
        found.append((line, np.asarray(speeds)))
    return found
