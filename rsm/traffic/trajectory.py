"""An episode as it was driven: every vehicle at every simulation step (space–time data)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsm.traffic.environment import TrafficEnv, Vehicles
from rsm.traffic.episode_stats import EpisodeStats

Act = Callable[[NDArray[np.float32]], ArrayLike | None]  # [N, O] → what `TrafficEnv.step` takes
Prepare = Callable[[], Act]  # called once the environment is reset

Column = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]


class Trajectory(NamedTuple):
    """T kept moments of V vehicles; the first is the start, the last the end of the episode.

    V are all that have been on the road. On an open one speeds and positions are NaN while a vehicle is
    not there.
    """

    time: NDArray[np.float64]  # [T] s
    position: NDArray[np.float64]  # [T, V] m along the loop or the route
    speed: NDArray[np.float64]  # [T, V] m/s
    xy: NDArray[np.float64]  # [T, V, 2] m; NaN while SUMO teleports the vehicle
    route: NDArray[
        np.int64
    ]  # [T, V] on which it is: a loop, or an approach to a common road; −1: not there
    seats: NDArray[np.intp]  # [T, N] the vehicle of every agent; −1: none
    stats: EpisodeStats  # of the whole episode

    @property
    def learners(self) -> NDArray[np.intp]:
        """Vehicles that an agent has driven, in the order of the agents where each has one."""
        if (self.seats == self.seats[0]).all() and (self.seats >= 0).all():
            return self.seats[0]
        return np.unique(self.seats[self.seats >= 0])


def drive_trajectory(env: TrafficEnv, prepare: Prepare, seed: int, every: int = 1) -> Trajectory:
    """Drive one episode and keep every `every`-th simulation step, and the last one.

    `prepare` is called after the reset and gives the driver. `env.on_step` is put back afterwards.
    """
    times: list[float] = []
    moments: list[Vehicles] = []
    seats: list[NDArray[np.intp]] = []

    def keep(env: TrafficEnv) -> None:
        times.append(env.stats().steps * env.dt)
        moments.append(env.vehicles())
        seats.append(env.occupants())

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
    shape = (len(times), env.n_vehicles)
    data, route = np.full((*shape, 4), np.nan), np.full(shape, -1)
    for moment, vehicles in enumerate(moments):
        data[moment, vehicles.number] = np.stack(vehicles[:4], axis=1)
        route[moment, vehicles.number] = vehicles.route
    columns = data[..., 0], data[..., 1], data[..., 2:], route, np.stack(seats)
    return Trajectory(np.array(times), *columns, env.stats())


def space_time_table(trajectory: Trajectory) -> dict[str, Column]:
    """The trajectory as columns, one row per moment and vehicle on the road, moments first.

    `time` s, `vehicle` its place in the order at the start or of entering, `route` the loop or the approach
    that it is on, `position` m along it and NaN while SUMO teleports it, `speed` m/s, `learner` whether an
    agent drives it in this episode.
    """
    moments, count = trajectory.position.shape
    there = (trajectory.route >= 0).reshape(-1)
    vehicle = np.tile(np.arange(count), moments)
    present = np.isfinite(trajectory.xy).all(axis=2)
    columns = {
        "time": np.repeat(trajectory.time, count),
        "vehicle": vehicle,
        "route": trajectory.route.reshape(-1),
        "position": np.where(present, trajectory.position, np.nan).reshape(-1),
        "speed": trajectory.speed.reshape(-1),
        "learner": np.isin(vehicle, trajectory.learners),
    }
    return {name: column[there] for name, column in columns.items()}
