"""Space–time data of an episode."""

import numpy as np

from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.trajectory import drive_trajectory, space_time_table


def test_every_step_is_recorded_from_the_start_to_the_end_also_when_decisions_are_held() -> None:
    with TrafficEnv(Traffic(horizon=30, decision_interval=7)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: np.full(9, 1.0), seed=0)
        assert np.allclose(trajectory.time, np.arange(31) * 0.1)
        assert trajectory.position.shape == trajectory.speed.shape == (31, 14)
        assert trajectory.xy.shape == (31, 14, 2)
        assert trajectory.stats == env.stats()
        assert np.array_equal(trajectory.speed[-1], env.vehicles().speed)
        assert env.on_step is None


def test_a_stride_keeps_the_last_moment() -> None:
    with TrafficEnv(Traffic(horizon=25)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: None, seed=0, every=10)
    assert np.allclose(trajectory.time, [0.0, 1.0, 2.0, 2.5])


def test_vehicles_move_by_their_speed_along_the_loop() -> None:
    with TrafficEnv(Traffic(horizon=60)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: None, seed=0)
        length = env.network.length
    moved = np.diff(trajectory.position, axis=0) % length
    assert np.allclose(moved, trajectory.speed[1:] * 0.1, atol=1e-6)


def test_the_table_has_a_row_per_moment_and_vehicle() -> None:
    with TrafficEnv(Traffic(horizon=5)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: None, seed=0)
    table = space_time_table(trajectory)
    assert list(table) == ["time", "vehicle", "route", "position", "speed", "learner"]
    assert {len(column) for column in table.values()} == {6 * 14}
    assert table["vehicle"][:15].tolist() == [*range(14), 0]
    assert table["learner"][:14].sum() == 9
    assert table["position"][14 + 3] == trajectory.position[1, 3]
    assert table["time"][14] == trajectory.time[1]
    assert not table["route"].any()


def test_vehicles_of_several_loops_are_told_apart_and_an_absent_one_has_no_position() -> None:
    with TrafficEnv(Traffic(horizon=5)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: None, seed=0)
    trajectory.xy[2, 3] = np.nan
    table = space_time_table(trajectory._replace(route=np.tile(np.arange(14) // 7, (6, 1))))
    assert table["route"][:14].tolist() == [0] * 7 + [1] * 7
    assert np.flatnonzero(np.isnan(table["position"])).tolist() == [2 * 14 + 3]


def test_the_driver_is_prepared_after_the_reset() -> None:
    with TrafficEnv(Traffic(horizon=3)) as env:
        started: list[int] = []

        def prepare():  # type: ignore[no-untyped-def]
            started.append(env.stats().steps)
            return lambda observation: None

        drive_trajectory(env, prepare, seed=0)
        drive_trajectory(env, prepare, seed=1)
    assert started == [0, 0]


def test_vehicles_of_an_open_road_have_rows_while_they_are_there_on_the_approach_they_are_on() -> (
    None
):
    with TrafficEnv(Traffic(scenario="flow-merge-1", horizon=240)) as env:
        trajectory = drive_trajectory(env, lambda: lambda observation: np.ones(13), seed=0, every=2)
        entered, ranges = env.n_vehicles, env.network.ranges
    assert trajectory.position.shape == (121, entered) and entered > 40
    table = space_time_table(trajectory)
    assert len(table["time"]) == np.isfinite(trajectory.speed).sum() < trajectory.speed.size / 2
    for route, (low, high) in enumerate(ranges):
        positions = table["position"][table["route"] == route]
        assert len(positions) and low <= positions.min() and positions.max() <= high
    for vehicle in (0, 20, entered - 1):
        moments = np.flatnonzero(trajectory.route[:, vehicle] >= 0)
        assert np.array_equal(moments, np.arange(moments[0], moments[-1] + 1)), "once and for all"
        assert (np.diff(trajectory.position[moments, vehicle]) >= 0).all()
    driven = set(trajectory.learners.tolist())
    assert len(driven) > 5 and set(table["vehicle"][table["learner"]].tolist()) == driven
