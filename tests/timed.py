"""Rounds in simulated time outside a run: what tests of their laws share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.config.exchanging import Communication
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.delays import delay_of
from rsm.exchange.replicas import Came
from rsm.methods.context import Context
from rsm.mixing.jury import Question
from rsm.mixing.rules import Verdict
from rsm.training.clock import Clock, View
from rsm.training.judging import Judgement, Opinion
from rsm.training.mixer import Around, Mixer
from rsm.training.server import Server
from rsm.training.timed_rounds import OwnTime, Parties, step_by_step
from rsm.training.tracing import Rows

RUN = 1


def verdict_of(advantage: torch.Tensor, form: torch.Tensor) -> Verdict:
    """Accepts where A⁺ > 0, with a ζ that depends on it."""
    zeta = torch.where(advantage > 0, (0.3 * advantage).float(), 0)
    return Verdict(*[advantage] * 2, form, *[advantage] * 2, zeta, zeta > 0, form == 0)


def by_both(own: torch.Tensor, referential: torch.Tensor) -> Verdict:
    """Accepts about half of the replicas, by numbers that depend on every parameter of both."""
    gap = (referential - own).double()
    return verdict_of(torch.sin(gap.sum(1) * 7), gap.square().sum(1))


class Jury:
    """Stands in for jurors: what they say depends on who asks about what, and on who is asked."""

    states, question_length = 4, 8

    def __init__(self, agents: int) -> None:
        self.draws = [np.random.default_rng([9, agent]) for agent in range(agents)]

    def jurors(self, agent: int, sources: list[int], neighbours: np.ndarray) -> list[int]:
        others = [
            peer for peer in np.flatnonzero(neighbours[agent]).tolist() if peer not in sources
        ]
        return sorted(self.draws[agent].permutation(others)[:3].tolist())

    def question(self, case: Judgement) -> Question:
        gap = (case.theta_tilde - case.theta).double().sum(1)
        parts = [torch.sin(gap.unsqueeze(1) * k) for k in (3.0, 5.0)]
        states = torch.stack(parts, 2).repeat(1, self.states, 1).float()  # [R, 4, 2]
        empty = states.new_zeros(len(gap), 0)
        return Question(states, empty, empty, states[:, :, 0], gap.abs().float())

    def said(self, jurors: Sequence[int], questions: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.sin(asked[: self.states] * (3 + juror)).astype(np.float32)
            for juror, asked in zip(jurors, questions, strict=True)
        ]

    def verdict(self, receivers, asked: Question, heard) -> Verdict:
        gain = asked.entropy_gain.mean(1).double()
        told = torch.tensor([float(np.sum(answers)) if answers else -9.0 for answers in heard])
        return verdict_of(gain + told.double(), asked.form.double())


class World(NamedTuple):
    """Agents with parameters `theta: [N, D]`, and all that their rounds need."""

    parties: Parties
    own_time: OwnTime
    theta: torch.Tensor
    neighbours: np.ndarray
    updates: np.ndarray
    contexts: Callable[[int], Context]
    judge: Callable[[torch.Tensor, torch.Tensor], Verdict]
    trace: Rows

    @property
    def channel(self) -> Channel:
        return self.parties.clock.channel

    @property
    def view(self) -> View:
        held = self.theta.clone().numpy()
        server = self.parties.clock.server
        return View(
            self.neighbours,
            held.__getitem__,
            self.updates.copy(),
            lambda: server.made(self.contexts(0)),
        )

    @property
    def around(self) -> Around:
        def case(came: Came, own: torch.Tensor, referential: torch.Tensor) -> Judgement:
            return Judgement(came, own, None, referential, self.neighbours, None)

        def judge(came: Came, own: torch.Tensor, referential: torch.Tensor, _: int) -> Opinion:
            return Opinion(self.judge(own, referential), [[] for _ in came.receivers])

        return Around(self.neighbours, self.updates.copy(), case, judge, self.trace)

    def round_in_step(self, now: float, number: int) -> float:
        """A synchronous round of all; when it ends."""
        self.parties.clock.run_until(now, self.view)
        agents = range(len(self.theta))
        shared, ends = step_by_step(
            self.parties,
            self.theta,
            self.view.held,
            agents,
            self.contexts,
            number,
            self.around,
        )
        self.theta.copy_(shared)
        return ends

    def decision(self, now: float, due: Sequence[int] | None = None, updated: bool = True) -> None:
        """What happens at a decision of asynchronous agents, who change by an update before they communicate.

        By default everybody whose last round is over begins another.
        """
        clock = self.parties.clock
        clock.run_until(now, self.view, before=True)
        if updated:
            self.theta.add_(torch.sin(self.theta * 9 + now) / 50)
            self.updates[:] += 1
        clock.channel.advance(now)
        every = range(len(self.theta)) if due is None else due
        view = self.view
        self.own_time.begin([a for a in every if a not in clock.open], self.contexts, view)
        mixed = self.own_time.mix(self.theta.clone, view, self.around)
        if mixed.shared is not None:
            self.theta.copy_(mixed.shared)


def world_of(
    method: str,
    parameters: torch.Tensor,
    neighbours: np.ndarray,
    seed: int = 0,
    jury: bool = False,
    sources: Any = None,
    channel: Channel | None = None,
    **settings: Any,
) -> World:
    """Settings are those of `communication`; `sources` is a generator that all agents share."""
    communication, traits = Communication(**settings), METHODS[method]
    agents, module = len(parameters), methods.load(method)
    in_step = communication.mode == "synchronous"
    if channel is None:
        draws = [np.random.default_rng([seed, node]) for node in range(agents + 1)]
        bandwidth = communication.bandwidth or float("inf")
        delay = delay_of(communication)
        channel = Channel(agents, communication.loss_rate, draws, b"", delay, bandwidth)
    clock = Clock(
        channel,
        RUN,
        parameters.shape[1],
        np.dtype(np.float32),
        communication.replicas if traits.segments else agents,
        Jury(agents) if jury else None,  # type: ignore[arg-type]
        Server(module, parameters[0]) if traits.server else None,
        Codec(communication.encoding, np.random.default_rng(seed), agents),
    )
    mixer = Mixer(clock, module, traits, communication, parameters.shape[1], in_step)
    parties = Parties(clock, mixer, module, communication.timeout)
    asks = [sources or np.random.default_rng([seed, 77, agent]) for agent in range(agents)]

    def context(agent: int) -> Context:
        return Context(
            communication,
            neighbours,
            asks[agent],
            lambda came, own, referential: own.new_zeros(len(own)),
            jurors=int(jury),
        )

    updates = np.zeros(agents, dtype=np.int64)
    own_time = OwnTime(parties, agents)
    return World(parties, own_time, parameters.clone(), neighbours, updates, context, by_both, [])
