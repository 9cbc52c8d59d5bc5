"""Options of what an agent observes and decides (not published; the published ones are defaults)."""

import numpy as np
import pytest

from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.parallel_env import ParallelTrafficEnv

TARGETS = Traffic(actions="target-speed", observation="relative", horizon=300)


def test_target_speed_is_approached_by_at_most_the_largest_acceleration_and_then_held():
    with TrafficEnv(TARGETS) as env:
        assert (env.action_limit, env.action_centre) == (6.0, 6.0)
        env.reset(0)
        learners = list(env.learners)
        before = env.vehicles().speed[learners]
        for _ in range(100):
            env.step(np.full(9, -4.0))  # 2 m/s
            after = env.vehicles().speed[learners]
            assert (after <= before + 0.3 + 1e-9).all()
            before = after
        assert after.max() == pytest.approx(2.0)
        env.step(np.full(9, -6.0))
        assert env.vehicles().speed[learners].max() == pytest.approx(1.7)
        for _ in range(6):
            env.step(np.full(9, -6.0))
        assert env.vehicles().speed[learners].max() == 0.0


def test_relative_observation_says_where_gaps_and_speed_differences():
    with TrafficEnv(TARGETS) as env:
        observation = env.reset(1)
        for _ in range(120):
            observation = env.step(np.linspace(-3, 3, 9)).observation
        vehicles, length, limit = env.vehicles(), env.network.length, env.limit
    assert observation.shape == (9, 7) and observation.dtype == np.float32
    for row, me in zip(observation, vehicles.learners, strict=True):
        gaps = (vehicles.position - vehicles.position[me]) % length
        gaps[me] = np.inf
        leader = int(gaps.argmin())
        back = (vehicles.position[me] - vehicles.position) % length
        back[me] = np.inf
        follower = int(back.argmin())
        angle = 2 * np.pi * vehicles.position[me] / length
        speed = vehicles.speed
        expected = [
            np.sin(angle),
            np.cos(angle),
            speed[me] / limit,
            (gaps[leader] - 5) / length,
            (speed[leader] - speed[me]) / limit,
            (back[follower] - 5) / length,
            (speed[follower] - speed[me]) / limit,
        ]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_spaces_of_the_parallel_environment_hold_what_it_gives():
    env = ParallelTrafficEnv(TARGETS.model_copy(update={"horizon": 30}))
    try:
        observations, _ = env.reset(seed=0)
        while env.agents:
            assert all(row in env.observation_space(name) for name, row in observations.items())
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            assert all(abs(action) <= 6 for action in actions.values())
            observations, *_ = env.step(actions)
    finally:
        env.close()
