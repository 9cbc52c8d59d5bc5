"""An episode as it was driven: every vehicle at every simulation step (space–time data)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.traffic.environment import TrafficEnv
from rsm.traffic.episode_stats import EpisodeStats

Act = Callable[[NDArray[np.float32]], ArrayLike | None]  # [N, O] → what `TrafficEnv.step` takes
Prepare = Callable[[], Act]  # called once the environment is reset

Column = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]


class Trajectory(NamedTuple):
    """T kept moments of V vehicles; the first is the start, the last the end of the episode."""

    time: NDArray[np.float64]  # [T] s
    position: NDArray[np.float64]  # [T, V] m along the loop
    speed: NDArray[np.float64]  # [T, V] m/s
    xy: NDArray[np.float64]  # [T, V, 2] m; NaN while SUMO teleports the vehicle
    learners: NDArray[np.intp]  # [N] which of them learn
    loop: NDArray[np.intp]  # [V] the closed road that each drives on
    stats: EpisodeStats  # of the whole episode


def drive_trajectory(env: TrafficEnv, prepare: Prepare, seed: int, every: int = 1) -> Trajectory:
    """Drive one episode and keep every `every`-th simulation step, and the last one.

    `prepare` is called after the reset and gives the driver. `env.on_step` is put back afterwards.
    """
    times: list[float] = []
    moments: list[NDArray[np.float64]] = []

    def keep(env: TrafficEnv) -> None:
        vehicles = env.vehicles()
        times.append(env.stats().steps * env.dt)
        moments.append(np.stack(vehicles[:4], axis=1))

    def on_step(env: TrafficEnv) -> None:
        if env.stats().steps % every == 0:
            keep(env)

    before, env.on_step = env.on_step, on_step
    try:
        observation = env.reset(seed)
        act = prepare()
        while True:
            step = env.step(act(observation))
            observation = step.observation
            if step.over:
                break
        if env.stats().steps % every:
            keep(env)
    finally:
        env.on_step = before
    data = np.stack(moments)
    learners = np.asarray(env.learners, dtype=np.intp)
    loop = np.asarray(env.scenario.loop_of_vehicle, dtype=np.intp)
    return Trajectory(
        np.array(times), data[..., 0], data[..., 1], data[..., 2:], learners, loop, env.stats()
    )


def space_time_table(trajectory: Trajectory) -> dict[str, Column]:
    """The trajectory as columns, one row per moment and vehicle, moments first.

    `time` s, `vehicle` its place in the order at the start, `loop` the closed road it drives on,
    `position` m along the loop and NaN while SUMO teleports the vehicle, `speed` m/s, `learner`
    whether it learns.
    """
    moments, count = trajectory.position.shape
    vehicle = np.tile(np.arange(count), moments)
    present = np.isfinite(trajectory.xy).all(axis=2)
    return {
        "time": np.repeat(trajectory.time, count),
        "vehicle": vehicle,
        "loop": np.tile(trajectory.loop, moments),
        "position": np.where(present, trajectory.position, np.nan).reshape(-1),
        "speed": trajectory.speed.reshape(-1),
        "learner": np.isin(vehicle, trajectory.learners),
    }
