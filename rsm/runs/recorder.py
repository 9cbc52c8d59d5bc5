"""Tables that a run records while it trains (columns: rsm.runs.schema)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from rsm.exchange.ledger import COUNTERS, Ledger
from rsm.runs.files import write_table
from rsm.runs.schema import OPTIONAL, SERVER, TABLES, schema

_MOST_ROWS = 2048  # of a table as Python objects, which take ten times the memory of its columns


class Recorder:
    """Rows of the tables of one run."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._tables: dict[
            str, pa.Table
        ] = {}  # created on demand: pyarrow's first table imports pandas

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Append rows to a table."""
        self._rows[table].extend(rows)
        if len(self._rows[table]) >= _MOST_ROWS:
            self.table(table)

    def table(self, name: str) -> pa.Table:
        """All rows of a table so far."""
        if name not in self._tables:
            self._tables[name] = schema(name).empty_table()
        if rows := self._rows.pop(name, None):
            new = pa.Table.from_pylist(rows, schema=schema(name))
            self._tables[name] = pa.concat_tables([self._tables[name], new])
        return self._tables[name]

    def total(self, table: str, column: str) -> int:
        """The sum over all rows of a table so far; cheap, since nothing is converted."""
        known = self._tables.get(table)
        recorded = 0 if known is None else pc.sum(known[column]).as_py() or 0
        return int(recorded) + sum(row[column] for row in self._rows.get(table, ()))

    def write(self, folder: Path) -> None:
        """Write every table into the run folder."""
        for name in self.names:
            write_table(folder, name, self.table(name))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: each table as the bytes of a parquet file."""
        state = {}
        for name in self.names:
            sink = pa.BufferOutputStream()
            pq.write_table(self.table(name), sink)
            state[name] = torch.frombuffer(bytearray(sink.getvalue()), dtype=torch.uint8)
        return state

    @property
    def names(self) -> list[str]:
        """The tables of the run, those of a part of the runs only where it has them."""
        known = {*self._rows, *self._tables}
        return [*TABLES, *(name for name in OPTIONAL if name in known)]

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
        for column in TABLES["exchange"]:
            if column in COUNTERS:
                row[column] = int(ledger.counts[column][sender, receiver])
        row["judged"] = int(judged[sender, receiver])
        row["accepted"] = int(accepted[sender, receiver])
        row["last_round_bytes"] = int(last_round[sender, receiver])
        rows.append(row)
    return rows
