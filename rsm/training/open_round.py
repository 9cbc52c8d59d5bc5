"""A round of one agent that is under way: what it asked for, what has come, what is still to be mixed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch

from rsm.exchange.frames import ANSWER, SEGMENT, Frame
from rsm.exchange.replicas import Came, Slot, Vectors, slot_of
from rsm.exchange.segments import segment_slices
from rsm.mixing.jury import Question
from rsm.training.jury import JURY_TYPE


class Sent(NamedTuple):
    """When a segment left its sender."""

    time: float  # s
    updates: int  # of the sender, by then


@dataclass
class Asked:
    """A question that an agent has put to jurors about one replica, and what they have answered so far."""

    replica: int
    time: float  # when it was asked, s
    until: float  # when no answer is waited for any more, s
    jurors: list[int]
    question: Question  # [1, ...]
    answers: dict[int, Vectors] = field(default_factory=dict)  # juror → [B]

    @property
    def states(self) -> int:
        """B, states of the question."""
        return self.question.entropy_gain.shape[1]

    def expects(self, frame: Frame, now: float) -> int | None:
        """The number of values of an answer that is waited for, None for any other."""
        awaited = frame.sender in self.jurors and frame.sender not in self.answers
        right = frame[5:8] == (self.replica, 0, 1) and frame.values.dtype == JURY_TYPE
        return self.states if awaited and right and now <= self.until else None

    def over(self, now: float) -> bool:
        """Whether all have answered, or those that have not are not waited for."""
        return len(self.answers) == len(self.jurors) or now >= self.until


@dataclass
class OpenRound:
    """One round of one agent, from what it asks for to the last replica that it has judged."""

    agent: int
    number: int  # of the agent's rounds, from 1
    until: float  # when no segment is waited for any more, s
    sources: list[list[int]]  # [k][p] peers
    standing: bool = False  # peers know without a request
    segments: dict[Slot, Vectors] = field(default_factory=dict)  # what has come
    sent: dict[Slot, Sent] = field(default_factory=dict)  # of every segment that was sent
    mixed: list[int] = field(default_factory=list)  # replicas that need no more attention
    asked: Asked | None = None

    def __post_init__(self) -> None:
        self._slots = [
            [Slot(peer, replica, p, len(peers)) for p, peer in enumerate(peers)]
            for replica, peers in enumerate(self.sources)
        ]

    def slots(self, replica: int) -> list[Slot]:
        """The segments of one replica."""
        return self._slots[replica]

    @property
    def left(self) -> list[int]:
        """Replicas that are still to be mixed, in order."""
        return [k for k in range(len(self.sources)) if k not in self.mixed]

    def expects(self, frame: Frame, now: float, length: int) -> int | None:
        """The number of values of a frame that this round waits for, None where it waits for none such.

        `length` is that of what an agent shares.
        """
        if frame.round != self.number:
            return None
        if frame.kind == ANSWER:
            return None if self.asked is None else self.asked.expects(frame, now)
        slot = slot_of(frame)
        wanted = slot.replica in self.left and slot in self.slots(slot.replica)
        if not wanted or slot in self.segments or now > self.until:
            return None
        part = segment_slices(length, slot.count)[slot.segment]
        return part.stop - part.start

    def take(self, frame: Frame) -> None:
        """A segment, or a juror's answer, that this round waits for."""
        if frame.kind == SEGMENT:
            self.segments[slot_of(frame)] = frame.values
        elif self.asked is not None:
            self.asked.answers[frame.sender] = frame.values

    def ready(self, now: float) -> list[int]:
        """Those of them that are complete, or whose gaps are not waited for any more."""
        if now >= self.until:
            return self.left
        return [k for k in self.left if all(slot in self.segments for slot in self.slots(k))]

    def came(self, replicas: list[int], length: int) -> Came:
        """What came of some replicas, for this receiver alone."""
        segments = [[self.segments.get(slot) for slot in self.slots(k)] for k in replicas]
        return Came([self.agent], [[self.sources[k] for k in replicas]], [segments], length)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        state = kept | {
            "segments": [(tuple(s), torch.from_numpy(v.copy())) for s, v in self.segments.items()],
            "sent": [(tuple(slot), tuple(sent)) for slot, sent in self.sent.items()],
        }
        if self.asked is not None:
            answers = [(j, torch.from_numpy(v.copy())) for j, v in self.asked.answers.items()]
            question = tuple(self.asked.question)
            state["asked"] = vars(self.asked) | {"answers": answers, "question": question}
        return state

    @classmethod
    def restored(cls, state: dict[str, Any]) -> OpenRound:
        """What `state_dict` was made of."""
        found = cls(**state)
        found.segments = {Slot(*slot): v.numpy() for slot, v in state["segments"]}
        found.sent = {Slot(*slot): Sent(*sent) for slot, sent in state["sent"]}
        if state["asked"] is not None:
            found.asked = Asked(**state["asked"])
            found.asked.question = Question(*state["asked"]["question"])
            found.asked.answers = {juror: v.numpy() for juror, v in state["asked"]["answers"]}
        return found


def together(parts: list[Came]) -> Came:
    """What came for several receivers, one after another."""
    return Came(
        [receiver for came in parts for receiver in came.receivers],
        [replicas for came in parts for replicas in came.sources],
        [replicas for came in parts for replicas in came.segments],
        parts[0].length,
    )
