"""The traffic of a scenario as SUMO reads it: vehicle types, who starts where, and who enters later."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from rsm.traffic.roads.road import Road
from rsm.traffic.scenarios import HUMAN, LEARNER, CarModel, Scenario

TYPES = {HUMAN: "human", LEARNER: "learner"}


def routes_xml(scenario: Scenario, road: Road, ids: Sequence[str], horizon: int) -> str:
    """Vehicles at rest at their places, by name, and the inflows.

    Routes on a loop do not end within `horizon` steps. A vehicle that enters later is named
    `<kind>-<number of the inflow>.<number>`.
    """
    network = road.network
    lines = ["<routes>", vtype_xml("human", scenario.human), vtype_xml("learner", scenario.learner)]
    repeats = ""
    if network.closed:
        fastest = 2.0 * max(scenario.limit, scenario.human.max_speed, scenario.learner.max_speed)
        repeats = f' repeat="{int(horizon * scenario.dt * fastest / network.length) + 3}"'
    vehicles = zip(ids, scenario.kinds, road.starts, strict=True)
    for index, (name, kind, (edge, along)) in enumerate(vehicles):
        if network.closed:
            edges = network.routes[scenario.loop_of_vehicle[index]]
            first = edges.index(edge)
            route = edges[first:] + edges[:first]
        else:
            edges = next(edges for edges in network.routes if edge in edges)
            route = edges[edges.index(edge) :]
        lines.append(
            f'<vehicle id={quoteattr(name)} type="{TYPES[kind]}" '
            f'depart="0" departLane="0" departPos="{along!r}" departSpeed="0">'
            f'<route{repeats} edges="{" ".join(route)}"/></vehicle>'
        )
    for number, inflow in enumerate(scenario.inflows):
        lines.append(
            f'<flow id="{inflow.kind}-{number}" type="{TYPES[inflow.kind]}" begin="{inflow.begin!r}" '
            f'end="86400" vehsPerHour="{inflow.per_hour!r}" departLane="free" '
            f'departSpeed="{inflow.speed!r}">'
            f'<route edges="{" ".join(network.routes[inflow.route])}"/></flow>'
        )
    return "\n".join([*lines, "</routes>"])


def vtype_xml(name: str, car: CarModel) -> str:
    """A SUMO vehicle type."""
    impatience = f' impatience="{car.impatience}"' if car.impatience else ""
    return (
        f'<vType id="{name}" carFollowModel="IDM" accel="{car.accel}" decel="{car.decel}" '
        f'maxSpeed="{car.max_speed}" minGap="{car.min_gap}" tau="{car.tau}" speedFactor="1" '
        f'speedDev="{car.speed_deviation}" length="{car.length}"{impatience}/>'
    )
