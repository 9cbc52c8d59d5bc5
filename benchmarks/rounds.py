"""Whole rounds at hidden 64: judged by peers, and begun by every agent in its own time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.learning import AGENTS, filled_replay, learner_of
from benchmarks.measure import Row, medians, milliseconds
from rsm.config.run import RunConfig
from rsm.training.communication import Communication

PLACES = np.zeros((AGENTS, 2))


def communication_of(**settings: dict[str, Any]) -> Communication:
    """What agents with filled replays exchange, on the complete graph."""
    base = {"method": "rsm", "sac": {"hidden": [64, 64]}}
    given = {"topology": "complete"} | settings.pop("communication", {})
    config = RunConfig.model_validate(base | {"communication": given} | settings)
    return Communication(config, learner_of(config.sac), filled_replay(AGENTS, 600))


def rows() -> list[Row]:
    """Synchronous rounds, the same in the agents' own time (together, and one by one), and by peers."""
    synchronous, peers = communication_of(), communication_of(mixing={"judge": "peers"})
    together, alone = (communication_of(communication={"mode": "asynchronous"}) for _ in range(2))
    clock, updates = itertools.count(1), np.zeros(AGENTS, dtype=np.int64)

    def begin(exchange: Communication, due: list[int]) -> None:
        now = float(next(clock))
        exchange.listen(lambda: PLACES, now, updates)
        exchange.act(lambda: PLACES, now, updates, due, row_due=True)

    def one_by_one() -> None:
        for agent in range(AGENTS):
            begin(alone, [agent])

    seconds = medians(
        {
            "synchronous": lambda: synchronous.hold_round(PLACES),
            "together": lambda: begin(together, list(range(AGENTS))),
            "one_by_one": one_by_one,
            "peers": lambda: peers.hold_round(PLACES),
        },
        15,
        warm=2,
    )
    share = seconds["synchronous"] / AGENTS
    ratio = seconds["together"] / seconds["synchronous"]
    each = seconds["one_by_one"] / seconds["synchronous"]
    judged = seconds["peers"] / seconds["synchronous"]
    return [
        Row(
            "an asynchronous round of an agent, hidden 64: against its share of a synchronous one",
            f"{ratio:.2f} × {milliseconds(share)} ({each:.2f} × where no two agents begin together)",
            "≤ 1.3 ×",
            ratio <= 1.3,
            seconds | {"ratio": ratio, "alone": each},
        ),
        Row(
            "a round judged by peers, hidden 64: against one judged by the own critic",
            f"{judged:.2f} × {milliseconds(seconds['synchronous'])}, questions and answers included",
            "≤ 3 ×",
            judged <= 3,
            {"ratio": judged},
        ),
    ]
