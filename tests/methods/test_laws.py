"""Laws of a round that hold for every method, beyond what tests/exchange and tests/methods check."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.config.catalogue import METHODS
from rsm.mixing.rules import Verdict

from ..rounds import Place, hold, place_of

AGENTS, LENGTH = 6, 23


class Script:
    """Stands in for the generator of a world: gives the peers that are written down, in order."""

    def __init__(self, sources: list[list[list[int]]]) -> None:
        self._peers = iter([peers for replicas in sources for peers in replicas])

    def choice(self, peers: np.ndarray, count: int, replace: bool) -> np.ndarray:
        chosen = np.array(next(self._peers))
        assert set(chosen) <= set(peers) and len(chosen) == count and not replace
        return chosen


def accept(current: torch.Tensor, referential: torch.Tensor) -> Verdict:
    """Mix everything, by a ζ that depends only on the two policies of the receiver."""
    distance = (current - referential).abs().mean(dim=1)
    zeta = distance / (1 + distance)
    one = torch.ones(AGENTS)
    return Verdict(one, one, one, one, one, zeta, zeta > 0, zeta == 0)


def world(neighbours: np.ndarray, generator: object = None, **changes) -> Place:
    return place_of(neighbours, accept, generator=generator, **changes)  # type: ignore[arg-type]


def regular(degree: int) -> np.ndarray:
    """A circulant graph in which everybody has `degree` (even, or 5: complete) neighbours."""
    if degree == AGENTS - 1:
        return ~np.eye(AGENTS, dtype=bool)
    matrix = np.zeros((AGENTS, AGENTS), dtype=bool)
    for agent in range(AGENTS):
        for step in range(1, degree // 2 + 1):
            matrix[agent, [(agent - step) % AGENTS, (agent + step) % AGENTS]] = True
    return matrix


def theta(seed: int, scale: float = 1.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return scale * torch.randn(AGENTS, LENGTH, generator=draw)


@given(st.integers(0, 999), st.sampled_from([2, 4, 5]), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_averaging_on_regular_graphs_keeps_the_mean(seed, degree, scale):
    before = theta(seed, scale)
    for method in ("average", "fmarl"):
        parameters = before.clone()
        hold(method, parameters, world(regular(degree)))
        torch.testing.assert_close(
            parameters.mean(dim=0), before.mean(dim=0), rtol=1e-4, atol=1e-5 * scale
        )


def test_averaging_on_a_star_moves_the_mean_towards_its_centre():
    """Why the law above asks for regular graphs: eq. (1) weighs by degree."""
    star = np.zeros((AGENTS, AGENTS), dtype=bool)
    star[0, 1:] = star[1:, 0] = True
    parameters = torch.zeros(AGENTS, LENGTH)
    parameters[0] = 1.0
    hold("average", parameters, world(star))
    assert float(parameters.mean()) > 1.5 / AGENTS


@given(st.permutations(range(AGENTS)), st.integers(1, 4), st.integers(1, 3), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_round_does_not_depend_on_the_order_in_which_agents_are_visited(
    order, segments, replicas, seed
):
    """Agents renumbered, with the same peers asked: the same parameters, renumbered."""
    draw, everybody = np.random.default_rng(seed), regular(5)
    sources = [
        [
            draw.permutation(np.delete(np.arange(AGENTS), i))[:segments].tolist()
            for _ in range(replicas)
        ]
        for i in range(AGENTS)
    ]
    number = {old: new for new, old in enumerate(order)}
    renumbered = [[[number[j] for j in peers] for peers in sources[old]] for old in order]
    for method in ("rsm", "segment-average"):
        plain, other = theta(seed), theta(seed)[list(order)]
        amounts = {"segments": segments, "replicas": replicas}
        hold(method, plain, world(everybody, Script(sources), **amounts))
        hold(method, other, world(everybody, Script(renumbered), **amounts))
        torch.testing.assert_close(other, plain[list(order)], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", [slice(None), slice(3, 4)], ids=["everywhere", "one parameter"])
def test_agent_with_broken_parameters_harms_nobody_else(method, value, where):
    for seed in range(5):
        parameters = theta(seed)
        parameters[2, where] = value
        place = world(regular(5), np.random.default_rng(seed), segments=4)
        hold(method, parameters, place)
        others = [agent for agent in range(AGENTS) if agent != 2]
        assert parameters.shape == (AGENTS, LENGTH)
        assert torch.isfinite(parameters[others]).all()
        if METHODS[method].exchanges:
            assert place.channel.ledger.total("refused") > 0


@pytest.mark.parametrize("method", ["average", "segment-average", "fmarl", "rsm"])
def test_agent_that_hears_nothing_keeps_its_parameters(method):
    parameters = theta(7)
    hold(method, parameters, world(regular(4), loss_rate=1.0))
    torch.testing.assert_close(parameters, theta(7))
