"""Communication rounds of a run: the world that a method sees, and the rows that a round leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.exchange.channel import Channel, Ledger
from rsm.exchange.frames import frame_key
from rsm.exchange.segments import segment_slices
from rsm.exchange.topology import neighbourhood
from rsm.methods.context import World
from rsm.mixing.rules import RULES, Evidence, Judge, Verdict, mixing_metric
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import Stream, numpy_generator, torch_generator

Rows = list[dict[str, Any]]


class Collaboration:
    """What N agents of one run exchange. Raises ConfigError for a topology or segments that cannot be.

    With `share: actor+critic` the critics are mixed as the actors are; target critics and the moments of Adam
    never travel and stay the agents' own.
    """

    def __init__(self, config: RunConfig, learner: Learner, replay: Replay) -> None:
        self._config, self._learner, self._replay = config, learner, replay
        communication, agents = config.communication, learner.agents
        self.parameters = learner.policy.parameter_count
        if communication.share == "actor+critic":
            self.parameters += 2 * learner.critic.parameter_count
        traits = METHODS[config.method]
        if traits.segments:
            segment_slices(self.parameters, communication.segments)
        self._neighbours = neighbourhood(
            communication.topology if traits.topology else "complete",
            agents,
            numpy_generator(config.seed, Stream.TOPOLOGY),
        )
        loss = numpy_generator(config.seed, Stream.CHANNEL)
        self.channel = Channel(agents, communication.loss_rate, loss, frame_key())
        self._communicate = methods.load(config.method)
        self._sources = numpy_generator(config.seed, Stream.SOURCES)
        self._judging = torch_generator(config.seed, Stream.JUDGING, learner.theta.device)
        self.rounds = 0
        self.last_round = Ledger(agents).bytes_per_pair  # [sender, receiver], server last

    def hold_round(self, positions: NDArray[np.float64]) -> tuple[dict[str, Any], Rows]:
        """One synchronous round for vehicles at `positions: [N, 2]`.

        Changes the learner's shared parameters and returns the row of `rounds` and those of `zeta`,
        without the columns that the training loop adds.
        """
        self.rounds += 1
        before = self.channel.ledger.copy()
        world = World(
            run=int(self._config.settings_hash, 16),
            round=self.rounds,
            settings=self._config.communication,
            neighbours=self._neighbours(positions),
            channel=self.channel,
            judge=self._judge,
            generator=self._sources,
        )
        shared = self._shared()
        report = self._communicate(shared, world)
        self._take(shared)

        sent, trace = self.channel.ledger.since(before), report.rows()
        self.last_round = sent.bytes_per_pair
        mixed = [row["zeta"] for row in trace if row["outcome"] == "accepted"]
        counters = ("messages", "request_bytes", "header_bytes", "payload_bytes", "lost", "refused")
        row = {
            "round": self.rounds,
            "links": int(world.neighbours.sum()),
            **{name: sent.total(name) for name in counters},
            "bytes_sent": sent.bytes_sent,
            "heaviest_share": sent.heaviest_share,
            "judged": len(trace),
            "accepted": len(mixed),
            "identical": sum(row["outcome"] == "identical" for row in trace),
            "zeta_mean": float(np.mean(mixed)) if mixed else float("nan"),
            "spread": self._spread(),
        }
        return row, [{"round": self.rounds, **judged} for judged in trace]

    def _shared(self) -> Tensor:
        """A copy of what every agent shares, `[N, D]`: the actor, then the critics if they travel."""
        learner = self._learner
        if self._config.communication.share == "actor":
            return learner.theta.detach().clone()
        return torch.cat((learner.theta, learner.critics.flatten(1)), dim=1).detach()

    def _split(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Actors `[N, d]` and critics `[N, 2, c]` of what is shared; else the critics are the agents' own."""
        size = self._learner.policy.parameter_count
        if shared.shape[1] == size:
            return shared, self._learner.critics
        return shared[:, :size], shared[:, size:].unflatten(1, (2, -1))

    def _take(self, shared: Tensor) -> None:
        actors, critics = self._split(shared)
        self._learner.theta.detach().copy_(actors)
        if critics is not self._learner.critics:
            self._learner.critics.detach().copy_(critics)

    def _judge(self, current: Tensor, referential: Tensor) -> Verdict:
        """A⁺, q and ζ of referential parameters, by each receiver's own critic, temperature and states."""
        learner = self._learner
        theta, critics = self._split(current)
        theta_tilde, _ = self._split(referential)
        split = RULES[self._config.mixing.rule].held_out
        judge = Judge(
            policy=learner.policy,
            q_function=lambda states, actions: learner.critic.smaller(critics, states, actions),
            alpha=learner.alpha.detach(),
            gamma=learner.settings.gamma,
            settings=self._config.mixing,
            choice=self._evidence(fold=0, folds=2) if split else self._evidence(),
            held_out=self._evidence(fold=1, folds=2) if split else None,
        )
        return mixing_metric(judge, theta, theta_tilde)

    def _evidence(self, fold: int = 0, folds: int = 1) -> Evidence:
        """States drawn anew, with replacement, from the `recent` latest transitions of each agent.

        Held-out states are of another fold than those that choose θ̃: every other transition each, so that both
        are as recent and none is in both.
        """
        settings = self._config.mixing
        batch = self._replay.sample_recent(
            settings.states, settings.recent, self._judging, fold, folds
        )
        noise = torch.randn(
            batch.unit_actions.shape, generator=self._judging, device=self._learner.theta.device
        )
        return Evidence(batch.observations, batch.unit_actions, batch.log_density, noise)

    def _spread(self) -> float:
        theta = self._learner.theta.detach()
        return float((theta - theta.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "rounds": self.rounds,
            "last_round": self.last_round.tolist(),
            "channel": self.channel.state_dict(),
            "sources": self._sources.bit_generator.state,
            "judging": self._judging.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.rounds = state["rounds"]
        self.last_round[:] = state["last_round"]
        self.channel.load_state_dict(state["channel"])
        self._sources.bit_generator.state = state["sources"]
        self._judging.set_state(state["judging"])
