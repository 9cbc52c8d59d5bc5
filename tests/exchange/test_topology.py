from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest

from rsm.config.catalogue import TOPOLOGIES, TopologyTraits
from rsm.errors import ConfigError
from rsm.exchange import topology as topologies
from rsm.exchange.topology import neighbourhood, within

ANYWHERE = np.zeros((9, 2))


def adjacency(topology: str, agents: int = 9, seed: int = 0) -> np.ndarray:
    build = neighbourhood(topology, agents, np.random.default_rng(seed))
    return build(np.zeros((agents, 2)))


@pytest.mark.parametrize(
    ("topology", "links"),
    [("complete", 72), ("ring", 18), ("star", 16), ("regular:4", 36), ("small-world:4:0.1", 36)],
)
def test_static_topology_has_its_number_of_directed_links(topology, links):
    matrix = adjacency(topology)
    assert matrix.sum() == links
    assert (matrix == matrix.T).all() and not matrix.diagonal().any()


@pytest.mark.parametrize("topology", ["erdos-renyi:0.4", "small-world:4:0.5", "regular:2"])
def test_random_topology_is_connected_and_decided_by_the_seed(topology):
    assert nx.is_connected(nx.from_numpy_array(adjacency(topology)))
    assert (adjacency(topology, seed=1) == adjacency(topology, seed=1)).all()
    others = [adjacency(topology, seed=seed) for seed in range(2, 8)]
    assert any((other != adjacency(topology, seed=1)).any() for other in others)


def test_radius_counts_the_border_and_follows_the_vehicles():
    near = np.array([[0.0, 0.0], [90.0, 0.0], [180.1, 0.0]])
    assert within(90, near).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
    ]
    build = neighbourhood("radius:90", 3, np.random.default_rng(0))
    assert build(near).sum() == 2
    assert build(near * 0.1).sum() == 6


def test_vehicle_without_a_position_hears_nobody():
    positions = np.array([[0.0, 0.0], [np.nan, np.nan], [1.0, 0.0]])
    assert within(90, positions).sum() == 2


def test_random_peers_are_drawn_anew_each_round_by_the_generator_alone():
    rounds = []
    for seed in (1, 1, 2):
        build = neighbourhood("random:3", 9, np.random.default_rng(seed))
        rounds.append([build(ANYWHERE) for _ in range(200)])
    for matrix in rounds[0]:
        assert (matrix.sum(axis=1) == 3).all() and not matrix.diagonal().any()
    assert (np.array(rounds[0]) == rounds[1]).all() and (rounds[0][0] != rounds[0][1]).any()
    assert (np.array(rounds[0]) != rounds[2]).any()
    shares = np.mean(rounds[0], axis=0)[~np.eye(9, dtype=bool)]
    assert abs(shares - 3 / 8).max() < 4 * (3 / 8 * 5 / 8 / 200) ** 0.5  # uniform over the others


@pytest.mark.parametrize(
    ("topology", "agents"),
    [("regular:9", 9), ("random:9", 9), ("regular:3", 9), ("small-world:12:0.1", 9)],
)
def test_topology_that_the_agents_cannot_form_is_refused(topology, agents):
    with pytest.raises(ConfigError, match=r"communication.topology: .* is not allowed: 9 agents"):
        adjacency(topology, agents)


def test_random_graph_that_never_connects_is_refused():
    with pytest.raises(ConfigError, match="not connected in 100 draws"):
        adjacency("erdos-renyi:0.01")


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        ("regular:20", "at most 8 neighbours"),
        ("regular:3", "must be even"),
        ("small-world:10:0.1", "at most 8 neighbours"),
    ],
)
def test_topology_that_nine_agents_cannot_form_is_refused_in_plain_words(topology, words):
    with pytest.raises(ConfigError, match=words) as caught:
        adjacency(topology)
    assert "<" not in str(caught.value) and "*" not in str(caught.value)


def test_a_topology_of_a_package_says_in_one_line_what_its_graph_refuses(monkeypatch):
    def graph(agents, columns, generator):
        raise nx.NetworkXError(f"rows of {columns:g}\ndo not come out even")

    monkeypatch.setitem(TOPOLOGIES.own, "grid", TopologyTraits(("columns",), module="outside"))
    monkeypatch.setattr(topologies, "imported", lambda *names: SimpleNamespace(graph=graph))
    words = r"communication\.topology: 'grid:4' is not allowed: 9 agents cannot form it: rows of 4\\ndo not"
    with pytest.raises(ConfigError, match=words):
        adjacency("grid:4")
