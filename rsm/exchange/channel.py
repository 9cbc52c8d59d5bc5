"""The channel: carries bytes between nodes in simulated time, and loses frames with a given probability."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from rsm.errors import ConfigError
from rsm.exchange import frames
from rsm.exchange.delays import Delay, no_delay
from rsm.exchange.frames import kind_of, overhead
from rsm.exchange.ledger import Ledger


class InFlight(NamedTuple):
    """A frame on its way; the earlier arrival is the smaller, then what was sent first."""

    arrival: float  # s
    number: int  # in order of sending
    sender: int
    receiver: int
    frame: bytes


class Channel:
    """Mailboxes of N agents and one server (node N), and what is on its way to them.

    A frame of b bytes sent at time t arrives at t + delay + b / bandwidth. All links of a node, in both
    directions, share its bandwidth in order of sending, so that a frame waits until sender and receiver are
    free: a central server is a queue. A frame is lost with probability `loss_rate`; it takes its time on the
    links all the same. `generator` draws losses and delays: one for all senders, or one of each node, so that
    what one of them draws depends on nobody else. `key`, if there is one, authenticates every frame; its tag
    counts as header. Without delay and bandwidth every frame arrives when it is sent.
    """

    def __init__(
        self,
        agents: int,
        loss_rate: float,
        generator: Generator | Sequence[Generator],
        key: bytes = b"",
        delay: Delay = no_delay,
        bandwidth: float = math.inf,
    ) -> None:
        self.ledger = Ledger(agents)
        self.server = agents
        self.key = key
        self.now = 0.0  # s of simulated time
        self.present: NDArray[np.bool_] | None = None  # [N], whose radio is on; None: everybody's
        self._overhead = overhead(key)
        self._loss_rate, self._delay, self._bandwidth = loss_rate, delay, bandwidth
        self._generators = [generator] if isinstance(generator, Generator) else list(generator)
        self._mailboxes: list[list[bytes]] = [[] for _ in range(agents + 1)]
        self._addressed: set[int] = set()  # nodes with something in theirs
        self._flight: list[InFlight] = []  # a heap
        self._sent = 0
        self._free = [0.0] * (agents + 1)  # when the links of a node have sent what they were given

    def send(self, frame: bytes, sender: int, receiver: int) -> float:
        """Put the bytes of one frame on the wire now; when it arrives, s, or infinity where it is lost."""
        self._count(frame, sender, receiver)
        draw = self._generators[sender if len(self._generators) > 1 else 0]
        lost = bool(self._loss_rate) and draw.random() < self._loss_rate
        arrival = self._through_links(len(frame), sender, receiver) + self._delay(draw)
        if lost:
            self._lose(frame, sender, receiver)
            return math.inf
        self._sent += 1
        if arrival > self.now:
            found = InFlight(arrival, self._sent, sender, receiver, frame)
            heapq.heappush(self._flight, found)
        else:
            self._arrive(frame, sender, receiver)
        return arrival

    def deliver(self, frame: bytes, receiver: int) -> None:
        """Put bytes into the mailbox of a node, whoever they come from: nothing is counted."""
        self._mailboxes[receiver].append(frame)
        self._addressed.add(receiver)

    @property
    def next_arrival(self) -> float:
        """When the next frame arrives, s; infinity where none is on its way."""
        return self._flight[0].arrival if self._flight else math.inf

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of all frames on their way."""
        return sum(len(one.frame) for one in self._flight)

    @property
    def addressed(self) -> list[int]:
        """Nodes with something in their mailbox, in order."""
        return sorted(self._addressed)

    def arriving(self, time: float) -> list[bytes]:
        """The frames on their way that arrive by `time`, in no order."""
        return [one.frame for one in self._flight if one.arrival <= time]

    def advance(self, time: float) -> None:
        """Let simulated time run on to `time` (s, never back): what arrives until then is in the mailboxes."""
        self.now = max(self.now, time)
        while self._flight and self._flight[0].arrival <= self.now:
            found = heapq.heappop(self._flight)
            self._arrive(found.frame, found.sender, found.receiver)

    def collect(self, receiver: int) -> list[bytes]:
        """Empty the mailbox of a node, in order of arrival."""
        mailbox, self._mailboxes[receiver] = self._mailboxes[receiver], []
        self._addressed.discard(receiver)
        return mailbox

    def refuse(self, sender: int, receiver: int) -> None:
        """Count a frame that the receiver did not accept."""
        self.ledger.counts["refused"][sender, receiver] += 1

    def _count(self, frame: bytes, sender: int, receiver: int) -> None:
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

    def _through_links(self, size: int, sender: int, receiver: int) -> float:
        """When the last byte has left the links of both nodes."""
        if self._bandwidth == math.inf:
            return self.now
        begins = max(self.now, self._free[sender], self._free[receiver])
        ends = begins + size / self._bandwidth
        self._free[sender] = self._free[receiver] = ends
        return ends

    def _arrive(self, frame: bytes, sender: int, receiver: int) -> None:
        """A frame is there; one whose receiver has its radio off is lost."""
        if self.present is not None and receiver < len(self.present) and not self.present[receiver]:
            self._lose(frame, sender, receiver)
            return
        self.ledger.fates["delivered_bytes"][sender, receiver] += len(frame)
        self.deliver(frame, receiver)

    def _lose(self, frame: bytes, sender: int, receiver: int) -> None:
        self.ledger.counts["lost"][sender, receiver] += 1
        self.ledger.fates["lost_bytes"][sender, receiver] += len(frame)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, between instants: mailboxes are empty then."""
        return {
            "counts": {name: matrix.tolist() for name, matrix in self.ledger.counts.items()},
            "fates": {name: matrix.tolist() for name, matrix in self.ledger.fates.items()},
            "generators": [draw.bit_generator.state for draw in self._generators],
            "authenticated": bool(self.key),
            "now": self.now,
            "sent": self._sent,
            "free": list(self._free),
            "flight": [
                (found[:-1], torch.frombuffer(bytearray(found.frame), dtype=torch.uint8))
                for found in sorted(self._flight)
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; raises ConfigError where only one of the two has a key."""
        if state["authenticated"] != bool(self.key):
            began = "with a key" if state["authenticated"] else "without a key"
            raise ConfigError(
                f"environment: RSM_FRAME_KEY: the run began {began} and must be resumed {began}"
            )
        for kept, found in ((self.ledger.counts, "counts"), (self.ledger.fates, "fates")):
            for name, matrix in kept.items():
                matrix[:] = state[found][name]
        for draw, drawn in zip(self._generators, state["generators"], strict=True):
            draw.bit_generator.state = drawn
        self.now, self._sent, self._free = state["now"], state["sent"], list(state["free"])
        self._flight = [
            InFlight(arrival, number, sender, receiver, data.numpy().tobytes())
            for (arrival, number, sender, receiver), data in state[
                "flight"
            ]  # a sorted list is a heap
        ]
