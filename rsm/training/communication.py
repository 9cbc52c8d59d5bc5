"""Communication of a run: what its rounds need, what they change, and the rows that they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.errors import ConfigError
from rsm.exchange.attacks import sent_parameters
from rsm.exchange.channel import Channel
from rsm.exchange.codec import Codec
from rsm.exchange.frames import frame_key
from rsm.exchange.ledger import COUNTERS, Ledger
from rsm.exchange.replicas import Came, Post
from rsm.exchange.segments import segment_slices
from rsm.exchange.topology import neighbourhood
from rsm.methods.context import Context, MixingMetric
from rsm.mixing.rules import Verdict
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import Stream, numpy_generator, torch_generator
from rsm.training.judging import Judgement, Judges, Opinion, OwnCritic, PublishedCode
from rsm.training.jury import Peers
from rsm.training.roster import Presence, unlike_agents
from rsm.training.rounds import Exchange, sequential_round, synchronous_round

Rows = list[dict[str, Any]]
# What came, own and referential parameters [R, D] of R receivers, number of the replica from 0 → an opinion.
Judge = Callable[[Came, Tensor, Tensor, int], Opinion]


class Communication:
    """What N agents of one run exchange. Raises ConfigError for a topology or segments that cannot be.

    With `share: actor+critic` the critics are mixed as the actors are; target critics and the moments of Adam
    never travel and stay the agents' own.
    """

    def __init__(self, config: RunConfig, learner: Learner, replay: Replay) -> None:
        self._config, self.learner = config, learner
        communication, agents = config.communication, learner.agents
        self._traits = METHODS[config.method]
        self.parameters = learner.policy.parameter_count
        self._critics_travel = self._traits.exchanges and communication.share == "actor+critic"
        if self._critics_travel:
            self.parameters += 2 * learner.critic.parameter_count
        if self._traits.segments:
            segment_slices(self.parameters, communication.segments)
        self._topology = numpy_generator(config.seed, Stream.TOPOLOGY)
        self._neighbours = neighbourhood(
            communication.topology if self._traits.topology else "complete",
            agents,
            self._topology,
        )
        loss = numpy_generator(config.seed, Stream.CHANNEL)
        self.channel = Channel(agents, communication.loss_rate, loss, frame_key())
        self.codec = Codec(
            communication.encoding,
            numpy_generator(config.seed, Stream.ENCODING),
            self.channel.server,
        )
        self._method = methods.load(config.method)
        if self._traits.resilient:
            self._require_enough_neighbours(agents)
        self._sources = numpy_generator(config.seed, Stream.SOURCES)
        device = learner.theta.device
        self._judging = torch_generator(config.seed, Stream.JUDGING, device)
        self._attacking = torch_generator(config.seed, Stream.ATTACK, device)
        self.attackers = unlike_agents(config, agents, "attack")
        self._start = self._shared()
        self._presence = Presence(config, agents)
        self._judges = judges_of(config, learner, replay, self._judging, self.attackers)
        self.rounds = 0
        self.last_round = Ledger(agents).bytes_per_pair  # [sender, receiver], server last

    def hold_round(
        self, positions: NDArray[np.float64], time: float = 0.0
    ) -> tuple[dict[str, Any], Rows]:
        """One synchronous round for vehicles at `positions: [N, 2]`, at a simulated time (s) of the run.

        Changes the learner's shared parameters and returns the row of `rounds` and those of `zeta`,
        without the columns that the training loop adds.
        """
        self.rounds += 1
        before = self.channel.ledger.copy()
        trace: Rows = []
        present = self._presence.at(time)
        neighbours = self._neighbours(positions) & present[:, None] & present[None, :]
        post = Post(self.channel, int(self._config.settings_hash, 16), self.rounds, self.codec)
        context = Context(
            self._config.communication,
            neighbours,
            self._sources,
            traced(self._judge(neighbours, post), trace),
            present=None if present.all() else present,
            jurors=1 if self._config.mixing.judge == "peers" else 0,
        )
        traits, exchange = self._traits, Exchange(context, post, self._sent)
        if traits.judged and self._config.mixing.published_code:
            shared = sequential_round(self._shared(), self._method, traits.judged, exchange)
        else:
            shared = synchronous_round(
                self._shared(), self._method, traits.server, traits.judged, exchange
            )
        self._take(shared)
        sent = self.channel.ledger.since(before)
        self.last_round = sent.bytes_per_pair
        row = self._row(sent, trace, int(context.neighbours.sum()))
        return row, [{"round": self.rounds, **judged} for judged in trace]

    def _require_enough_neighbours(self, agents: int) -> None:
        """Raises ConfigError where somebody's fixed neighbourhood is too small to outvote `byzantine`."""
        topology, byzantine = (
            getattr(self._config.communication, x) for x in ("topology", "byzantine")
        )
        if topology.startswith("radius"):
            return  # decided by the vehicles' positions; who has too few then keeps its own
        smallest = int(self._neighbours(np.zeros((agents, 2))).sum(axis=1).min()) + 1
        needed = self._method.least(byzantine)  # type: ignore[attr-defined]
        if smallest < needed:
            raise ConfigError(
                f"communication.byzantine: {byzantine} is not allowed: {self._config.method} needs {needed} "
                f"values, its own included, and {topology} leaves somebody {smallest} values; allowed: a "
                "smaller number or a denser topology"
            )

    @property
    def exchanges(self) -> bool:
        """Whether the method has rounds at all."""
        return self._traits.exchanges

    def due(self, updates: int) -> bool:
        """Whether a round follows this update: every U-th; in the published code the first of every U."""
        first = 1 if self._traits.judged and self._config.mixing.published_code else 0
        return (updates - first) % self._config.communication.period == 0

    def _judge(self, neighbours: NDArray[np.bool_], post: Post) -> Judge:
        def judge(came: Came, own: Tensor, referential: Tensor, replica: int) -> Opinion:
            receivers = came.receivers
            theta, critics = self._split(own, receivers)
            theta_tilde, _ = self._split(referential, receivers)
            case = Judgement(came, theta, critics, theta_tilde, neighbours, post)
            return self._judges.opinion(case, replica)

        return judge

    def _row(self, sent: Ledger, trace: Rows, links: int) -> dict[str, Any]:
        """The row of `rounds`."""
        mixed = [row["zeta"] for row in trace if row["outcome"] == "accepted"]
        return {
            "round": self.rounds,
            "links": links,
            **{name: sent.total(name) for name in COUNTERS},
            "bytes_sent": sent.bytes_sent,
            "heaviest_share": sent.heaviest_share,
            "judged": len(trace),
            "accepted": len(mixed),
            "identical": sum(row["outcome"] == "identical" for row in trace),
            "zeta_mean": float(np.mean(mixed)) if mixed else float("nan"),
            "spread": self._spread(),
        }

    def _sent(self, shared: Tensor) -> Tensor:
        """What all agents send, `[N, D]`, of what they have."""
        kind = self._config.attack.kind
        shared = shared.detach()
        return sent_parameters(kind, shared, self._start, self.attackers, self._attacking)

    def _shared(self) -> Tensor:
        """A copy of what every agent shares, `[N, D]`: the actor, then the critics if they travel."""
        learner = self.learner
        if not self._critics_travel:
            return learner.theta.detach().clone()
        return torch.cat((learner.theta, learner.critics.flatten(1)), dim=1).detach()

    def _split(self, shared: Tensor, agents: list[int]) -> tuple[Tensor, Tensor]:
        """Actors `[R, d]` and critics `[R, 2, c]` of R agents; their own critics where these do not travel."""
        size, critics = self.learner.policy.parameter_count, self.learner.critics
        if shared.shape[1] == size:
            return shared, critics if len(agents) == len(critics) else critics[agents]
        return shared[:, :size], shared[:, size:].unflatten(1, (2, -1))

    def _take(self, shared: Tensor) -> None:
        actors, critics = self._split(shared, list(range(self.learner.agents)))
        self.learner.theta.detach().copy_(actors)
        if critics is not self.learner.critics:
            self.learner.critics.detach().copy_(critics)

    def _spread(self) -> float:
        theta = self.learner.theta.detach()
        return float((theta - theta.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "rounds": self.rounds,
            "last_round": self.last_round.tolist(),
            "channel": self.channel.state_dict(),
            "codec": self.codec.state_dict(),
            "topology": self._topology.bit_generator.state,
            "sources": self._sources.bit_generator.state,
            "judging": self._judging.get_state(),
            "judges": self._judges.state_dict(),
            "attacking": self._attacking.get_state(),
            "presence": self._presence.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.rounds = state["rounds"]
        self.last_round[:] = state["last_round"]
        self.channel.load_state_dict(state["channel"])
        self.codec.load_state_dict(state["codec"])
        self._topology.bit_generator.state = state["topology"]
        self._sources.bit_generator.state = state["sources"]
        self._judging.set_state(state["judging"])
        self._judges.load_state_dict(state["judges"])
        self._attacking.set_state(state["attacking"])
        self._presence.load_state_dict(state["presence"])


def judges_of(
    config: RunConfig,
    learner: Learner,
    replay: Replay,
    generator: torch.Generator,
    attackers: list[int],
) -> Judges:
    """Who judges by these settings, where `attackers` are the agents that send harm."""
    if config.mixing.published_code:
        return PublishedCode(config, learner, replay, generator)
    own = OwnCritic(config, learner, replay, generator)
    if config.mixing.judge == "own":
        return own
    liars = attackers if config.attack.kind == "liar" else []
    return Peers(config, learner, own, liars)


def traced(judge: Judge, trace: Rows) -> MixingMetric:
    """ζ of one replica of R receivers by a judge; a row of each receiver goes to the trace.

    The rows are those of the table `zeta` (rsm.runs.schema), without the columns that the caller knows.
    """
    judged: dict[int, int] = {}  # agent → its replicas so far

    def mixing_metric(came: Came, own: Tensor, referential: Tensor) -> Tensor:
        number = max((judged.get(agent, 0) for agent in came.receivers), default=0)
        verdict, jurors = judge(came, own, referential, number)
        asked, lost = came.asked[0], came.lost[0]
        # By one copy to the host: float64 holds every float32 and truth value as it is.
        values = torch.stack([column.double() for column in verdict]).T.tolist()
        for row in np.flatnonzero(asked).tolist():
            agent = came.receivers[row]
            columns = dict(zip(Verdict._fields, values[row], strict=True))
            judged[agent] = judged.get(agent, 0) + 1
            outcome = "accepted" if columns.pop("accepted") else "rejected"
            trace.append(
                {
                    "agent": agent,
                    "replica": judged[agent],
                    "sources": came.sources[row][0],
                    "outcome": "identical" if columns.pop("identical") else outcome,
                    "jurors": jurors[row],
                    "lost_segments": int(lost[row]),
                    **columns,
                }
            )
        return torch.where(torch.from_numpy(asked).to(own.device), verdict.zeta, 0)

    return mixing_metric
