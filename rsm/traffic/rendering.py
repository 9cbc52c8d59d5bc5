"""An episode drawn from above: GIF, MP4 or one PNG, by the ending of the file's name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from rsm.config.catalogue import SCRIPTED
from rsm.errors import ConfigError, obstacle
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.trajectory import Prepare, Trajectory, drive_trajectory

Frame = NDArray[np.uint8]  # [height, width, 3]
Links = NDArray[np.int64]  # [E, 3] agent, agent (below 0: the server), bytes both ways

# The most frames of a film and how many are shown per second: 150 s of traffic last 15 s as a GIF
# of some megabytes, and 25 s, twice as smooth, as MP4.
FILMS = {".gif": (300, 20), ".mp4": (500, 20)}
INCHES, DPI = (7.2, 5.4), 100
THINNEST, THICKEST, LINK_COLOUR = 0.5, 2.2, "#1f4e9c"  # of links, points
SPEED_COLOURS = "viridis"  # ordered in brightness, so also without colour vision


def check_output(out: Path) -> None:
    """Raises ConfigError unless `out` is a name that `render` can write."""
    ending = out.suffix.lower()
    if ending not in (*FILMS, ".png"):
        raise ConfigError(f"--out: {str(out)!r} is not allowed: it must end in .gif, .mp4 or .png")
    if out.is_dir():
        raise ConfigError(f"--out: {str(out)!r} is not allowed: it is a folder")
    if (reason := obstacle(out)) is not None:
        raise ConfigError(f"--out: {str(out)!r} is not allowed: {reason}")
    if ending == ".mp4":
        ffmpeg()


def render(
    env: TrafficEnv,
    prepare: Prepare,
    out: Path,
    seed: int,
    at: float | None = None,
    links: Links | None = None,
    who: str = "",
) -> Trajectory:
    """Drive the episode of `seed` and write it to `out`, whole or not at all.

    `prepare` is called after the reset and gives the driver, a function from observations [N, O] to
    what the environment's `step` takes. A PNG shows the moment `at` (s), or the end. `links` are drawn
    between learning vehicles; `who` drives is said above the road. Returns what was drawn.
    Raises ConfigError for another file ending, and for a moment after the end.
    """
    out = Path(out)
    check_output(out)
    ending = out.suffix.lower()
    every = 1 if ending == ".png" else math.ceil(env.horizon / FILMS[ending][0])
    trajectory = drive_trajectory(env, prepare, seed, every)
    end = float(trajectory.time[-1])
    if at is not None and at > end:
        raise ConfigError(f"--at: {at:g} is not allowed: the episode ends at {end:g} s")
    picture = Picture(env, trajectory, links, who)
    if ending == ".png":
        moment = -1 if at is None else int(np.abs(trajectory.time - at).argmin())
        write_frames(out, iter([picture.frame(moment)]))
    else:
        write_frames(out, picture.frames())
    return trajectory


def write_frames(out: Path, frames: Iterator[Frame]) -> None:
    """Write a film, or the first frame as a PNG, by the ending of `out`: whole or not at all."""
    ending = out.suffix.lower()
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}.", suffix=ending)
    os.close(descriptor)
    temporary = Path(name)
    try:
        if ending == ".png":
            Image.fromarray(next(frames)).save(temporary)
        elif ending == ".gif":
            write_gif(temporary, frames, FILMS[ending][1])
        else:
            write_mp4(temporary, frames, FILMS[ending][1])
        temporary.chmod(0o644)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def write_gif(path: Path, frames: Iterator[Frame], rate: int) -> None:
    """A GIF that repeats, with one palette for all frames so that nothing flickers."""
    first = Image.fromarray(next(frames))
    palette = first.quantize(256, dither=Image.Dither.NONE)
    rest = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    )
    palette.save(
        path, save_all=True, append_images=rest, duration=1000 // rate, loop=0, optimize=False
    )


def write_mp4(path: Path, frames: Iterator[Frame], rate: int) -> None:
    """An H.264 film that browsers play."""
    first = next(frames)
    size = (first.shape[1], first.shape[0])
    writer = ffmpeg().write_frames(str(path), size, fps=rate, quality=7, macro_block_size=2)
    writer.send(None)
    try:
        for frame in (first, *frames):
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def ffmpeg() -> Any:
    """The wheel that carries ffmpeg; raises ConfigError where it is missing."""
    try:
        import imageio_ffmpeg  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ConfigError("--out: .mp4 needs ffmpeg: pip install imageio-ffmpeg") from None
    return imageio_ffmpeg


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
        self._trajectory, self._horizon = trajectory, env.horizon
        links = np.empty((0, 3), dtype=np.int64) if links is None else links
        links = links[(links[:, :2] < env.n_agents).all(axis=1)]
        to_server = links[(links[:, :2] < 0).any(axis=1)]
        between = links[(links[:, :2] >= 0).all(axis=1)]
        self._pairs = trajectory.seats[:, between[:, :2]]  # [T, E, 2] vehicles; −1: none
        share = between[:, 2] / max(between[:, 2], default=1)
        self._widths = THINNEST + (THICKEST - THINNEST) * share  # points
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
        axes = self.figure.add_axes((0.03, 0.03, 0.8, 0.84))
        axes.set_aspect("equal")
        axes.set_axis_off()
        shapes = [np.array(shape) for shape in env.network.shapes]
        smaller = math.ceil(math.sqrt(len(shapes)))  # several loops share the picture
        width = 12 / smaller
        for line in shapes:
            axes.plot(*line.T, color="#d3d3d3", linewidth=width, solid_joinstyle="round", zorder=1)
            axes.plot(*line.T, color="white", linewidth=0.8, linestyle=(0, (6, 6)), zorder=1)
        road = np.concatenate(shapes)
        if fastest is None:
            fastest = top_speed(env, trajectory)
        human = np.setdiff1d(np.arange(vehicles), driven)
        style: dict[str, Any] = {
            "cmap": SPEED_COLOURS,
            "vmin": 0.0,
            "vmax": fastest,
            "animated": True,
            "zorder": 3,
        }
        self.links = LineCollection([], colors=LINK_COLOUR, alpha=0.5, animated=True, zorder=2)
        axes.add_collection(self.links)
        self._groups: list[tuple[NDArray[Any], PathCollection]] = []
        kinds = (
            ("human driver", human, "o", 80 / smaller, "#555555", 0.8),
            (kind, driven, "s", 100 / smaller, "#d1006c", 2.2),
        )
        for label, members, marker, size, edge, width in kinds:
            dots = axes.scatter(
                [0.0] * len(members), [0.0] * len(members), c=[0.0] * len(members), s=size,
                marker=marker, edgecolors=edge, linewidths=width, **style,
            )  # fmt: skip
            self._groups.append((members, dots))
            if len(members):
                axes.scatter(
                    [], [], s=size, marker=marker, facecolors="#cccccc", edgecolors=edge,
                    linewidths=width, label=label,
                )  # fmt: skip
        if len(between):
            label = "last exchange of the run\n(width: bytes)"
            axes.plot([], [], color=LINK_COLOUR, alpha=0.5, linewidth=THICKEST, label=label)
        if len(to_server):
            agents = len({agent for agent in to_server[:, :2].ravel().tolist() if agent >= 0})
            these = "all" if agents == env.n_agents else f"{agents} of {env.n_agents}"
            axes.plot([], [], linestyle="", label=f"{these} exchange with the server")
        pad = 8.0
        axes.set_xlim(road[:, 0].min() - pad, road[:, 0].max() + pad)
        low, high = road[:, 1].min() - pad, road[:, 1].max() + pad
        if smaller > 1:
            low -= 0.2 * (high - low)  # room for the legend, which one loop leaves in its corner
        axes.set_ylim(low, high)
        self.figure.legend(loc="lower right", frameon=False)
        bar = self.figure.colorbar(
            self._groups[0][1], cax=self.figure.add_axes((0.87, 0.32, 0.025, 0.52))
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
        mean = np.nanmean(trajectory.speed[moment])
        last = moment in (-1, len(trajectory.time) - 1)
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
