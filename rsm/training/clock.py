"""Simulated time of the exchange: what arrives at an instant is read, and peers answer it at once.

Every frame that is due at an instant is read before anything is answered, so that the order of arrival decides
nothing. Nodes answer with what they hold at that instant. What a receiver does with what has come is not
decided here (rsm.training.timed_rounds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsm.exchange.channel import Channel
from rsm.exchange.codec import PLAIN, Codec
from rsm.exchange.frames import (
    ANSWER,
    NO_VALUES,
    QUESTION,
    REQUEST,
    SEGMENT,
    Frame,
    FrameError,
    checksum_of,
    decode,
    kind_of,
)
from rsm.exchange.inbox import mail
from rsm.exchange.replicas import Post, Slot, Vectors
from rsm.exchange.segments import segment_slices
from rsm.training.jury import JURY_TYPE, Peers
from rsm.training.open_round import Asked, OpenRound, Sent
from rsm.training.server import Server


@dataclass(frozen=True)
class View:
    """What nodes know at an instant, or as long as nothing of it changes."""

    neighbours: NDArray[np.bool_]  # [N, N], who hears whom
    held: Callable[[int], Vectors]  # agent → the parameters [D] that it sends now
    updates: NDArray[np.int64]  # of every agent so far
    made: Callable[[], Vectors]  # what the server makes of what it has, [D]
    # What jurors have worked out: juror and question as bytes → answer.
    said: dict[tuple[int, bytes], Vectors] = field(default_factory=dict)


class Clock:
    """Rounds under way, and the frames between them. A node has at most one round of its own open."""

    def __init__(
        self,
        channel: Channel,
        run: int,
        length: int,
        dtype: np.dtype[np.floating],
        replicas: int,
        peers: Peers | None = None,
        server: Server | None = None,
        codec: Codec = PLAIN,
    ) -> None:
        """`length` and `dtype` are those of what an agent shares, `replicas` the most that a node may ask for.

        `peers` answer questions where replicas are judged by jurors, `server` is that of a central method.
        `codec` may be of any encoding that needs no version held (`Codec.confirms`).
        """
        self.channel, self.peers, self.server, self._codec = channel, peers, server, codec
        self.open: dict[int, OpenRound] = {}  # agent → its round
        self._run, self._length, self._dtype, self._replicas = run, length, dtype, replicas
        # What a node has answered to another in that one's latest round: (kind, node, other) → round, places.
        self._answered: dict[tuple[int, int, int], tuple[int, set[tuple[int, int]]]] = {}

    def begin(self, rounds: Sequence[OpenRound], view: View) -> None:
        """Rounds begin now: their requests are sent.

        Peers that know without a request what to send (`standing`) send it now. An agent of a central method
        sends the server what it has, which is all that it asks.
        """
        known = []
        for one in rounds:
            self.open[one.agent] = one
            for slot in [slot for k in range(len(one.sources)) for slot in one.slots(k)]:
                if slot.sender == self.channel.server:
                    payload = self._encoded(view.held(one.agent), Slot(one.agent, 0, 0, 1))
                    self._send(one, one.agent, slot.sender, payload, (0, 0, 1), SEGMENT)
                elif one.standing:
                    known.append(Frame(REQUEST, self._run, one.number, one.agent, *slot, NO_VALUES))
                else:
                    self._send(one, one.agent, slot.sender, NO_VALUES, slot[1:], REQUEST)
        self._send_segments(sorted(known, key=lambda f: (f.receiver, *f[3:8])), view)

    def ask(self, agent: int, asked: Asked, packed: Vectors) -> None:
        """A question about a replica goes out to jurors now, `packed` as it travels."""
        one = self.open[agent]
        one.asked = asked
        for juror in asked.jurors:
            self._send(one, agent, juror, packed, (asked.replica, 0, 1), QUESTION)

    def serve(self, agents: Sequence[int], made: Vectors) -> None:
        """The server sends these agents what it has made, in their open rounds."""
        slot = Slot(self.channel.server, 0, 0, 1)
        payload = self._encoded(made, slot)
        checksum = checksum_of(payload)
        for agent in agents:
            if (one := self.open.get(agent)) is not None:
                one.sent[slot] = Sent(self.channel.now, 0)
                self._send(one, slot.sender, agent, payload, slot[1:], SEGMENT, checksum)

    def run_until(self, time: float, view: View, before: bool = False) -> None:
        """Everything that happens until `time`, or strictly before it, instant by instant."""
        self.instant(view)
        while (due := self.channel.next_arrival) <= time and not (before and due == time):
            self.channel.advance(due)
            self.instant(view)
        if not before:
            self.channel.advance(time)

    def instant(self, view: View) -> None:
        """Nodes read what has arrived, answer, read what that brought them at this very instant, and so on."""
        while nodes := self.channel.addressed:
            requests, questions, uploads = list[Frame](), list[Frame](), list[int]()
            for node in nodes:
                expected = partial(self._expected, view)
                for came, values in mail(
                    self.channel, node, self._run, expected, self._codec, self._dtype
                ):
                    frame = came._replace(values=values)
                    if frame.kind in (REQUEST, QUESTION):
                        (requests if frame.kind == REQUEST else questions).append(frame)
                        self._remember(frame)
                    elif node == self.channel.server:
                        assert self.server is not None
                        self.server.hear(frame.sender, frame.round, frame.values)
                        uploads.append(frame.sender)
                    else:
                        self.open[node].take(frame)
            self._send_segments(requests, view)
            if uploads and self.server is not None and not self.server.in_step:
                self.serve(uploads, view.made())
            if questions:
                self._answer(questions, view)

    def _send(
        self,
        one: OpenRound,
        sender: int,
        receiver: int,
        values: NDArray[Any],
        place: tuple[int, int, int],
        kind: int,
        checksum: int | None = None,
    ) -> None:
        Post(self.channel, self._run, one.number).send(
            sender, receiver, values, place, kind, checksum
        )

    def _send_segments(self, requests: list[Frame], view: View) -> None:
        """Every peer that was asked sends its segments, each encoded once for all who ask at this instant."""
        payloads: dict[tuple[int, int, int], tuple[NDArray[Any], int]] = {}
        for request in requests:
            peer, asks = request.receiver, request.sender
            index, count = request.segment, request.count
            if (peer, index, count) not in payloads:
                encoded = self._encoded(view.held(peer), Slot(peer, 0, index, count))
                payloads[peer, index, count] = encoded, checksum_of(encoded)
            payload, checksum = payloads[peer, index, count]
            one, place = self.open.get(asks), (request.replica, index, count)
            if one is not None and one.number == request.round:
                one.sent[Slot(peer, *place)] = Sent(self.channel.now, int(view.updates[peer]))
            post = Post(self.channel, self._run, request.round)
            post.send(peer, asks, payload, place, SEGMENT, checksum)

    def _encoded(self, values: Vectors, slot: Slot) -> NDArray[Any]:
        """The payload of one segment of `values: [D]`, the same for every receiver and round."""
        part = values[segment_slices(self._length, slot.count)[slot.segment]]
        return self._codec.encode(part, (slot.sender, 0, slot.segment, slot.count), 0, 0)

    def prepare(self, until: float, view: View) -> None:
        """Jurors work out at once what they will be asked by `until`, for which the view has to hold."""
        if self.peers is None:
            return
        questions = []
        for data in self.channel.arriving(until):
            if kind_of(data) == QUESTION:
                with suppress(FrameError):  # whoever receives it refuses it
                    questions.append(decode(data, self.channel.key))
        length, agents = self.peers.question_length, self.channel.server
        self._work_out(
            [
                one
                for one in questions
                if one.receiver < agents
                and (one.values.dtype, len(one.values)) == (JURY_TYPE, length)
            ],
            view,
        )

    def _work_out(self, questions: Sequence[Frame], view: View) -> None:
        assert self.peers is not None
        new = {key: one for one in questions if (key := _question(one)) not in view.said}
        if new:
            said = self.peers.said([j for j, _ in new], [one.values for one in new.values()])
            view.said.update(zip(new, said, strict=True))

    def _answer(self, questions: list[Frame], view: View) -> None:
        """Jurors answer what they have been asked."""
        self._work_out(questions, view)
        for question in questions:
            post = Post(self.channel, self._run, question.round)
            place, told = (question.replica, 0, 1), view.said[_question(question)]
            post.send(question.receiver, question.sender, told, place, ANSWER)

    def _expected(self, view: View, frame: Frame) -> int | None:
        """The number of values that a frame must have to be taken, None where none such is."""
        node, sender, agents = frame.receiver, frame.sender, self.channel.server
        if node == agents:
            if self.server is None or frame.kind != SEGMENT or sender >= agents:
                return None
            right = frame[5:8] == (0, 0, 1)
            return self._length if right and self._newer(frame) else None
        if frame.kind in (SEGMENT, ANSWER):
            one = self.open.get(node)
            now = self.channel.now
            return None if one is None else one.expects(frame, now, self._length)
        asks = sender < agents and bool(view.neighbours[sender, node]) and self._fresh(frame)
        if not asks or frame.replica >= self._replicas:
            return None
        if frame.kind == REQUEST:
            return 0 if frame.count <= self._length else None
        if self.peers is None or frame[6:8] != (0, 1) or frame.values.dtype != JURY_TYPE:
            return None
        return self.peers.question_length

    def _newer(self, frame: Frame) -> bool:
        """Whether an upload is of a later round of its sender than what the server has, and in time."""
        server = self.server
        assert server is not None
        return server.listens and frame.round > server.rounds.get(frame.sender, -1)

    def _fresh(self, frame: Frame) -> bool:
        """Whether a request or question is of its sender's latest round, and not answered yet."""
        number, places = self._answered.get(_pair(frame), (-1, set()))
        return frame.round > number or (
            frame.round == number and (frame.replica, frame.segment) not in places
        )

    def _remember(self, frame: Frame) -> None:
        number, places = self._answered.get(_pair(frame), (-1, set()))
        if frame.round > number:
            places = set()
        places.add((frame.replica, frame.segment))
        self._answered[_pair(frame)] = (frame.round, places)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the channel."""
        return {
            "open": [one.state_dict() for one in self.open.values()],
            "answered": [
                (*pair, number, sorted(places)) for pair, (number, places) in self._answered.items()
            ],
            "server": self.server.state_dict() if self.server is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        restored = [OpenRound.restored(one) for one in state["open"]]
        self.open = {one.agent: one for one in restored}
        self._answered = {
            (kind, node, other): (number, {(k, p) for k, p in places})
            for kind, node, other, number, places in state["answered"]
        }
        if self.server is not None:
            self.server.load_state_dict(state["server"])


def _question(frame: Frame) -> tuple[int, bytes]:
    return frame.receiver, frame.values.tobytes()


def _pair(frame: Frame) -> tuple[int, int, int]:
    return frame.kind, frame.receiver, frame.sender
