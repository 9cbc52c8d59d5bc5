"""A finished run driven once more: its trajectory, and who exchanged in its last round."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
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


def last_exchange(name: str) -> NDArray[np.float64]:
    """Who exchanged in the last round of the run that `--controller` names, [E, 4]: agent, agent, bytes, ζ.

    A pair stands once, with the bytes both ways; −1 is the server. ζ is the largest with which one of the two
    accepted a replica that has a segment of the other, 0 if neither did, and NaN where no replica was judged.
    Empty where nothing was exchanged, and for a control or a run that did not record it. Raises ConfigError for
    a file that cannot be read.
    """
    pairs: dict[tuple[int, int], int] = {}
    with _table(Path(name) / "exchange.parquet") as table:
        for row in table.to_pylist() if table else ():
            one, other = sorted((row["sender"], row["receiver"]))
            sent = row.get("last_round_bytes") or 0  # no such column in older runs
            if sent:
                pairs[one, other] = pairs.get((one, other), 0) + sent
    with _table(Path(name) / "zeta.parquet") as table:
        accepted = _last_accepted(table) if table else None
    other_zeta = np.nan if accepted is None else 0.0
    found = [(*pair, sent, (accepted or {}).get(pair, other_zeta)) for pair, sent in pairs.items()]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _last_accepted(table: pa.Table) -> dict[tuple[int, int], float]:
    """Pair of agents → the largest ζ with which either accepted the other in its last judged round."""
    agents, rounds = (table.column(name).to_numpy() for name in ("agent", "round"))
    last = np.zeros(agents.max() + 1, dtype=rounds.dtype)
    np.maximum.at(last, agents, rounds)
    found: dict[tuple[int, int], float] = {}
    for row in table.filter(pa.array(rounds == last[agents])).to_pylist():
        for sender in row["sources"] if row["outcome"] == "accepted" else ():
            one, other = sorted((row["agent"], sender))
            found[one, other] = max(found.get((one, other), 0.0), row["zeta"])
    return found


@contextlib.contextmanager
def _table(path: Path) -> Iterator[pa.Table | None]:
    """A table of a run, None where it has no rows or no file; raises ConfigError for another kind of file."""
    try:
        table = pq.read_table(path) if os.path.isfile(path) else None
        yield table if table and table.num_rows else None
    except (OSError, KeyError, TypeError, pa.ArrowException):
        raise ConfigError(f"{path}: cannot be read: it is not the table of a run") from None
