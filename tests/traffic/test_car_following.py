"""The IDM, against the formula written out and its known properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm.traffic.car_following import RELEASE, HumanDriver, HumanTraffic

SPEEDS = st.floats(0.0, 40.0)


def test_acceleration_equals_the_formula_by_hand() -> None:
    # v = 10, gap = 20, leader 8: s* = 2 + 10 + 10·2 / (2·sqrt(1.5)) = 20.165
    wanted = 2 + 10 + 20 / (2 * math.sqrt(1.5))
    expected = 1 - (10 / 30) ** 4 - (wanted / 20) ** 2
    assert HumanDriver().acceleration(10.0, 20.0, 8.0) == pytest.approx(expected)


def test_a_standing_driver_with_a_free_road_starts_with_full_acceleration() -> None:
    assert HumanDriver().acceleration(0.0, 1e9, 0.0) == pytest.approx(1.0)


def test_the_desired_speed_is_kept_on_a_free_road() -> None:
    assert HumanDriver().acceleration(30.0, 1e9, 30.0) == pytest.approx(0.0)


def test_a_fast_leader_does_not_make_the_wanted_gap_smaller_than_the_jam_distance() -> None:
    driver = HumanDriver()
    expected = 1 - (1 / 30) ** 4 - (2 / 5) ** 2
    assert driver.acceleration(1.0, 5.0, 40.0) == pytest.approx(expected)


def test_no_gap_is_a_hard_braking_and_not_a_division_by_zero() -> None:
    assert HumanDriver().acceleration(1.0, 0.0, 1.0) < -1e6


@given(SPEEDS, st.floats(0.1, 500.0), SPEEDS, st.floats(0.1, 100.0))
def test_more_room_never_brakes_harder(
    speed: float, gap: float, leader: float, more: float
) -> None:
    driver = HumanDriver()
    assert driver.acceleration(speed, gap + more, leader) >= driver.acceleration(speed, gap, leader)


def test_array_of_drivers_does_what_each_driver_does():
    generator = np.random.default_rng(0)
    speed, leader = generator.uniform(0, 30, (2, 500))
    gap = np.concatenate((generator.uniform(-1, 60, 499), [0.0]))
    driver = HumanDriver()
    one_by_one = [driver.acceleration(*row) for row in zip(speed, gap, leader, strict=True)]
    np.testing.assert_allclose(driver.accelerations(speed, gap, leader), one_by_one, rtol=1e-12)


def human_traffic(junction: str, vehicles: int, noise: float = 0.0, seed: int = 0) -> HumanTraffic:
    traffic = HumanTraffic(HumanDriver(noise=noise), [5.0] * vehicles, 400.0, 0.1, junction)
    traffic.begin(np.random.default_rng(seed))
    return traffic


@pytest.mark.parametrize("junction", ["sumo", "idm"])
def test_inside_a_junction_a_human_has_no_command_where_sumo_drives_there(junction: str) -> None:
    lanes = ["bottom_0", ":center_0_0", ""]
    state = [0.0, 50.0, 100.0], [5.0, 5.0, 5.0], lanes, [1, 2, 0]
    (first, driven), (second, inside) = human_traffic(junction, 3).commands(range(3), *state)
    assert (first, second) == (0, 1), "who is away gets no command"
    assert driven == pytest.approx(5.0 + 0.1 * HumanDriver().acceleration(5.0, 45.0, 5.0))
    assert inside == (RELEASE if junction == "sumo" else pytest.approx(driven))


def test_noise_is_of_the_stated_spread_and_the_same_whoever_is_driven() -> None:
    state = [0.0, 200.0], [10.0, 10.0], ["bottom_0", "left_0"], [1, 0]
    both, one = (human_traffic("sumo", 2, noise=0.2) for _ in range(2))
    driven = np.array(
        [[speed for _, speed in both.commands(range(2), *state)] for _ in range(3000)]
    )
    alone = [one.commands([1], *state)[0][1] for _ in range(3000)]
    assert driven[:, 1].tolist() == alone
    mean = 10.0 + 0.1 * HumanDriver().acceleration(10.0, 195.0, 10.0)
    assert driven.mean(axis=0) == pytest.approx([mean] * 2, abs=0.002)
    assert driven.std(axis=0) == pytest.approx([0.02] * 2, rel=0.05)  # 0.2 m/s² for 0.1 s
