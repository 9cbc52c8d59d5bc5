"""Whole rounds without learning: asynchronous beside synchronous, judged by peers beside judged by oneself.

Nine agents of hidden 64 × 64 on a complete graph decide every 3 s and change a little at each decision.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.learning import filled_replay, learner_of
from benchmarks.measure import Row, medians, milliseconds
from rsm.config.run import RunConfig, parse_run
from rsm.config.study import merge
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.training.communication import Communication
from rsm.training.rhythm import Rhythm
from rsm.training.roster import Roster

AGENTS, OBSERVATION, ACTION = 9, 7, 1
DECISION, PERIOD, REPLICAS = 3.0, 8, 3  # s, U, K
ROUNDS = 20  # of every agent
BASE = {
    "method": "rsm",
    "sac": {"hidden": [64, 64]},
    "mixing": {"rule": "trust-region", "kl_limit": 0.1, "recent": 1000},
}
WORLDS: dict[str, dict[str, Any]] = {
    "no delay": {},
    "a mean delay of 1 s": {"delay": "lognormal", "delay_mean": 1.0, "timeout": 60.0},
}
MOST = 1.3


class Side:
    """Agents that exchange in one mode, and the processor time that their rounds took."""

    def __init__(self, config: RunConfig) -> None:
        self._draw = torch.Generator().manual_seed(0)
        learner = Learner(config.sac, AGENTS, OBSERVATION, ACTION, 1.0, self._draw)
        replay = Replay(AGENTS, 2000, OBSERVATION, ACTION)
        for _ in range(1200):
            first, second = (self._normal(AGENTS, OBSERVATION) for _ in range(2))
            actions = self._normal(AGENTS, ACTION).tanh()
            numbers = [self._normal(AGENTS) for _ in range(2)]
            replay.add(first, actions, *numbers, second, torch.full((AGENTS,), 0.99))
        self._theta, self._roster = learner.theta.detach(), Roster(config, AGENTS)
        self._now, self._updates = 0.0, 0
        places, live = np.zeros((AGENTS, 2)), np.ones(AGENTS, dtype=np.bool_)
        exchange = Communication(config, learner, replay)
        self._rhythm = Rhythm(
            exchange, self._roster, lambda: places, lambda: live, lambda: self._now
        )
        self.judged, self.seconds = 0, 0.0

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self._draw)

    def period(self) -> None:
        """The decisions in which an agent that does not wait makes U updates."""
        start = time.process_time()
        for _ in range(PERIOD):
            self._now += DECISION
            self._rhythm.listen()
            self._updates += 1
            agents = self._roster.updating(self._updates, np.full(AGENTS, 10_000), 1)
            rows = list(range(AGENTS)) if agents is None else agents
            self._theta[rows] += 0.003 * self._normal(len(rows), self._theta.shape[1])
            self.judged += sum(len(held.trace) for held in self._rhythm.rounds(self._updates))
        self.seconds += time.process_time() - start

    @property
    def of_a_round(self) -> float:
        """Seconds of one round of one agent."""
        return self.seconds / self.judged * REPLICAS


def rows() -> list[Row]:
    """Each judge in each world, and what peers cost beside the own critic."""
    return [*(_row(judge, world) for world in WORLDS for judge in ("own", "peers")), _judged()]


def _judged() -> Row:
    """A round at one instant, judged by peers: questions and answers included."""
    sides, places = {}, np.zeros((AGENTS, 2))
    for judge in ("own", "peers"):
        asked = {"communication": {"topology": "complete"}, "mixing": {"judge": judge}}
        config = parse_run(merge({"method": "rsm", "sac": {"hidden": [64, 64]}}, asked), "")
        sides[judge] = Communication(config, learner_of(config.sac), filled_replay(AGENTS, 600))
    seconds = medians(
        {judge: lambda side=side: side.hold_round(places) for judge, side in sides.items()},  # type: ignore[misc]
        15,
        warm=2,
    )
    ratio = seconds["peers"] / seconds["own"]
    return Row(
        "a round judged by peers, hidden 64: against one judged by the own critic",
        f"{ratio:.2f} × {milliseconds(seconds['own'])}, questions and answers included",
        "≤ 3 ×",
        ratio <= 3,
        {"ratio": ratio},
    )


def _row(judge: str, world: str) -> Row:
    sides = []
    for mode in ("synchronous", "asynchronous"):
        channel = {"topology": "complete", "mode": mode} | WORLDS[world]
        config = parse_run(merge(BASE, {"mixing": {"judge": judge}, "communication": channel}), "")
        sides.append(Side(config))
    for side in sides:
        side.period()
        side.judged, side.seconds = 0, 0.0
    while any(side.judged < AGENTS * REPLICAS * ROUNDS for side in sides):
        for side in sides:
            side.period()
    synchronous, asynchronous = (side.of_a_round for side in sides)
    ratio = asynchronous / synchronous
    return Row(
        f"asynchronous round of an agent, judged by {judge}, {world}",
        f"{milliseconds(asynchronous)}, synchronous {milliseconds(synchronous)}: {ratio:.2f} ×",
        f"≤ {MOST} × the synchronous share",
        ratio <= MOST,
        {"asynchronous": asynchronous, "synchronous": synchronous},
    )
