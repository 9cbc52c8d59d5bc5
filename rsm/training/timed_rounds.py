"""Rounds that take simulated time: in step behind a barrier, or each agent in its own time.

Both ask by the same `ask` and mix by the same `mix` of a method (rsm.training.clock, rsm.training.mixer).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from rsm.exchange.replicas import Vectors
from rsm.methods.context import Context, Method
from rsm.training.clock import Clock, View
from rsm.training.mixer import Around, Mixer
from rsm.training.open_round import OpenRound

Ask = Callable[[int], Context]  # an agent → its context when it asks


class Parties(NamedTuple):
    """Who takes part, and by which rules."""

    clock: Clock
    mixer: Mixer
    method: Method
    timeout: float  # s


def step_by_step(
    parties: Parties,
    shared: Tensor,
    held: Callable[[int], Vectors],
    agents: Sequence[int],
    contexts: Ask,
    number: int,
    around: Around,
) -> tuple[Tensor, float]:
    """One synchronous round that begins now: the new parameters `[N, D]`, and when it ends, s.

    Peers send what they had when it began. It ends when every frame of it has arrived, or after the timeout.
    Where jurors are asked, replicas are judged as they come, in order, else all at the end. A server waits for
    all until half of the timeout, so that its answer can come in time.
    """
    clock, mixer, channel, timeout = (
        parties.clock,
        parties.mixer,
        parties.clock.channel,
        parties.timeout,
    )
    own, began = shared.clone(), channel.now
    until = began + timeout
    served = clock.server is None
    if clock.server is not None:
        clock.server.begin_in_step()
    view = View(around.neighbours, held, around.updates, lambda: _made(clock, contexts))
    clock.begin(
        _opened(parties.method, agents, contexts, [number] * len(agents), until, True), view
    )
    clock.instant(view)

    def complete() -> bool:
        return all(len(one.ready(-math.inf)) == len(one.left) for one in clock.open.values())

    while True:
        if clock.server is not None and not served:
            heard = len(clock.server.latest)
            if heard == len(agents) or channel.now >= began + timeout / 2:
                served, clock.server.listens = True, False
                if heard:
                    clock.serve(agents, view.made())
                    clock.instant(view)
        if clock.peers is not None:
            while mixer.ready(channel.now):
                mixer.step(own, around)
                clock.instant(view)
                clock.prepare(until, view)
        if complete() and served and not any(one.asked for one in clock.open.values()):
            break
        due = channel.next_arrival
        if not served:
            due = min(due, began + timeout / 2)
        if due > until:
            clock.run_until(until, view)
            break
        clock.run_until(due, view)
    while clock.open:
        mixer.step(own, around)
        clock.instant(view)
    return own, channel.now


class OwnTime:
    """Asynchronous rounds: each agent begins its own, and nobody waits."""

    def __init__(self, parties: Parties, agents: int) -> None:
        self._parties, self._agents = parties, agents
        self.numbers = [0] * agents  # rounds that each has begun

    def begin(self, agents: Sequence[int], contexts: Ask, view: View) -> None:
        """These agents, none of whom has a round open, begin one now."""
        for agent in agents:
            self.numbers[agent] += 1
        numbers = [self.numbers[agent] for agent in agents]
        until = self._parties.clock.channel.now + self._parties.timeout
        opened = _opened(self._parties.method, agents, contexts, numbers, until, False)
        self._parties.clock.begin(opened, view)

    def mix(self, shared: Callable[[], Tensor], view: View, around: Around) -> Mixed:
        """Whatever receivers can do now, until they can do no more.

        What is due at this instant is all read before anybody mixes, and peers answer with what they had when
        it began.
        """
        clock, mixer = self._parties.clock, self._parties.mixer
        own, changed = None, set[int]()
        clock.run_until(clock.channel.now, view)
        while mixer.ready(clock.channel.now):
            own = shared() if own is None else own
            changed |= set(mixer.step(own, around))
            clock.instant(view)
        return Mixed(own, sorted(changed))


class Mixed(NamedTuple):
    """Parameters `[N, D]`, None where nothing was mixed, and the agents whose rows are new."""

    shared: Tensor | None
    agents: list[int]


def _opened(
    method: Method,
    agents: Sequence[int],
    contexts: Ask,
    numbers: Sequence[int],
    until: float,
    in_step: bool,
) -> list[OpenRound]:
    """What agents ask for. Only where rounds are in step do peers know without a request when to send."""
    opened = []
    for agent, number in zip(agents, numbers, strict=True):
        ask = method.ask(agent, contexts(agent))
        sources = [list(peers) for peers in ask.sources]
        opened.append(OpenRound(agent, number, until, sources, ask.standing and in_step))
    return opened


def _made(clock: Clock, contexts: Ask) -> Vectors:
    assert clock.server is not None
    return clock.server.made(contexts(0))
