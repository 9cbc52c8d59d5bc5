"""The environment step, against the bare simulation step and against TraCI over a socket."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.measure import Row
from benchmarks.plain_environment import PlainEnvironment
from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv

STEPS, PLAIN_STEPS, REPEATS = 1000, 60, 6
MERGE_FILLS, MERGE_STEPS = 150, 200


def times_of(step: object, steps: int) -> list[float]:
    """CPU seconds of each of `steps` calls."""
    assert callable(step)
    times = []
    for _ in range(steps):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return times


def bare_step(env: TrafficEnv) -> object:
    """SUMO's own step, without anything read or commanded: the limit of the machine."""
    simulate = env.simulation._call.simulation_step
    return lambda: simulate(0.0)


def rows() -> list[Row]:
    """The loop, then the on-ramp."""
    return [*loop_rows(), merge_row()]


def merge_row() -> Row:
    """A decision of the on-ramp against its two bare steps with as many vehicles, alternately in one episode.

    Agents accelerate as human drivers would, so that the road is as full as theirs.
    """
    actions = np.full(13, 1.5, dtype=np.float32)
    times: dict[str, list[float]] = {"step": [], "bare": []}
    traffic = Traffic(scenario="flow-merge-1", collision="teleport")
    with TrafficEnv(traffic) as env:
        for seed in range(REPEATS):
            env.reset(seed)
            for _ in range(MERGE_FILLS):  # until the road is full
                env.step(actions)
            times["step"] += times_of(lambda: env.step(actions), MERGE_STEPS)
            # Nobody looks any more, so vehicles come and go in SUMO alone: as many as before.
            times["bare"] += times_of(bare_step(env), 2 * MERGE_STEPS)
            held = env.held
    step, bare = (statistics.median(values) for values in times.values())
    bare *= held
    ratio = step / bare
    return Row(
        "environment step: a decision of the on-ramp, against its two bare simulation steps",
        f"{step * 1e6:.0f} µs, {ratio:.2f} ×",
        "≤ 2 × the bare step",
        ratio <= 2.0,
        {"step": step, "bare_step": bare, "ratio": ratio},
    )


def loop_rows() -> list[Row]:
    """Episodes of the three in turn, the same seeds and the same actions; medians over the steps."""
    actions = iter(np.random.default_rng(0).uniform(0, 3, (10**6, 9)).astype(np.float32))
    ours: list[float] = []
    bare: list[float] = []
    plain: list[float] = []
    traffic = Traffic(collision="teleport")  # a collision must not end the measurement
    with PlainEnvironment(traffic) as reference, TrafficEnv(traffic) as env:
        for seed in range(REPEATS):
            env.reset(seed)
            ours += times_of(lambda: env.step(next(actions)), STEPS)
            env.reset(seed)
            bare += times_of(bare_step(env), STEPS)
            reference.reset(seed)
            plain += times_of(lambda: reference.step(next(actions)), PLAIN_STEPS)
    step, limit, socket = (statistics.median(times) for times in (ours, bare, plain))
    numbers = {"step": step, "bare_step": limit, "traci_step": socket}
    to_bare, to_socket = step / limit, socket / step
    return [
        Row(
            "environment step: against the bare simulation step",
            f"{step * 1e6:.0f} µs, {to_bare:.2f} ×",
            "≤ 1.8 × the bare step",
            to_bare <= 1.8,
            numbers | {"ratio": to_bare},
        ),
        Row(
            "environment step: against TraCI over a socket",
            f"{to_socket:.0f} × ({socket * 1e3:.2g} ms)",
            "≥ 20 × the TraCI reference",
            to_socket >= 20,
            numbers | {"ratio": to_socket},
        ),
    ]
