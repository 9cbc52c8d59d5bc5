"""Synchronous rounds give the bits that version 0.1 gave, before methods said `ask` and `mix`.

`recorded_rounds.json` was written by the code of 0.1: what two rounds leave of the parameters, what they put on
the ledger, and where they leave the generator of sources.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rsm.mixing.rules import Verdict

from ..rounds import hold, place_of

AGENTS, LENGTH = 6, 101
RECORDED = json.loads(Path(__file__).with_name("recorded_rounds.json").read_text())


def neighbours(topology: str) -> np.ndarray:
    matrix = np.zeros((AGENTS, AGENTS), dtype=bool)
    match topology:
        case "complete":
            matrix[:] = True
        case "ring":
            for agent in range(AGENTS):
                matrix[agent, (agent + 1) % AGENTS] = matrix[(agent + 1) % AGENTS, agent] = True
        case "islands":  # three, a pair, and one alone
            matrix[:3, :3] = matrix[3, 4] = matrix[4, 3] = True
    np.fill_diagonal(matrix, False)
    return matrix


def judge(current: torch.Tensor, referential: torch.Tensor) -> Verdict:
    """Accepts about half of the replicas, by numbers that depend on every parameter of both."""
    gap = (referential - current).double()
    advantage, form = torch.sin(gap.sum(1) * 7), gap.square().sum(1)
    zeta = torch.where(advantage > 0, (0.3 * advantage).float(), 0)
    return Verdict(*[advantage] * 2, form, *[advantage] * 2, zeta, zeta > 0, form == 0)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(
    "recorded", RECORDED, ids=lambda row: "-".join(str(row[key]) for key in list(row)[:5])
)
def test_two_rounds_leave_the_recorded_bits(recorded):
    parameters = torch.randn(AGENTS, LENGTH, generator=torch.Generator().manual_seed(3))
    amounts = {name: recorded[name] for name in ("segments", "replicas", "loss_rate")}
    sources = np.random.default_rng(7)
    place = place_of(neighbours(recorded["topology"]), judge, generator=sources, seed=5, **amounts)
    for number in (1, 2):
        hold(recorded["method"], parameters, place._replace(round=number))
    assert digest(parameters.numpy().tobytes()) == recorded["theta"]
    ledger = place.channel.ledger
    assert {name: ledger.total(name) for name in recorded["counts"]} == recorded["counts"]
    assert digest(ledger.bytes_per_pair.tobytes()) == recorded["pairs"]
    assert int(sources.integers(2**40)) == recorded["sources"]
