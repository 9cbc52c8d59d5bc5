"""What a run records while it is under way, and the run folder it leaves (columns: rsm.runs.schema)."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig
from rsm.exchange.channel import Ledger
from rsm.runs.files import write_json, write_table, write_text
from rsm.runs.schema import SERVER, TABLES, schema


class Recorder:
    """Rows of the tables of one run."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._tables: dict[str, pa.Table] = {}  # made late: pyarrow's first table imports pandas

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Append rows to a table."""
        self._rows[table].extend(rows)

    def table(self, name: str) -> pa.Table:
        """All rows of a table so far."""
        if name not in self._tables:
            self._tables[name] = schema(name).empty_table()
        if rows := self._rows.pop(name, None):
            new = pa.Table.from_pylist(rows, schema=schema(name))
            self._tables[name] = pa.concat_tables([self._tables[name], new])
        return self._tables[name]

    def write(self, folder: Path) -> None:
        """Write every table into the run folder."""
        for name in TABLES:
            write_table(folder, name, self.table(name))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: each table as the bytes of a parquet file."""
        state = {}
        for name in TABLES:
            sink = pa.BufferOutputStream()
            pq.write_table(self.table(name), sink)
            state[name] = torch.frombuffer(bytearray(sink.getvalue()), dtype=torch.uint8)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, content in state.items():
            table = pq.read_table(pa.BufferReader(content.numpy().tobytes()))
            self._tables[name] = table.cast(schema(name))


def exchange_rows(
    ledger: Ledger, last_round: NDArray[np.int64], zeta: pa.Table
) -> list[dict[str, Any]]:
    """The table `exchange`: one row per directed pair that exchanged anything.

    `last_round: [N + 1, N + 1]` are the bytes of the last round by [sender, receiver], server last.
    `zeta` names who was asked: a replica counts for a sender even where its segment was lost.
    """
    judged, accepted = np.zeros((2, ledger.agents + 1, ledger.agents + 1), dtype=np.int64)
    columns = (zeta["agent"], zeta["sources"], zeta["outcome"])
    for receiver, sources, outcome in zip(*(column.to_pylist() for column in columns), strict=True):
        for sender in set(sources):
            judged[sender, receiver] += 1
            accepted[sender, receiver] += outcome == "accepted"

    def name(node: int) -> int:
        return SERVER if node == ledger.agents else node

    rows = []
    for sender, receiver in np.argwhere(ledger.counts["messages"]).tolist():
        row = {"sender": name(sender), "receiver": name(receiver)}
        for column in ("messages", "request_bytes", "header_bytes", "payload_bytes", "lost"):
            row[column] = int(ledger.counts[column][sender, receiver])
        row["judged"] = int(judged[sender, receiver])
        row["accepted"] = int(accepted[sender, receiver])
        row["last_round_bytes"] = int(last_round[sender, receiver])
        rows.append(row)
    return rows


def final_performance(evaluations: pa.Table) -> dict[str, float | None]:
    """Means over the last 10 % of the evaluations (at least one), by mode."""
    frame = evaluations.to_pandas()
    episodes = np.sort(frame["episode"].unique())
    last = episodes[-math.ceil(len(episodes) / 10) :]
    frame = frame[frame["episode"].isin(last)]
    means = frame.groupby("mode")[["return", "mean_speed"]].mean()

    def mean(mode: str, column: str) -> float | None:
        return float(means.at[mode, column]) if mode in means.index else None

    return {
        "final_return": mean("deterministic", "return"),
        "final_return_stochastic": mean("stochastic", "return"),
        "final_mean_speed": mean("deterministic", "mean_speed"),
    }


def summary(
    config: RunConfig,
    recorder: Recorder,
    ledger: Ledger,
    parameters: int,
    wall_s: float,
    failure: str | None,
) -> dict[str, Any]:
    """The content of summary.json, computed from the tables and the ledger (keys: rsm.runs.schema)."""
    episodes, rounds = recorder.table("episodes"), recorder.table("rounds")
    zeta = recorder.table("zeta").to_pandas()
    accepted = zeta[zeta["outcome"] == "accepted"]
    last_episode = episodes.slice(max(len(episodes) - 1, 0)).to_pylist()
    performance = final_performance(recorder.table("evaluations"))
    payload = ledger.total("payload_bytes")

    content: dict[str, Any] = {
        "run_id": config.run_id,
        "cell": config.cell,
        "settings_hash": config.settings_hash,
        "status": "failed" if failure else "finished",
        "method": config.method,
        **config.axes,
        "seed": config.seed,
        "scenario": config.traffic.scenario,
        "agents": ledger.agents,
        "parameters": parameters,
        **performance,
        "episodes": last_episode[0]["episode"] if last_episode else 0,
        "env_steps": last_episode[0]["env_steps"] if last_episode else 0,
        "updates": last_episode[0]["updates"] if last_episode else 0,
        "rounds": len(rounds),
        "messages": ledger.total("messages"),
        "bytes_sent": ledger.bytes_sent,
        "payload_bytes": payload,
        "payload_per_agent": payload / ledger.agents,
        "heaviest_share": ledger.heaviest_share if ledger.bytes_sent else None,
        "judged": len(zeta),
        "accepted": len(accepted),
        "acceptance_rate": len(accepted) / len(zeta) if len(zeta) else None,
        "zeta_mean": float(accepted["zeta"].mean()) if len(accepted) else None,
        "collisions": int(sum(episodes["collisions"].to_pylist())),
        "wall_s": wall_s,
    }
    if failure:
        content |= dict.fromkeys(performance) | {"reason": failure}
        for key, value in content.items():
            if isinstance(value, float) and not math.isfinite(value):
                content[key] = None
    return content


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved settings of the run into its folder."""
    write_text(folder / "config.yaml", dump_yaml(config))


def write_run(
    folder: Path,
    config: RunConfig,
    recorder: Recorder,
    manifest: dict[str, Any],
    content: dict[str, Any],
) -> None:
    """Write the run folder; the summary comes last, so that a folder with one is whole."""
    write_config(folder, config)  # again: it may have been removed meanwhile
    recorder.write(folder)
    write_json(folder / "manifest.json", manifest | {"status": content["status"]})
    write_json(folder / "summary.json", content)
