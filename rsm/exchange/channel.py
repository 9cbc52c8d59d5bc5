"""The channel: delivers bytes between nodes, and loses frames with a given probability."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsm.errors import ConfigError
from rsm.exchange import frames
from rsm.exchange.frames import kind_of, overhead
from rsm.exchange.ledger import Ledger


class Channel:
    """Mailboxes of N agents and one server (node N); frames are lost with probability `loss_rate`.

    `key`, if there is one, authenticates every frame; its tag counts as header.
    """

    def __init__(
        self, agents: int, loss_rate: float, generator: np.random.Generator, key: bytes = b""
    ) -> None:
        self.ledger = Ledger(agents)
        self.server = agents
        self.key = key
        self._overhead = overhead(key)
        self._loss_rate, self._generator = loss_rate, generator
        self._mailboxes: list[list[bytes]] = [[] for _ in range(agents + 1)]

    def send(self, frame: bytes, sender: int, receiver: int) -> None:
        """Put the bytes of one frame on the wire."""
        counts = self.ledger.counts
        counts["messages"][sender, receiver] += 1
        match kind_of(frame):
            case frames.SEGMENT:
                counts["header_bytes"][sender, receiver] += self._overhead
                counts["payload_bytes"][sender, receiver] += len(frame) - self._overhead
            case frames.REQUEST:
                counts["request_bytes"][sender, receiver] += len(frame)
            case _:
                counts["question_bytes"][sender, receiver] += len(frame)
        if self._loss_rate and self._generator.random() < self._loss_rate:
            counts["lost"][sender, receiver] += 1
        else:
            self.deliver(frame, receiver)

    def deliver(self, frame: bytes, receiver: int) -> None:
        """Put bytes into the mailbox of a node, whoever they come from: nothing is counted."""
        self._mailboxes[receiver].append(frame)

    def collect(self, receiver: int) -> list[bytes]:
        """Empty the mailbox of a node, in order of arrival."""
        mailbox, self._mailboxes[receiver] = self._mailboxes[receiver], []
        return mailbox

    def refuse(self, sender: int, receiver: int) -> None:
        """Count a frame that the receiver did not accept."""
        self.ledger.counts["refused"][sender, receiver] += 1

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; mailboxes are empty between rounds."""
        return {
            "counts": {name: matrix.tolist() for name, matrix in self.ledger.counts.items()},
            "generator": self._generator.bit_generator.state,
            "authenticated": bool(self.key),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; raises ConfigError where only one of the two has a key."""
        if state["authenticated"] != bool(self.key):
            began = "with a key" if state["authenticated"] else "without one"
            raise ConfigError(
                f"environment: RSM_FRAME_KEY: the run began {began} and must go on so: its bytes differ"
            )
        for name, matrix in self.ledger.counts.items():
            matrix[:] = state["counts"][name]
        self._generator.bit_generator.state = state["generator"]
