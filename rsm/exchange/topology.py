"""Who may hear whom: adjacency matrices, static graphs from networkx or by distance at the round."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsm.config.catalogue import TOPOLOGIES, parse_topology
from rsm.config.extensions import imported
from rsm.errors import ConfigError, one_line

if TYPE_CHECKING:  # imported where a graph is drawn: a twentieth of every start
    import networkx as nx

Adjacency = NDArray[
    np.bool_
]  # [N, N], who hears whom; False on the diagonal, symmetric but for `random`
Positions = NDArray[np.float64]  # [N, 2], metres; infinite: an agent that is nowhere

TRIES = 100  # draws of a random graph before it is called unconnectable


def neighbourhood(
    topology: str, agents: int, generator: np.random.Generator
) -> Callable[[Positions], Adjacency]:
    """A function from the vehicles' positions at a round to the adjacency matrix.

    Static topologies are drawn here, once, and ignore the positions. `random:<k>` is drawn anew by every call.
    Raises ConfigError for a topology that N agents cannot form, and for one that is not connected in
    100 draws.
    """
    family, parameters = parse_topology(topology)
    if family == "radius":
        (radius,) = parameters
        return lambda positions: within(radius, positions)
    if family == "random":
        (amount,) = parameters
        _require_possible(topology, agents)
        return lambda positions: random_peers(int(amount), agents, generator)
    adjacency = _static_graph(topology, agents, generator)
    return lambda positions: adjacency


def within(radius: float, positions: Positions) -> Adjacency:
    """Agents at a Euclidean distance of at most `radius` metres."""
    with np.errstate(invalid="ignore"):  # from nowhere to nowhere is no distance
        apart = np.linalg.norm(positions[:, None] - positions[None, :], axis=2)
    adjacency: Adjacency = apart <= radius
    np.fill_diagonal(adjacency, False)
    return adjacency


def random_peers(amount: int, agents: int, generator: np.random.Generator) -> Adjacency:
    """Each of N agents hears `amount` others, drawn uniformly (epidemic exchange, Demers et al. 1987).

    Whom agent i hears need not hear agent i.
    """
    order = generator.random((agents, agents))
    np.fill_diagonal(order, np.inf)  # nobody hears itself
    ranks = order.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    adjacency: Adjacency = ranks < amount
    return adjacency


def _static_graph(topology: str, agents: int, generator: np.random.Generator) -> Adjacency:
    family, parameters = parse_topology(topology)
    seed = np.random.default_rng(generator.integers(2**63))
    message = _require_possible(topology, agents)
    if family == "complete":
        return ~np.eye(agents, dtype=np.bool_)
    import networkx as nx

    def draw() -> nx.Graph:
        match family, parameters:
            case "ring", ():
                return nx.cycle_graph(agents) if agents > 2 else nx.path_graph(agents)
            case "star", ():
                return nx.star_graph(agents - 1)
            case "regular", (degree,):
                return nx.random_regular_graph(int(degree), agents, seed=seed)
            case "erdos-renyi", (probability,):
                return nx.gnp_random_graph(agents, probability, seed=seed)
            case "small-world", (neighbours, probability):
                return nx.watts_strogatz_graph(agents, int(neighbours), probability, seed=seed)
        outside = imported(TOPOLOGIES, family, TOPOLOGIES[family].module, "graph")
        try:
            found: nx.Graph = outside.graph(agents, *parameters, generator=seed)
        except nx.NetworkXError as error:
            raise ConfigError(f"{message}: {one_line(error)}") from None
        return found

    for _ in range(TRIES):
        graph = draw()
        if nx.is_connected(graph):
            adjacency: Adjacency = nx.to_numpy_array(graph, nodelist=range(agents)) > 0
            return adjacency
    raise ConfigError(f"{message}: not connected in {TRIES} draws; allowed: a denser graph")


def _require_possible(topology: str, agents: int) -> str:
    """What a message about this topology begins with; raises ConfigError where N agents cannot form it."""
    message = f"communication.topology: {topology!r} is not allowed: {agents} agents cannot form it"
    if (reason := _impossible(*parse_topology(topology), agents)) is not None:
        raise ConfigError(f"{message}: {reason}")
    return message


def _impossible(family: str, parameters: tuple[float, ...], agents: int) -> str | None:
    """Why no graph of this kind has N nodes, None where one does."""
    if family in ("regular", "random"):
        (degree,) = parameters
        if degree >= agents:
            return f"each has at most {agents - 1} neighbours"
        if family == "regular" and degree * agents % 2:
            return "agents times neighbours must be even, since a link has two ends"
    if family == "small-world" and parameters[0] > agents:
        return f"each has at most {agents - 1} neighbours"
    return None
