"""Rewards against a plain computation of their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm.traffic.rewards import desired_velocity, mean_speed

SPEEDS = st.lists(st.floats(0.0, 60.0), min_size=1, max_size=20)


@given(SPEEDS)
def test_desired_velocity_is_flows_formula(speeds: list[float]) -> None:
    wish = np.full(len(speeds), 20.0)
    norm = np.linalg.norm(wish)
    expected = max(norm - np.linalg.norm(wish - np.array(speeds)), 0.0) / norm
    assert desired_velocity(speeds, 20.0) == pytest.approx(expected, abs=1e-12)


def test_desired_velocity_is_1_at_the_target_and_0_at_rest() -> None:
    assert desired_velocity([20.0] * 14, 20.0) == 1.0
    assert desired_velocity([0.0] * 14, 20.0) == 0.0


def test_desired_velocity_prefers_even_speeds_at_the_same_mean() -> None:
    assert desired_velocity([6.0, 6.0], 20.0) > desired_velocity([0.0, 12.0], 20.0)


@given(SPEEDS)
def test_mean_speed_is_a_fraction_of_the_limit_and_stays_within_0_and_1(
    speeds: list[float],
) -> None:
    expected = min(float(np.mean(speeds)) / 20.0, 1.0)
    assert mean_speed(speeds, 20.0) == pytest.approx(expected)
