"""The traffic scenarios and all their constants (docs/concepts/scenarios.md; Flow benchmarks, CoRL 2018).

A scenario is data: adding one of ours is one entry of `REGISTRY`, and its name in `rsm.config.catalogue`
(settings know no SUMO; a test holds the two together). A road is a file in rsm/traffic/roads/. The scenario of
another package is the `SCENARIO` of a module, which may bring its own road (docs/how-to/extending.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from rsm.config.catalogue import FLEETS, MIXED_FLEET, SCENARIOS, parse_scenario, scenario_forms
from rsm.config.extensions import imported
from rsm.errors import ConfigError, shown
from rsm.traffic.car_following import HumanDriver
from rsm.traffic.roads import figure_eight, merge
from rsm.traffic.roads.road import RoadBuilder

HUMAN, LEARNER = "h", "r"


@dataclass(frozen=True)
class CarModel:
    """SUMO's own car-following (IDM) of a vehicle type: it gives the safe speed, and it drives
    a vehicle without a command. Units: m, s, m/s and m/s².
    """

    accel: float
    decel: float
    max_speed: float
    min_gap: float = 2.5
    tau: float = 1.0
    speed_deviation: float = 0.1
    length: float = 5.0
    impatience: float = 0.0  # in [0, 1]: how far it enters a junction that others have to brake for


class Inflow(NamedTuple):
    """Equally spaced vehicles that enter an open road, each as soon as there is room."""

    kind: str  # HUMAN or LEARNER
    route: int  # of the road's network
    per_hour: float
    speed: float  # m/s, at which they enter
    begin: float = 1.0  # s


@dataclass(frozen=True)
class Scenario:
    """A road, and the traffic on it.

    `order` lists the vehicles at the start, `h` human and `r` learning; vehicle i starts at the road's
    i-th place. On a loop this is their order in the direction of driving. Where there are several loops,
    they are separate copies: vehicles are numbered loop by loop. `further` are the orders of loops of
    other kinds, which follow in turn. `human` and `learner` are the car models that SUMO knows of.
    `driver` is who commands a human; None leaves them to SUMO. What a collision does, and what else
    settings depend on, is said in `rsm.config.catalogue`.

    On an open road more vehicles enter by `inflows`, and leave at its end. Agents are then `slots`, each
    with a learning vehicle or empty (rsm.traffic.slots), and `driver` has to be None.
    """

    name: str
    order: str
    limit: float  # speed limit of the road, m/s; speeds are observed as a fraction of it
    human: CarModel
    learner: CarModel
    driver: HumanDriver | None
    reward: Literal["mean-speed", "desired-velocity"]
    target_speed: float = 20.0  # m/s, of the desired-velocity reward
    headway_weight: float = 0.0  # of what the reward loses by time headways of agents below 1 s
    action_limit: float = 3.0  # m/s²
    dt: float = 0.1  # s
    loops: int = 1
    further: tuple[str, ...] = ()
    road: RoadBuilder = figure_eight.road
    inflows: tuple[Inflow, ...] = ()
    slots: int = 0
    speed_mode: int = 1  # SUMO's: "obey safe speed" alone; modes 0, 7 and 33 collide on the loop

    @cached_property
    def orders(self) -> tuple[str, ...]:
        """The vehicles of every loop: `order` and `further` in turn."""
        each = (self.order, *self.further)
        return tuple(each[loop % len(each)] for loop in range(self.loops))

    @cached_property
    def kinds(self) -> str:
        """`h` or `r` for every vehicle, loop by loop."""
        return "".join(self.orders)

    @property
    def n_vehicles(self) -> int:
        """Vehicles on all roads, at the start."""
        return len(self.kinds)

    @property
    def n_agents(self) -> int:
        """N: learning vehicles, or slots for them."""
        return self.slots or len(self.learners)

    @cached_property
    def loop_of_vehicle(self) -> tuple[int, ...]:
        """The loop that each of V vehicles drives on, from 0."""
        return tuple(loop for loop, order in enumerate(self.orders) for _ in order)

    def most_learners(self, time: float) -> int:
        """How many learning vehicles there can have been after `time` seconds."""
        most = len(self.learners)
        for inflow in self.inflows:
            if inflow.kind == LEARNER and time >= inflow.begin:
                most += int((time - inflow.begin) * inflow.per_hour / 3600) + 1
        return most

    @cached_property
    def learners(self) -> tuple[int, ...]:
        """Indices of the learning vehicles, in the order of the loop at the start."""
        return tuple(i for i, kind in enumerate(self.kinds) if kind == LEARNER)

    @property
    def loop_kinds(self) -> tuple[str, ...]:
        """The kind of each agent's loop, [N], by how many vehicles it has, such as `14 vehicles`.

        Agents of one kind have copies of the same problem.
        """
        kinds = [f"{len(order)} vehicles" for order in self.orders]
        return tuple(kinds[self.loop_of_vehicle[vehicle]] for vehicle in self.learners)


_NOISE = 0.2  # m/s², of every simulation step in the published experiment; Flow scales it by √dt
_PUBLISHED_DRIVER = HumanDriver(v0=20.0, accel=1.5, noise=_NOISE)
_FLOW_DRIVER = HumanDriver(v0=30.0, accel=1.0, noise=_NOISE * 0.1**0.5)
_PUBLISHED = CarModel(accel=1.5, decel=1.5, max_speed=20.0)
_FLOW_HUMAN = CarModel(accel=2.6, decel=1.5, max_speed=30.0)
_FLOW_LEARNER = CarModel(accel=2.6, decel=4.5, max_speed=30.0)
# Flow's vehicles have this impatience everywhere. At the on-ramp it decides the human baseline.
_MERGE_CAR = CarModel(accel=2.6, decel=4.5, max_speed=30.0, impatience=0.5)
_HIGHWAY_FLOW, _RAMP_FLOW = 2000.0, 100.0  # vehicles per hour
_HIGHWAY, _RAMP = range(2)  # routes


def _published(name: str, order: str) -> Scenario:
    return Scenario(
        name, order, 20.0, _PUBLISHED, _PUBLISHED, driver=_PUBLISHED_DRIVER, reward="mean-speed"
    )


def _flow(name: str, order: str) -> Scenario:
    return Scenario(
        name,
        order,
        30.0,
        _FLOW_HUMAN,
        _FLOW_LEARNER,
        driver=_FLOW_DRIVER,
        reward="desired-velocity",
    )


def _merge(number: int, share: float, slots: int) -> Scenario:
    """Flow's merge benchmark with a share of learning vehicles on the highway."""
    return Scenario(
        f"flow-merge-{number}",
        HUMAN * 5,
        30.0,
        _MERGE_CAR,
        _MERGE_CAR,
        driver=None,
        reward="desired-velocity",
        headway_weight=0.1,
        action_limit=1.5,
        dt=0.5,
        road=merge.road,
        inflows=(
            Inflow(HUMAN, _HIGHWAY, (1 - share) * _HIGHWAY_FLOW, speed=10.0),
            Inflow(LEARNER, _HIGHWAY, share * _HIGHWAY_FLOW, speed=10.0),
            Inflow(HUMAN, _RAMP, _RAMP_FLOW, speed=7.5),
        ),
        slots=slots,
        speed_mode=9,  # and the right of way at the junction
    )


REGISTRY: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _published("figure-eight", "hrhrrrrhrrrhrh"),
        _published("figure-eight-all", "r" * 14),
        _flow("flow-figure-eight-0", "h" * 13 + "r"),
        _flow("flow-figure-eight-1", "hr" * 7),
        _flow("flow-figure-eight-2", "r" * 14),
        _merge(0, 0.1, slots=5),
        _merge(1, 0.25, slots=13),
        _merge(2, 0.333, slots=17),
    )
}


# Vehicles on the loops of `mixed-fleet`, in turn: other gaps, and another best speed.
MIXED_SIZES = (14, 10, 18)


def scenario(name: str) -> Scenario:
    """The scenario of that name; raises ConfigError listing what is allowed.

    `fleet-figure-eight:<N>` is N copies of `flow-figure-eight-0`, each agent alone on its own.
    `mixed-fleet:<N>` is the same with more or fewer humans on some of the loops.
    """
    try:
        family, loops = parse_scenario(name)
    except (TypeError, ValueError):
        raise ConfigError(
            f"scenario: {shown(name)} is not allowed: one of {scenario_forms()}"
        ) from None
    if family in FLEETS:
        alone = REGISTRY["flow-figure-eight-0"]
        sizes = MIXED_SIZES if family == MIXED_FLEET else (len(alone.order),)
        order, *further = (HUMAN * (size - 1) + LEARNER for size in sizes)
        return replace(alone, name=name, loops=loops, order=order, further=tuple(further))
    if family in REGISTRY:
        return REGISTRY[family]
    found = imported(SCENARIOS, family, SCENARIOS[family].module, "SCENARIO").SCENARIO
    if not isinstance(found, Scenario):
        raise ConfigError(
            f"scenario: {family}: {shown(found)} is not allowed: a Scenario is expected"
        )
    return replace(found, name=family)
