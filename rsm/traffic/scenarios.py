"""The traffic scenarios and all their constants (docs/scenarios.md; Flow benchmarks, CoRL 2018).

A scenario is data: adding one of ours that uses the same road is one entry of `REGISTRY`, and its name in
`rsm.config.catalogue` (settings know no SUMO; a test holds the two together). That of another package is the
`SCENARIO` of a module (docs/extending.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from rsm.config.catalogue import FLEETS, MIXED_FLEET, SCENARIOS, parse_scenario, scenario_forms
from rsm.config.extensions import imported
from rsm.errors import ConfigError, shown
from rsm.traffic.car_following import HumanDriver

HUMAN, LEARNER = "h", "r"


@dataclass(frozen=True)
class CarModel:
    """SUMO's own car-following (IDM) of a vehicle type: it gives the safe speed, and it drives
    whoever has no command. m, s, m/s and m/s².
    """

    accel: float
    decel: float
    max_speed: float
    min_gap: float = 2.5
    tau: float = 1.0
    speed_deviation: float = 0.1
    length: float = 5.0


@dataclass(frozen=True)
class Scenario:
    """One variant of the figure eight.

    `order` lists the vehicles along the loop in the direction of driving, `h` human and `r`
    learning; vehicle i starts at the road's i-th place. Where there are several loops, they are
    separate copies: vehicles are numbered loop by loop. `further` are the orders of loops of other
    kinds, which follow in turn. `human` and `learner` are the car models
    that SUMO knows of, `driver` is who commands a human. What a collision does is said in
    `rsm.config.catalogue`, since settings depend on it.
    """

    name: str
    order: str
    limit: float  # speed limit of the road, m/s; speeds are observed as a fraction of it
    human: CarModel
    learner: CarModel
    driver: HumanDriver
    reward: Literal["mean-speed", "desired-velocity"]
    target_speed: float = 20.0  # m/s, of the desired-velocity reward
    action_limit: float = 3.0  # m/s²
    dt: float = 0.1  # s
    loops: int = 1
    further: tuple[str, ...] = ()

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
        """Vehicles on all roads."""
        return len(self.kinds)

    @cached_property
    def loop_of_vehicle(self) -> tuple[int, ...]:
        """The loop that each of V vehicles drives on, from 0."""
        return tuple(loop for loop, order in enumerate(self.orders) for _ in order)

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


REGISTRY: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _published("figure-eight", "hrhrrrrhrrrhrh"),
        _published("figure-eight-all", "r" * 14),
        _flow("flow-figure-eight-0", "h" * 13 + "r"),
        _flow("flow-figure-eight-1", "hr" * 7),
        _flow("flow-figure-eight-2", "r" * 14),
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
