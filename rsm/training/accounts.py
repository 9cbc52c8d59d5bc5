"""The rows of `rounds`: what was sent, and judged, since the last one."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsm.exchange.ledger import COUNTERS, Ledger
from rsm.training.tracing import Rows


class Accounts:
    """What a ledger and the ζ trace have since the last row."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._counted = ledger, ledger.copy()
        self._outcomes: list[tuple[str, float]] = []  # and ζ of judged replicas
        self.last_round = ledger.bytes_per_pair  # of the last row, [sender, receiver], server last

    def judged(self, trace: Rows) -> None:
        """Replicas that were judged."""
        self._outcomes += [(row["outcome"], row["zeta"]) for row in trace]

    @property
    def empty(self) -> bool:
        """Whether nothing was sent or judged since the last row."""
        return not self._outcomes and not self._ledger.since(self._counted).total("messages")

    def row(self, number: int, links: int, spread: float) -> dict[str, Any]:
        """The row of a round with these `links` and this `spread`."""
        sent = self._ledger.since(self._counted)
        self._counted, self.last_round = self._ledger.copy(), sent.bytes_per_pair
        outcomes, self._outcomes = self._outcomes, []
        mixed = [zeta for outcome, zeta in outcomes if outcome == "accepted"]
        return {
            "round": number,
            "links": links,
            **{name: sent.total(name) for name in COUNTERS},
            "bytes_sent": sent.bytes_sent,
            "heaviest_share": sent.heaviest_share,
            "judged": len(outcomes),
            "accepted": len(mixed),
            "identical": sum(outcome == "identical" for outcome, _ in outcomes),
            "zeta_mean": float(np.mean(mixed)) if mixed else float("nan"),
            "spread": spread,
        }

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "last_round": self.last_round.tolist(),
            "counted": {name: found.tolist() for name, found in self._counted.counts.items()},
            "outcomes": self._outcomes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.last_round[:] = state["last_round"]
        for name, counts in self._counted.counts.items():
            counts[:] = state["counted"][name]
        self._outcomes = [(outcome, zeta) for outcome, zeta in state["outcomes"]]
