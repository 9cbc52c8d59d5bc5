"""What a receiver does with what has come: asks jurors, judges and mixes, replica by replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.catalogue import MethodTraits
from rsm.config.exchanging import Communication
from rsm.exchange.replicas import Came
from rsm.methods.context import Context, Method, MixingMetric
from rsm.mixing.jury import Question
from rsm.training.clock import Clock
from rsm.training.judging import Judgement, Opinion
from rsm.training.jury import packed_for_travel
from rsm.training.open_round import Asked, together
from rsm.training.tracing import Age, Judge, Rows, traced

Pairs = list[tuple[int, int]]  # agents and one replica of each


class Around(NamedTuple):
    """What a method and its judges see of the world at an instant."""

    neighbours: NDArray[np.bool_]  # [N, N]
    updates: NDArray[np.int64]  # of every agent so far
    # What came, own and referential parameters [R, D] → the case that judges decide.
    case: Callable[[Came, Tensor, Tensor], Judgement]
    judge: Judge  # by the receivers' own critics
    trace: Rows  # judged replicas are added


class Mixer:
    """Brings the open rounds of a clock forward: each receiver does what it can with what has come.

    `in_order` judges replica k + 1 after replica k, whichever came first. Otherwise the first that is complete
    comes first.
    """

    def __init__(
        self,
        clock: Clock,
        method: Method,
        traits: MethodTraits,
        settings: Communication,
        length: int,
        in_order: bool,
    ) -> None:
        self._clock, self._method, self._judged = clock, method, traits.judged
        self._settings, self._length, self._in_order = settings, length, in_order
        self._idle = np.random.default_rng(0)  # no method draws while it mixes

    def ready(self, now: float) -> bool:
        """Whether some receiver could do something."""
        return any(self._asks_or_mixes(agent, now) for agent in self._clock.open)

    def step(self, own: Tensor, around: Around) -> list[int]:
        """Every receiver does one thing with its parameters, a row of `own: [N, D]`.

        That is to ask jurors about a replica, to mix one, or to mix all where the method does not judge.
        Returns whose parameters it has changed; empty also where questions went out.
        """
        now, clock = self._clock.channel.now, self._clock
        whole, asking, judging, concluding = list[int](), Pairs(), Pairs(), Pairs()
        for agent in sorted(clock.open):
            if not self._asks_or_mixes(agent, now):
                continue
            one = clock.open[agent]
            if not self._judged:
                whole.append(agent)
            elif not one.left:
                del clock.open[agent]
            elif one.asked is not None:
                concluding.append((agent, one.asked.replica))
            else:
                by_peers = clock.peers is not None and around.neighbours[agent].sum() > 1
                (asking if by_peers else judging).append((agent, one.ready(now)[0]))
        if asking:
            self._ask(own, asking, around)
        self._judge(own, judging, around, around.judge)
        self._judge(own, concluding, around, self._conclude)
        if whole:
            parts = [
                clock.open[agent].came(clock.open[agent].left, self._length) for agent in whole
            ]
            self._mix(own, together(parts), self._context(around, _no_metric))
            for agent in whole:
                del clock.open[agent]
        return sorted([*whole, *(agent for agent, _ in judging + concluding)])

    def _asks_or_mixes(self, agent: int, now: float) -> bool:
        one = self._clock.open[agent]
        if one.asked is not None:
            return one.asked.over(now)
        ready = one.ready(now)
        if not self._judged:
            return ready == one.left
        if self._in_order:
            return ready[:1] == one.left[:1]
        return bool(ready) or not one.left

    def _ask(self, own: Tensor, pairs: Pairs, around: Around) -> None:
        """Each agent puts a question about one replica to jurors; who is not waited for is not asked."""
        peers = self._clock.peers
        assert peers is not None
        came, now = self._came(pairs), self._clock.channel.now
        jurors = [
            peers.jurors(agent, came.sources[row][0], around.neighbours)
            for row, (agent, _) in enumerate(pairs)
        ]
        case = around.case(came, *self._compared(own, came, around))
        question = peers.question(case)
        packed = packed_for_travel(question)
        for row, (agent, replica) in enumerate(pairs):
            # In step there is one timeout for the round, else one for each question.
            until = (
                self._clock.open[agent].until if self._in_order else now + self._settings.timeout
            )
            of_row = Question(*(part[row : row + 1] for part in question))
            chosen = jurors[row] if until > now else []
            self._clock.ask(agent, Asked(replica, now, until, chosen, of_row), packed[row])

    def _compared(self, own: Tensor, came: Came, around: Around) -> tuple[Tensor, Tensor]:
        """Own and referential parameters `[R, D]` that the method would have judged: it says so itself."""
        compared: list[tuple[Tensor, Tensor]] = []

        def looks(came: Came, own: Tensor, referential: Tensor) -> Tensor:
            compared.append((own, referential))
            return own.new_zeros(len(own))

        self._method.mix(_rows(own, came.receivers), came, self._context(around, looks))
        return compared[0]

    def _judge(self, own: Tensor, pairs: Pairs, around: Around, judge: Judge) -> None:
        """One replica of each agent is judged and mixed."""
        if not pairs:
            return
        first, replica_of = len(around.trace), dict(pairs)

        def aged(came: Came, row: int, jurors: list[int]) -> Age:
            agent = came.receivers[row]
            return self._age(agent, replica_of[agent], jurors, around.updates)

        metric = traced(judge, around.trace, aged)
        self._mix(own, self._came(pairs), self._context(around, metric))
        for row in around.trace[first:]:
            row["round"] = self._clock.open[row["agent"]].number
        for agent, replica in pairs:
            one = self._clock.open[agent]
            one.mixed.append(replica)
            one.asked = None
            if not one.left:
                del self._clock.open[agent]

    def _conclude(self, came: Came, own: Tensor, referential: Tensor, replica: int) -> Opinion:
        """By the answers of the jurors, about the policies that they were asked about."""
        peers, asked = (
            self._clock.peers,
            [self._clock.open[agent].asked for agent in came.receivers],
        )
        assert peers is not None
        parts = zip(*(one.question for one in asked if one is not None), strict=True)
        question = Question(*(torch.cat(part) for part in parts))
        heard = [dict(sorted(one.answers.items())) for one in asked if one is not None]
        said = [list(answers.values()) for answers in heard]
        verdict = peers.verdict(came.receivers, question, said)
        return Opinion(verdict, [list(answers) for answers in heard])

    def _age(self, agent: int, replica: int, jurors: list[int], updates: NDArray[np.int64]) -> Age:
        one, now = self._clock.open[agent], self._clock.channel.now
        sent = [one.sent[slot] if slot in one.segments else None for slot in one.slots(replica)]
        since = [int(updates[slot.sender]) for slot in one.slots(replica)]
        return Age(
            replica + 1,
            [None if left is None else now - left.time for left in sent],
            [
                None if left is None else by_now - left.updates
                for left, by_now in zip(sent, since, strict=True)
            ],
            now - one.asked.time if one.asked is not None and jurors else None,
        )

    def _came(self, pairs: Pairs) -> Came:
        return together([self._clock.open[agent].came([k], self._length) for agent, k in pairs])

    def _mix(self, own: Tensor, came: Came, context: Context) -> None:
        own[came.receivers] = self._method.mix(_rows(own, came.receivers), came, context)

    def _context(self, around: Around, metric: MixingMetric) -> Context:
        return Context(self._settings, around.neighbours, self._idle, metric)


def _rows(own: Tensor, receivers: list[int]) -> Tensor:
    return own if len(receivers) == len(own) else own[receivers]


def _no_metric(came: Came, own: Tensor, referential: Tensor) -> Tensor:
    raise RuntimeError("a method that is not judged has no mixing metric")
