"""A finished run driven once more: its trajectory, and who exchanged in its last round."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rsm.config.run import load_run
from rsm.errors import ConfigError, one_line
from rsm.runs.folder import finished_summary
from rsm.runs.schema import trajectory_table
from rsm.seeding import held_out_seeds
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.trajectory import drive_trajectory, space_time_table
from rsm.training.drivers import load_driver


def held_out_trajectory(folder: Path) -> pa.Table:
    """One episode of a finished run on its first held-out seed, mean actions, every second (rsm.runs.schema).

    A failed run gives a table without rows. Raises ConfigError where the folder holds no finished run.
    """
    config = load_run(folder / "config.yaml")
    content = finished_summary(folder, config)
    if content is None:
        raise ConfigError(
            f"{one_line(folder)} is not allowed: it holds no finished run: run it to its end first"
        )
    [seed] = held_out_seeds(config.seed, 1)
    about = {"run_id": config.run_id, "settings_hash": config.settings_hash, "eval_seed": seed}
    if content.get("status") != "finished":
        return trajectory_table({}, about)
    _, driver = load_driver(folder)
    with TrafficEnv(config.driven) as env:
        every = round(1 / env.dt)
        trajectory = drive_trajectory(env, lambda: driver(env, seed), seed, every)
        columns = space_time_table(trajectory)
        about |= {
            "mean_speed": trajectory.stats.mean_speed,
            "collisions": trajectory.stats.collisions,
            "horizon": env.horizon * env.dt,
            "ranges": env.network.ranges,
            "period": env.network.length if env.network.closed else None,
            "meetings": env.network.meetings,
        }
    return trajectory_table(dict(columns), about)


def last_exchange(name: str) -> NDArray[np.int64]:
    """Who exchanged in the last round of the run that `--controller` names, [E, 3]: agent, agent, bytes.

    A pair stands once, with the bytes both ways; −1 is the server. Empty where nothing was exchanged, and
    for a control or a run that did not record it. Raises ConfigError for a file that cannot be read.
    """
    path = Path(name) / "exchange.parquet"
    pairs: dict[tuple[int, int], int] = {}
    if os.path.isfile(path):
        try:
            rows = pq.read_table(path).to_pylist()
            for row in rows:
                one, other = sorted((row["sender"], row["receiver"]))
                sent = row.get("last_round_bytes") or 0  # no such column in older runs
                if sent:
                    pairs[one, other] = pairs.get((one, other), 0) + sent
        except (OSError, KeyError, TypeError, pa.ArrowException):
            raise ConfigError(f"{path}: cannot be read: it is not the table of a run") from None
    found = [(*pair, sent) for pair, sent in pairs.items()]
    return np.array(found, dtype=np.int64).reshape(-1, 3)
