"""The ledger: messages and bytes from every node to every other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNTERS = (
    "messages",
    "request_bytes",
    "question_bytes",
    "header_bytes",
    "payload_bytes",
    "lost",
    "refused",
)
BYTES = ("request_bytes", "question_bytes", "header_bytes", "payload_bytes")
# What became of them: bytes sent are delivered, lost or in flight.
FATES = ("delivered_bytes", "lost_bytes")


class Ledger:
    """Counts per directed pair: each counter is `int64[N + 1, N + 1]`, [sender, receiver], server last."""

    def __init__(self, agents: int) -> None:
        self.agents = agents
        self.counts = {name: np.zeros((agents + 1,) * 2, dtype=np.int64) for name in COUNTERS}
        self.fates = {name: np.zeros((agents + 1,) * 2, dtype=np.int64) for name in FATES}

    def copy(self) -> Ledger:
        """A snapshot to take a difference with."""
        other = Ledger(self.agents)
        other.counts = {name: matrix.copy() for name, matrix in self.counts.items()}
        return other

    def since(self, earlier: Ledger) -> Ledger:
        """What was counted after the snapshot `earlier`."""
        other = Ledger(self.agents)
        other.counts = {name: self.counts[name] - earlier.counts[name] for name in COUNTERS}
        return other

    @property
    def bytes_per_pair(self) -> NDArray[np.int64]:
        """All bytes sent, `[sender, receiver]`."""
        return np.sum([self.counts[name] for name in BYTES], axis=0)

    @property
    def bytes_sent(self) -> int:
        """Total bytes transmitted: requests, questions, answers, headers and payload, lost frames included."""
        return int(self.bytes_per_pair.sum())

    @property
    def heaviest_share(self) -> float:
        """Share of all bytes that the busiest node sent or received; NaN without bytes."""
        pairs = self.bytes_per_pair
        busiest = (pairs.sum(axis=0) + pairs.sum(axis=1)).max()
        return float(busiest / pairs.sum()) if pairs.any() else float("nan")

    def total(self, counter: str) -> int:
        """Sum of one counter over all pairs."""
        return int(self.counts[counter].sum())
