"""Communication of a run: what its rounds need, what they change, and the rows that they leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.delays import delay_of
from rsm.exchange.frames import frame_key
from rsm.exchange.replicas import Came, Post
from rsm.exchange.segments import segment_slices
from rsm.methods.context import Context
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import Stream, numpy_generator
from rsm.training.accounts import Accounts
from rsm.training.judges import judges_of
from rsm.training.judging import Judgement, Opinion
from rsm.training.neighbours import Neighbours
from rsm.training.rounds import Exchange, sequential_round, synchronous_round
from rsm.training.sharing import Sharing
from rsm.training.streams import streams_of
from rsm.training.timed import Place, Timed
from rsm.training.tracing import Judge, Rows, traced

Places = Callable[[], NDArray[np.float64]]  # where the vehicles are now, [N, 2]


class Held(NamedTuple):
    """The row of `rounds` that is due, None where none is, and rows of `zeta`; the loop adds columns."""

    row: dict[str, Any] | None
    trace: Rows


class Communication:
    """What N agents of one run exchange. Raises ConfigError for a topology or segments that cannot be."""

    def __init__(self, config: RunConfig, learner: Learner, replay: Replay) -> None:
        self._config, self.learner = config, learner
        communication, agents = config.communication, learner.agents
        self._sharing = Sharing(config, learner)
        self.attackers = self._sharing.attackers
        self.parameters = self._sharing.length
        self._traits = METHODS[config.method]
        if self._traits.segments:
            segment_slices(self.parameters, communication.segments)
        self._graph = Neighbours(config, agents)
        streams = streams_of(config, agents, learner.theta.device)
        bandwidth = math.inf if communication.bandwidth is None else communication.bandwidth
        self.channel = Channel(
            agents,
            communication.loss_rate,
            streams.channel,
            frame_key(),
            delay_of(communication),
            bandwidth,
        )
        self.codec = Codec(
            communication.encoding,
            numpy_generator(config.seed, Stream.ENCODING),
            self.channel.server,
        )
        self._method = methods.load(config.method)
        if self._traits.resilient:
            self._graph.require(self._method.least)  # type: ignore[attr-defined]
        self._sources = streams.sources
        self._judging = streams.judging
        self._judges = judges_of(config, learner, replay, streams.judging, self.attackers)
        # Rounds that take no time are held at once (`hold_round`).
        self.timed: Timed | None = None
        if communication.timed and self._traits.exchanges:
            parts = (self._sharing, self.channel, self._method, self._judges, self._sources)
            self.timed = Timed(config, *parts, self.codec)
        self.in_step = communication.mode == "synchronous"
        self.rounds = 0
        self._accounts = Accounts(self.channel.ledger)
        self._links = 0

    def hold_round(self, positions: NDArray[np.float64], time: float = 0.0) -> Held:
        """One synchronous round for vehicles at `positions: [N, 2]`, at a simulated time (s) of the run.

        It takes no time and changes the learner's shared parameters. An empty slot, whose position is infinite,
        has no neighbours and sends nothing.
        """
        self.rounds += 1
        trace: Rows = []
        neighbours, present = self._graph.at(positions, time)
        post = Post(self.channel, int(self._config.settings_hash, 16), self.rounds, self.codec)
        context = Context(
            self._config.communication,
            neighbours,
            self._sources[0],
            traced(self._judge(neighbours, post), trace),
            present=None if present.all() else present,
            jurors=1 if self._config.mixing.judge == "peers" else 0,
        )
        sharing, traits = self._sharing, self._traits
        exchange = Exchange(context, post, sharing.sent)
        if traits.judged and self._config.mixing.published_code:
            shared = sequential_round(sharing.all(), self._method, traits.judged, exchange)
        else:
            shared = synchronous_round(
                sharing.all(), self._method, traits.server, traits.judged, exchange
            )
        sharing.take(shared)
        for row in trace:
            row["round"] = self.rounds
        return self._held(trace, int(context.neighbours.sum()))

    def begin_round(
        self, positions: NDArray[np.float64], time: float, updates: NDArray[np.int64]
    ) -> None:
        """A synchronous round that takes time begins; `updates: [N]` are those of every agent so far."""
        assert self.timed is not None
        self.rounds += 1
        self.timed.begin(time, self.rounds, Place(*self._graph.at(positions, time), updates))

    def end_round(self, time: float) -> Held | None:
        """The synchronous round that is over by a simulated time (s), its parameters taken."""
        assert self.timed is not None
        ended = self.timed.end(time)
        return None if ended is None else self._held(ended.trace, ended.links)

    def listen(self, positions: Places, time: float, updates: NDArray[np.int64]) -> None:
        """Asynchronous: peers answer what came strictly before `time` with what they had until then."""
        if self.timed is not None and self.channel.next_arrival < time:
            self.timed.listen(time, Place(*self._graph.at(positions(), time, []), updates))

    def act(
        self,
        positions: Places,
        time: float,
        updates: NDArray[np.int64],
        due: list[int],
        row_due: bool,
    ) -> tuple[Held, list[int]]:
        """Asynchronous: what agents ask and mix at a decision, and which of those `due` began rounds."""
        assert self.timed is not None
        trace: Rows = []
        began = self.timed.closed(due)
        if began or not self.timed.idle(time):
            place = Place(*self._graph.at(positions(), time, began), updates)
            began = [agent for agent in began if place.present[agent]]
            self._links = int(place.neighbours.sum())
            trace = self.timed.act(time, place, began)
        if not row_due:
            self._accounts.judged(trace)
            return Held(None, trace), began
        self.rounds += 1
        return self._held(trace, self._links), began

    def last_row(self) -> dict[str, Any] | None:
        """A row of `rounds` for what was sent or judged after the last one; None where nothing was."""
        if self._accounts.empty:
            return None
        if not self.in_step:  # otherwise it is that of the round that was under way
            self.rounds += 1
        return self._held([], self._links).row

    @property
    def last_round(self) -> NDArray[np.int64]:
        """Bytes of the last row of `rounds`, [sender, receiver], server last."""
        return self._accounts.last_round

    @property
    def exchanges(self) -> bool:
        """Whether the method has rounds at all."""
        return self._traits.exchanges

    def due(self, updates: int) -> bool:
        """Whether a round follows this update: every U-th; in the published code the first of every U."""
        first = 1 if self._traits.judged and self._config.mixing.published_code else 0
        return (updates - first) % self._config.communication.period == 0

    def forget(self, agent: int) -> None:
        """An agent is reset: its open rounds are dropped, since they concern its former parameters."""
        self.codec.forget(agent)
        self.part([agent])

    def part(self, agents: list[int]) -> None:
        """Vehicles of these slots have left, and take the rounds with them that they had begun."""
        if self.timed is not None:
            for agent in agents:
                self.timed.forget(agent)

    def _held(self, trace: Rows, links: int) -> Held:
        """A row of `rounds` for all since the last one, these judged replicas included."""
        self._accounts.judged(trace)
        return Held(self._accounts.row(self.rounds, links, self._sharing.spread), trace)

    def _judge(self, neighbours: NDArray[np.bool_], post: Post) -> Judge:
        def judge(came: Came, own: Tensor, referential: Tensor, replica: int) -> Opinion:
            receivers = came.receivers
            theta, critics = self._sharing.split(own, receivers)
            theta_tilde, _ = self._sharing.split(referential, receivers)
            case = Judgement(came, theta, critics, theta_tilde, neighbours, post)
            return self._judges.opinion(case, replica)

        return judge

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        judging = [self._judging] if isinstance(self._judging, torch.Generator) else self._judging
        return {
            "rounds": self.rounds,
            "channel": self.channel.state_dict(),
            "codec": self.codec.state_dict(),
            "graph": self._graph.state_dict(),
            "sources": [draw.bit_generator.state for draw in self._sources],
            "judging": [draw.get_state() for draw in judging],
            "judges": self._judges.state_dict(),
            "sharing": self._sharing.state_dict(),
            "accounts": self._accounts.state_dict(),
            "links": self._links,
            "timed": None if self.timed is None else self.timed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.rounds, self._links = state["rounds"], state["links"]
        self.channel.load_state_dict(state["channel"])
        self.codec.load_state_dict(state["codec"])
        self._graph.load_state_dict(state["graph"])
        for draw, drawn in zip(self._sources, state["sources"], strict=True):
            draw.bit_generator.state = drawn
        judging = [self._judging] if isinstance(self._judging, torch.Generator) else self._judging
        for generator, found in zip(judging, state["judging"], strict=True):
            generator.set_state(found)
        self._judges.load_state_dict(state["judges"])
        self._sharing.load_state_dict(state["sharing"])
        self._accounts.load_state_dict(state["accounts"])
        if self.timed is not None:
            self.timed.load_state_dict(state["timed"])
