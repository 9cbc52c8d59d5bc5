"""The figure-eight road: its geometry as plain node and edge descriptions, routes and start places.

Geometry and numbers follow Flow's figure-eight network (flow-project/flow,
flow/networks/figure_eight.py).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import lru_cache

from rsm.traffic.netconvert import Network, Place, built_network
from rsm.traffic.roads.road import Road

ROUTE = ("bottom", "top", "upper_ring", "right", "left", "lower_ring")

# Where Flow places 14 vehicles, in the order of driving: 28.77 m apart by its own table of edges, with
# those that would be inside a junction put behind it (docs/concepts/scenarios.md).
FLOW_STARTS: tuple[Place, ...] = (
    ("bottom", 0.0),
    ("top", 0.0),
    ("top", 28.77),
    ("upper_ring", 27.25),
    ("upper_ring", 56.02),
    ("upper_ring", 84.79),
    ("upper_ring", 113.56),
    ("right", 0.67),
    ("right", 29.44),
    ("left", 22.01),
    ("lower_ring", 20.49),
    ("lower_ring", 49.26),
    ("lower_ring", 78.03),
    ("lower_ring", 106.80),
)


def road(limit: float, vehicles: Sequence[int]) -> Road:
    """Separate copies of the figure eight, each with that number of vehicles."""
    network = figure_eight(limit, loops=len(vehicles))
    return Road(network, start_places(network, vehicles))


@lru_cache(maxsize=8)
def figure_eight(limit: float, radius: float = 30.0, points: int = 40, loops: int = 1) -> Network:
    """The figure eight with a speed limit in m/s; `radius` in metres, `points` per ring.

    `loops` separate copies of it lie 10 radii apart, row by row. Built once per content into the
    cache folder; raises ConfigError where netconvert is missing or fails.
    """
    parts = figure_eight_xml(limit, radius, points, loops)
    routes = tuple(tuple(edge + copy_suffix(loop) for edge in ROUTE) for loop in range(loops))
    return built_network(parts, routes)


def start_places(network: Network, vehicles: Sequence[int]) -> tuple[Place, ...]:
    """Start positions of the vehicles of every loop, loop by loop in driving order.

    As in Flow where a loop has 14 of them, else evenly spread.
    """
    places: list[Place] = []
    for loop, count in enumerate(vehicles):
        if count == len(FLOW_STARTS):
            places += [(edge + copy_suffix(loop), along) for edge, along in FLOW_STARTS]
        else:
            spacing = network.length / count
            places += [network.place(seat * spacing, loop) for seat in range(count)]
    return tuple(places)


def copy_suffix(loop: int) -> str:
    """What tells the nodes and edges of a copy of the loop from those of the first."""
    return f".{loop}" if loop else ""


def figure_eight_xml(limit: float, radius: float, points: int, loops: int = 1) -> dict[str, str]:
    """Plain XML of nodes, edges and connections, by the netconvert option that takes it."""
    nodes, edges, connections = map(ElementTree.Element, ("nodes", "edges", "connections"))
    columns = math.ceil(math.sqrt(loops))
    for loop in range(loops):
        row, column = divmod(loop, columns)
        place = (10 * radius * column, 10 * radius * row)
        _add_loop(nodes, edges, connections, copy_suffix(loop), place, limit, radius, points)
    parts = {"node-files": nodes, "edge-files": edges, "connection-files": connections}
    return {option: ElementTree.tostring(part, "unicode") for option, part in parts.items()}


def _add_loop(
    nodes: ElementTree.Element,
    edges: ElementTree.Element,
    connections: ElementTree.Element,
    suffix: str,
    place: tuple[float, float],
    limit: float,
    radius: float,
    points: int,
) -> None:
    """One figure eight with its crossing at `place` (m); names end in `suffix`."""
    r, (x0, y0) = radius, place
    places = {"center": (0, 0), "right": (r, 0), "top": (0, r), "left": (-r, 0), "bottom": (0, -r)}
    for name, (x, y) in places.items():
        # Adding the float 0.0 to a whole 0 would write "0.0": another file, and another cached name.
        at = {"x": f"{x + x0 if x0 else x}", "y": f"{y + y0 if y0 else y}"}
        node = ElementTree.SubElement(nodes, "node", {"id": name + suffix} | at, type="priority")
        if name == "center":
            node.set("radius", "3.1")  # (2.9 + 3.3 · lanes) / 2 in Flow

    def edge(name: str, start: str, end: str, length: float, **more: str) -> None:
        ElementTree.SubElement(
            edges,
            "edge",
            {"id": name + suffix, "from": start + suffix, "to": end + suffix}
            | {"length": repr(length), "numLanes": "1", "speed": repr(float(limit))}
            | more,
        )

    edge("bottom", "bottom", "center", r, priority="78")
    edge("top", "center", "top", r, priority="78")
    edge("right", "right", "center", r, priority="46")  # this stream yields
    edge("left", "center", "left", r, priority="46")
    upper = [
        (x0 + r - r * math.cos(t), y0 + r + r * math.sin(t)) for t in three_quarters(0.0, points)
    ]
    lower = [
        (x0 - r + r * math.cos(t), y0 - r + r * math.sin(t)) for t in three_quarters(0.25, points)
    ]
    ring = 1.5 * math.pi * r
    edge("upper_ring", "top", "right", ring, shape=polyline(upper))
    edge("lower_ring", "left", "bottom", ring, shape=polyline(lower))
    for start, end in (("bottom", "top"), ("right", "left")):
        ends = {"from": start + suffix, "to": end + suffix}
        ElementTree.SubElement(connections, "connection", ends | {"fromLane": "0", "toLane": "0"})


def three_quarters(turn: float, points: int) -> list[float]:
    """Angles (rad) of a 3/4 circle that begins after `turn` of a full turn."""
    return [2 * math.pi * (turn + 0.75 * i / (points - 1)) for i in range(points)]


def polyline(points: list[tuple[float, float]]) -> str:
    """Points (m) as SUMO writes a shape."""
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
