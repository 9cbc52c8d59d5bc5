"""The on-ramp: its geometry as plain node and edge descriptions, routes and start places.

Geometry and numbers follow Flow's merge network (flow-project/flow, flow/networks/merge.py).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import lru_cache

from rsm.errors import ConfigError
from rsm.traffic.netconvert import Network, Place, built_network
from rsm.traffic.roads.road import Road

HIGHWAY = ("inflow_highway", "left", "center")
RAMP = ("inflow_merge", "bottom", "center")
INFLOW_LENGTH = 100.0  # m, of the edges on which vehicles enter

# Where Flow places five vehicles at the start (docs/concepts/scenarios.md).
STARTS: tuple[Place, ...] = (
    ("inflow_highway", 0.0),
    ("left", 79.9),
    ("left", 259.9),
    ("left", 439.9),
    ("center", 97.4),
)


def road(limit: float, vehicles: Sequence[int]) -> Road:
    """The on-ramp with Flow's five vehicles; raises ConfigError for others, or for copies."""
    if list(vehicles) != [len(STARTS)]:
        raise ConfigError(
            f"scenario: on-ramps with {', '.join(map(str, vehicles))} vehicles at the start are not allowed: "
            f"one with {len(STARTS)} is expected"
        )
    return Road(merge(limit), STARTS)


@lru_cache(maxsize=8)
def merge(
    limit: float, before: float = 500.0, after: float = 100.0, ramp: float = 100.0
) -> Network:
    """A highway and a ramp that joins it, one lane each, with a speed limit in m/s; lengths in m.

    Raises ConfigError where netconvert is missing or fails.
    """
    return built_network(merge_xml(limit, before, after, ramp), (HIGHWAY, RAMP), closed=False)


def merge_xml(limit: float, before: float, after: float, ramp: float) -> dict[str, str]:
    """Plain XML of nodes and edges, by the netconvert option that takes it."""
    nodes, edges = map(ElementTree.Element, ("nodes", "edges"))
    slope = math.cos(math.pi / 4)  # the ramp comes from below at 45°
    places = {
        "inflow_highway": (-INFLOW_LENGTH, 0.0),
        "left": (0.0, 0.0),
        "center": (before, 0.0),
        "right": (before + after, 0.0),
        "inflow_merge": (before - (ramp + INFLOW_LENGTH) * slope, -(ramp + INFLOW_LENGTH) * slope),
        "bottom": (before - ramp * slope, -ramp * slope),
    }
    for name, (x, y) in places.items():
        node = ElementTree.SubElement(nodes, "node", {"id": name, "x": f"{x}", "y": f"{y}"})
        if name == "center":
            node.set("radius", "10")
    for name, start, end, length in (
        ("inflow_highway", "inflow_highway", "left", INFLOW_LENGTH),
        ("left", "left", "center", before),
        ("inflow_merge", "inflow_merge", "bottom", INFLOW_LENGTH),
        ("bottom", "bottom", "center", ramp),
        ("center", "center", "right", after),
    ):
        about = {"id": name, "from": start, "to": end, "length": repr(length)}
        ElementTree.SubElement(edges, "edge", about | {"numLanes": "1", "speed": repr(limit)})
    parts = {"node-files": nodes, "edge-files": edges}
    return {option: ElementTree.tostring(part, "unicode") for option, part in parts.items()}
