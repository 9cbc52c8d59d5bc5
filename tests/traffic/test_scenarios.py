"""Scenarios are what docs/concepts/scenarios.md says."""

import pytest

from rsm.config.catalogue import FLEET, SCENARIOS, scenario_traits
from rsm.errors import ConfigError
from rsm.traffic.scenarios import scenario


@pytest.mark.parametrize("name", [*SCENARIOS, f"{FLEET}:2"])
def test_every_scenario_that_the_settings_allow_can_be_driven_in(name: str) -> None:
    road = scenario(name)
    assert road.n_agents > 0
    assert bool(road.learners) != bool(road.slots), "vehicles of the start, or slots for later ones"
    assert scenario_traits(name).dt == road.dt, "figures of simulated time know the traits alone"


@pytest.mark.parametrize(
    ("name", "learners", "limit"),
    [
        ("figure-eight", 9, 20.0),
        ("figure-eight-all", 14, 20.0),
        ("flow-figure-eight-0", 1, 30.0),
        ("flow-figure-eight-1", 7, 30.0),
        ("flow-figure-eight-2", 14, 30.0),
    ],
)
def test_every_variant_has_14_vehicles_and_its_learners(
    name: str, learners: int, limit: float
) -> None:
    road = scenario(name)
    assert (road.n_vehicles, len(road.learners), road.limit) == (14, learners, limit)
    assert (road.action_limit, road.dt, road.target_speed) == (3.0, 0.1, 20.0)


def test_the_published_order_of_vehicles() -> None:
    assert scenario("figure-eight").order == "hrhrrrrhrrrhrh"
    assert scenario("flow-figure-eight-0").learners == (13,)
    assert scenario("flow-figure-eight-1").learners == (1, 3, 5, 7, 9, 11, 13)


def test_car_models_and_rewards() -> None:
    published, flow = scenario("figure-eight"), scenario("flow-figure-eight-1")
    for car in (published.human, published.learner):
        assert (car.accel, car.decel, car.max_speed) == (1.5, 1.5, 20.0)
    assert (flow.human.accel, flow.human.decel, flow.human.max_speed) == (2.6, 1.5, 30.0)
    assert (flow.learner.accel, flow.learner.decel) == (2.6, 4.5)
    for car in (published.human, flow.human, flow.learner):
        assert (car.min_gap, car.tau, car.speed_deviation, car.length) == (2.5, 1.0, 0.1, 5.0)
    assert (published.reward, flow.reward) == ("mean-speed", "desired-velocity")


@pytest.mark.parametrize(
    ("name", "speed", "accel", "noise"),
    [
        ("figure-eight", 20.0, 1.5, 0.2),  # of every step, whatever its length
        ("figure-eight-all", 20.0, 1.5, 0.2),
        ("flow-figure-eight-0", 30.0, 1.0, 0.2 * 0.1**0.5),
        ("flow-figure-eight-1", 30.0, 1.0, 0.2 * 0.1**0.5),
        ("flow-figure-eight-2", 30.0, 1.0, 0.2 * 0.1**0.5),
        ("fleet-figure-eight:2", 30.0, 1.0, 0.2 * 0.1**0.5),
    ],
)
def test_human_drivers_of_every_scenario(
    name: str, speed: float, accel: float, noise: float
) -> None:
    driver = scenario(name).driver
    assert (driver.v0, driver.accel, driver.noise) == (speed, accel, noise)
    assert (driver.headway, driver.decel, driver.delta, driver.s0) == (1.0, 1.5, 4.0, 2.0)


def test_an_unknown_scenario_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="'merge' is not allowed: one of figure-eight, "):
        scenario("merge")
