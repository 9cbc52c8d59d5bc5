"""The traffic scenarios and all their constants (scenarios.md; Flow benchmarks, CoRL 2018).

A scenario is data: adding one that uses the same road is one entry of `REGISTRY`, and its name in
`rsm.config.catalogue.SCENARIOS` (settings know no SUMO; a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rsm.config.catalogue import SCENARIO_FORMS, parse_scenario
from rsm.errors import ConfigError, shown

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
    learning; vehicle i starts at i/14 of the loop. Where there are several loops, they are separate
    copies: vehicles are numbered loop by loop. `noise` is the standard deviation (m/s²) of the
    acceleration noise of a human per simulation step.
    """

    name: str
    order: str
    limit: float  # speed limit of the road, m/s; speeds are observed as a fraction of it
    human: CarModel
    learner: CarModel
    noise: float
    reward: Literal["mean-speed", "desired-velocity"]
    target_speed: float = 20.0  # m/s, of the desired-velocity reward
    action_limit: float = 3.0  # m/s²
    dt: float = 0.1  # s
    loops: int = 1

    @property
    def kinds(self) -> str:
        """`h` or `r` for every vehicle, loop by loop."""
        return self.order * self.loops

    @property
    def n_vehicles(self) -> int:
        """Vehicles on all roads."""
        return len(self.order) * self.loops

    @property
    def learners(self) -> tuple[int, ...]:
        """Indices of the learning vehicles, in the order of the loop at the start."""
        return tuple(i for i, kind in enumerate(self.kinds) if kind == LEARNER)


_NOISE = 0.2  # m/s²; Flow scales it by √dt, the published experiment does not
_PUBLISHED = CarModel(accel=1.5, decel=1.5, max_speed=20.0)
_FLOW_HUMAN = CarModel(accel=2.6, decel=1.5, max_speed=30.0)
_FLOW_LEARNER = CarModel(accel=2.6, decel=4.5, max_speed=30.0)


def _published(name: str, order: str) -> Scenario:
    return Scenario(name, order, 20.0, _PUBLISHED, _PUBLISHED, _NOISE, "mean-speed")


def _flow(name: str, order: str) -> Scenario:
    noise = _NOISE * 0.1**0.5
    return Scenario(name, order, 30.0, _FLOW_HUMAN, _FLOW_LEARNER, noise, "desired-velocity")


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


def scenario(name: str) -> Scenario:
    """The scenario of that name; raises ConfigError listing what is allowed.

    `fleet-figure-eight:<N>` is N copies of `flow-figure-eight-0`, each agent alone on its own.
    """
    try:
        family, loops = parse_scenario(name)
    except (TypeError, ValueError):
        raise ConfigError(
            f"scenario: {shown(name)} is not allowed: one of {SCENARIO_FORMS}"
        ) from None
    if family in REGISTRY:
        return REGISTRY[family]
    return replace(REGISTRY["flow-figure-eight-0"], name=name, loops=loops)
