"""An episode driven and drawn from above (`rsm render`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.films import check_output, steps_a_frame, write_frames
from rsm.traffic.picture import Links, Picture
from rsm.traffic.trajectory import Prepare, Trajectory, drive_trajectory


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
    trajectory = drive_trajectory(env, prepare, seed, steps_a_frame(out, env.horizon))
    end = float(trajectory.time[-1])
    if at is not None and at > end:
        raise ConfigError(f"--at: {at:g} is not allowed: the episode ends at {end:g} s")
    picture = Picture(env, trajectory, links, who)
    if out.suffix.lower() == ".png":
        moment = -1 if at is None else int(np.abs(trajectory.time - at).argmin())
        write_frames(out, iter([picture.frame(moment)]))
    else:
        write_frames(out, picture.frames())
    return trajectory
