"""Communication of a run whose rounds take simulated time: what they need of the run, and what they change."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.replicas import Came, Post, Vectors, numpy_type
from rsm.methods.context import Context, Method
from rsm.training.clock import Clock, View
from rsm.training.judging import Judgement, Judges, Opinion
from rsm.training.jury import Peers
from rsm.training.mixer import Around, Mixer
from rsm.training.server import Server
from rsm.training.sharing import Sharing
from rsm.training.timed_rounds import OwnTime, Parties, step_by_step
from rsm.training.tracing import Rows


class Place(NamedTuple):
    """Who hears whom at an instant."""

    neighbours: NDArray[np.bool_]  # [N, N], of those present
    present: NDArray[np.bool_]  # [N]
    updates: NDArray[np.int64]  # of every agent so far


class Timed:
    """Rounds of one run in simulated time, by either mode of `communication.mode`."""

    def __init__(
        self,
        config: RunConfig,
        sharing: Sharing,
        channel: Channel,
        method: Method,
        judges: Judges,
        sources: list[np.random.Generator],
        codec: Codec,
    ) -> None:
        """`sources` draw the peers that are asked: one generator for all agents, or one of each."""
        self._settings, self._sharing, self._channel = config.communication, sharing, channel
        self._judges, self._sources, self._traits = judges, sources, METHODS[config.method]
        self._method, agents = method, sharing.learner.agents
        self._run = int(config.settings_hash, 16)
        like = sharing.all()[0]
        self.peers = judges if isinstance(judges, Peers) else None
        self._clock = Clock(
            channel,
            self._run,
            sharing.length,
            numpy_type(like),
            config.communication.replicas if self._traits.segments else agents,
            self.peers,
            Server(method, like) if self._traits.server else None,
            codec,
        )
        in_step = config.communication.mode == "synchronous"
        mixer = Mixer(
            self._clock, method, self._traits, config.communication, sharing.length, in_step
        )
        self._parties = Parties(self._clock, mixer, method, config.communication.timeout)
        self._own_time = OwnTime(self._parties, agents)
        self._ended: Ended | None = None

    # Synchronous

    def begin(self, now: float, number: int, place: Place) -> None:
        """A round of all agents begins now, at simulated time `now` (s); it is under way until it ends."""
        self._arrive(now, place)
        shared, trace = self._sharing.all(), Rows()
        held = self._sharing.sent(shared).cpu().numpy()
        agents: list[int] = np.flatnonzero(place.present).tolist()
        around = self._around(place, trace)
        mixed, ends = step_by_step(
            self._parties,
            shared,
            held.__getitem__,
            agents,
            lambda agent: self._context(agent, place),
            number,
            around,
        )
        self._ended = Ended(ends, mixed, trace, int(place.neighbours.sum()), agents)

    @property
    def under_way(self) -> bool:
        """Whether a round has begun and not ended."""
        return self._ended is not None

    def end(self, now: float) -> Ended | None:
        """The round that is over by `now`, its parameters taken; None where none is."""
        ended = self._ended
        if ended is None or ended.time > now:
            return None
        self._sharing.take(ended.shared[ended.agents], ended.agents)
        self._ended = None
        return ended

    # Asynchronous

    def listen(self, now: float, place: Place) -> None:
        """What happened strictly before `now`: peers answered with what they had until then."""
        self._channel.present = place.present
        view = self._view(place)
        self._clock.prepare(now, view)
        self._clock.run_until(now, view, before=True)

    def act(self, now: float, place: Place, due: list[int]) -> Rows:
        """The agents that are `due` begin rounds, and everybody mixes what has come; the ζ trace of that."""
        trace = Rows()
        self._channel.present = place.present
        self._channel.advance(now)
        view = self._view(place)
        self._own_time.begin(due, lambda agent: self._context(agent, place), view)
        mixed = self._own_time.mix(self._sharing.all, view, self._around(place, trace))
        if mixed.shared is not None and mixed.agents:
            self._sharing.take(mixed.shared[mixed.agents], mixed.agents)
        return trace

    def idle(self, now: float) -> bool:
        """Whether nothing has come that anybody could use now, if nobody begins a round."""
        return self._channel.next_arrival > now and not self._parties.mixer.ready(now)

    def closed(self, agents: list[int]) -> list[int]:
        """Those of some agents that have no round open."""
        return [agent for agent in agents if agent not in self._clock.open]

    # Both

    def forget(self, agent: int) -> None:
        """An agent begins anew, or its vehicle has left: what it has asked for and sent concerns it no more."""
        self._clock.open.pop(agent, None)
        if self._clock.server is not None:
            self._clock.server.latest.pop(agent, None)
        if self._ended is not None and agent in self._ended.agents:
            self._ended.agents.remove(agent)

    def _arrive(self, now: float, place: Place) -> None:
        """What was still on its way when the last round ended arrives, and is refused."""
        self._channel.present = None
        self._clock.run_until(now, self._view(place))

    def _context(self, agent: int, place: Place) -> Context:
        everybody = bool(place.present.all())
        return Context(
            self._settings,
            place.neighbours,
            self._sources[agent if len(self._sources) > 1 else 0],
            lambda came, own, referential: own.new_zeros(len(own)),
            present=None if everybody else place.present,
            jurors=1 if self.peers is not None else 0,
        )

    def _view(self, place: Place) -> View:
        """What nodes send is worked out when the first of them does."""
        held: list[Vectors] = []

        def sends(agent: int) -> Vectors:
            if not held:
                held.extend(self._sharing.sent(self._sharing.all()).cpu().numpy())
            return held[agent]

        def made() -> Vectors:
            assert self._clock.server is not None
            return self._clock.server.made(self._context(0, place))

        return View(place.neighbours, sends, place.updates, made)

    def _around(self, place: Place, trace: Rows) -> Around:
        sharing, post = self._sharing, Post(self._channel, self._run, 0)

        def case(came: Came, own: Tensor, referential: Tensor) -> Judgement:
            theta, critics = sharing.split(own, came.receivers)
            theta_tilde, _ = sharing.split(referential, came.receivers)
            return Judgement(came, theta, critics, theta_tilde, place.neighbours, post)

        def judge(came: Came, own: Tensor, referential: Tensor, replica: int) -> Opinion:
            judges = self.peers.own if self.peers is not None else self._judges
            return judges.opinion(case(came, own, referential), replica)

        return Around(place.neighbours, place.updates, case, judge, trace)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        ended = self._ended
        return {
            "clock": self._clock.state_dict(),
            "numbers": list(self._own_time.numbers),
            "ended": None if ended is None else tuple(ended),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._clock.load_state_dict(state["clock"])
        self._own_time.numbers = list(state["numbers"])
        ended = state["ended"]
        self._ended = None if ended is None else Ended(*ended)


class Ended(NamedTuple):
    """A synchronous round whose outcome is known, at the latest when it is over."""

    time: float  # s
    shared: Tensor  # [N, D]
    trace: Rows
    links: int
    agents: list[int]  # who takes its row: who was there when it began, and still is
