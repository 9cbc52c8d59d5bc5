"""Two drivers on the same traffic, side by side with one clock (`rsm render --compare`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.films import Frame, steps_a_frame, write_frames
from rsm.traffic.picture import Links, Picture, top_speed
from rsm.traffic.trajectory import Act, Trajectory, drive_trajectory

WIDTH = 740  # of a GIF, pixels: what a page shows, and less than two megabytes
STRIP, SIZE = 44, 24  # height of the strip with the clock and of its letters, pixels


class Side(NamedTuple):
    """An episode that was driven, and what is said and drawn of it."""

    env: TrafficEnv  # closed: its road is still known
    trajectory: Trajectory
    links: Links | None
    who: str


def drive(
    traffic: Traffic,
    driver: Callable[[TrafficEnv, int], Act],
    seed: int,
    out: Path,
    links: Links | None = None,
    who: str = "",
) -> Side:
    """One side: the episode of `seed`, with as many moments as the file `out` shows."""
    with TrafficEnv(traffic) as env:
        every = steps_a_frame(out, env.horizon)
        return Side(env, drive_trajectory(env, lambda: driver(env, seed), seed, every), links, who)


def render_sides(sides: Sequence[Side], out: Path, at: float | None = None) -> None:
    """Write the sides beside each other to `out`; a PNG shows the moment `at` (s), or the end.

    All have one scale of speeds; a GIF is WIDTH pixels wide. A side whose episode ended earlier stays as it
    ended. Raises ConfigError for sides that do not share a scenario, its horizon and its steps, and for a
    moment after the end.
    """
    kinds = {(side.env.scenario.name, side.env.horizon, side.env.dt) for side in sides}
    if len(kinds) > 1:
        found = " and ".join(f"{name} of {horizon * dt:g} s" for name, horizon, dt in sorted(kinds))
        raise ConfigError(f"--compare: both must drive the same traffic, not {found}")
    longest = max((side.trajectory for side in sides), key=lambda trajectory: len(trajectory.time))
    end = float(longest.time[-1])
    if at is not None and at > end:
        raise ConfigError(f"--at: {at:g} is not allowed: the longer episode ends at {end:g} s")
    fastest = max(top_speed(side.env, side.trajectory) for side in sides)
    pictures = [Picture(side.env, side.trajectory, side.links, side.who, fastest) for side in sides]
    lasts = [len(side.trajectory.time) - 1 for side in sides]

    def frame(moment: int) -> Frame:
        both = [
            picture.frame(min(moment, last)) for picture, last in zip(pictures, lasts, strict=True)
        ]
        beside = np.concatenate(both, axis=1)
        return np.concatenate([clock(float(longest.time[moment]), beside.shape[1]), beside])

    moments = range(len(longest.time))
    if out.suffix.lower() == ".png":
        wanted = len(moments) - 1 if at is None else int(np.abs(longest.time - at).argmin())
        moments = range(wanted, wanted + 1)
    frames: Iterator[Frame] = map(frame, moments)
    if out.suffix.lower() == ".gif":
        frames = map(reduced, frames)
    write_frames(out, frames)


def reduced(frame: Frame) -> Frame:
    """A frame WIDTH pixels wide."""
    height = round(frame.shape[0] * WIDTH / frame.shape[1])
    smaller = Image.fromarray(frame).resize((WIDTH, height), Image.Resampling.LANCZOS)
    return np.asarray(smaller)


def clock(time: float, width: int) -> Frame:
    """A strip with the time that all sides have, [STRIP, width, 3]."""
    strip = Image.new("RGB", (width, STRIP), "white")
    font = ImageFont.truetype(findfont("DejaVu Sans"), SIZE)
    place = (width // 2, STRIP // 2)
    ImageDraw.Draw(strip).text(place, f"{time:.1f} s", font=font, fill="black", anchor="mm")
    return np.asarray(strip)
