"""The PettingZoo interface: its own tests pass, and it equals the array interface."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.parallel_env import ParallelTrafficEnv
from rsm.traffic.worker import RemoteEnv


@pytest.fixture
def short() -> Iterator[ParallelTrafficEnv]:
    """Twenty steps of the published scenario."""
    env = ParallelTrafficEnv(Traffic(horizon=20))
    yield env
    env.close()


@pytest.mark.parametrize("collision", ["terminate", "teleport"])
def test_pettingzoos_parallel_api_test_passes_without_a_warning(collision: str) -> None:
    env = ParallelTrafficEnv(Traffic(horizon=120, collision=collision))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(env, num_cycles=150)
    env.close()


def test_pettingzoos_parallel_seed_test_passes() -> None:
    parallel_seed_test(lambda: ParallelTrafficEnv(Traffic(horizon=80)), num_cycles=100)


def test_it_is_the_array_interface_by_names(short: ParallelTrafficEnv) -> None:
    observations, _ = short.reset(seed=11)
    episode = int(np.random.default_rng(11).integers(2**31))
    with TrafficEnv(short.traffic) as arrays:
        expected = arrays.reset(episode)
        assert short.possible_agents[:3] == ["vehicle_1", "vehicle_3", "vehicle_4"]
        assert np.array_equal(np.stack(list(observations.values())), expected)
        for _ in range(20):
            actions = {agent: np.array([1.0], dtype=np.float32) for agent in short.agents}
            observations, rewards, terminated, truncated, infos = short.step(actions)
            step = arrays.step(np.ones(9))
            assert np.array_equal(np.stack(list(observations.values())), step.observation)
            assert list(rewards.values()) == step.reward.tolist()
        assert step.truncated
        assert all(truncated.values())
        assert not any(terminated.values())
        assert infos["vehicle_1"]["mean_speed"] == arrays.stats().mean_speed
        assert short.agents == []


def test_observations_of_driving_fast_stay_inside_their_space() -> None:
    env = ParallelTrafficEnv(Traffic(scenario="flow-figure-eight-1", horizon=200))
    observations, _ = env.reset(seed=0)
    while env.agents:
        for agent, observation in observations.items():
            assert env.observation_space(agent).contains(observation)
        actions = {agent: np.array([3.0], dtype=np.float32) for agent in env.agents}
        observations = env.step(actions)[0]
    env.close()


def test_a_step_with_an_agent_missing_is_refused(short: ParallelTrafficEnv) -> None:
    short.reset(seed=0)
    actions = {agent: np.zeros(1, dtype=np.float32) for agent in short.agents}
    del actions["vehicle_4"]
    with pytest.raises(ValueError, match="no action for vehicle_4"):
        short.step(actions)


def test_mistakes_of_the_other_process_are_raised_here() -> None:
    remote = RemoteEnv(Traffic(horizon=5))
    try:
        with pytest.raises(RuntimeError, match="reset"):
            remote.call("step", None)
        remote.call("reset", 0)
        with pytest.raises(ValueError, match="shape"):
            remote.call("step", np.zeros(3))
        remote.call("step", np.zeros(9))
    finally:
        remote.close()
    with pytest.raises(RuntimeError, match="has ended"):
        remote.call("reset", 0)


def test_environment_whose_process_has_died_can_still_be_closed() -> None:
    remote = RemoteEnv(Traffic(horizon=5))
    remote.process.kill()
    remote.process.wait()
    with pytest.raises(RuntimeError, match="has ended"):
        remote.call("reset", 0)
    remote.close()
    remote.close()


def test_answer_that_was_cut_short_says_that_the_process_has_ended() -> None:
    remote = RemoteEnv(Traffic(horizon=5))
    try:
        assert remote.process.stdout is not None
        remote.process.stdout.close()
        remote.process.stdout = io.BytesIO(pickle.dumps((True, "long" * 20))[:-20])
        with pytest.raises(RuntimeError, match="has ended"):
            remote.call("reset", 0)
    finally:
        remote.close()


def test_an_unknown_scenario_is_refused_before_a_process_starts() -> None:
    unknown = Traffic.model_construct(scenario="merge")
    with pytest.raises(ConfigError, match="not allowed"):
        ParallelTrafficEnv(unknown)


def driven(env: ParallelTrafficEnv) -> np.ndarray:
    """Where the vehicles are, and how fast, after ten steps of an episode."""
    env.reset()
    for _ in range(10):
        env.step({agent: np.zeros(1, dtype=np.float32) for agent in env.agents})
    return env.state()


def by_pickle(env: ParallelTrafficEnv) -> ParallelTrafficEnv:
    copied: ParallelTrafficEnv = pickle.loads(pickle.dumps(env))
    return copied


@pytest.mark.slow
@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle])
def test_copy_has_a_process_of_its_own_and_drives_what_the_seed_decides(
    short: ParallelTrafficEnv, copied: Callable[[ParallelTrafficEnv], ParallelTrafficEnv]
) -> None:
    short.reset(seed=3)
    other = copied(short)
    assert other.agents == [] and len(short.agents) == 9, "a copy begins with reset"
    short.step({agent: np.zeros(1, dtype=np.float32) for agent in short.agents})
    assert np.array_equal(driven(short), driven(other))
    other.close()


def test_copies_of_an_environment_that_was_never_seeded_drive_different_episodes() -> None:
    env = ParallelTrafficEnv(Traffic(horizon=20))
    other = copy.deepcopy(env)
    assert not np.array_equal(driven(env), driven(other))
    env.close()
    other.close()


def test_supersuits_vector_of_environments_drives_them() -> None:
    supersuit = pytest.importorskip("supersuit")
    env = supersuit.pettingzoo_env_to_vec_env_v1(ParallelTrafficEnv(Traffic(horizon=20)))
    vector = supersuit.concat_vec_envs_v1(env, 2, num_cpus=0, base_class="gymnasium")
    observations, _ = vector.reset(seed=1)
    assert len(observations) == 2 * 9
    observations, rewards, *_ = vector.step(np.zeros((2 * 9, 1), dtype=np.float32))
    assert len(rewards) == 2 * 9
    vector.close()


def test_agents_of_an_open_road_come_and_go_and_pettingzoos_tests_pass() -> None:
    traffic = Traffic(scenario="flow-merge-1", horizon=300)
    env = ParallelTrafficEnv(traffic)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # More vehicles may come than do.
        warnings.filterwarnings("ignore", "No agents present but not all possible_agents")
        parallel_api_test(env, num_cycles=200)
    observations, _ = env.reset(seed=1)
    seen, left = set(observations), set[str]()
    while env.agents:
        acting = set(env.agents)
        actions = {agent: np.ones(1, dtype=np.float32) for agent in env.agents}
        observations, rewards, _, truncated, _ = env.step(actions)
        assert all(
            env.observation_space(agent).contains(row) for agent, row in observations.items()
        )
        assert set(rewards) == set(observations) >= acting
        gone = {agent for agent in acting if truncated[agent]}
        assert not (gone & set(env.agents)) and not (left & set(observations))
        left |= gone
        seen |= set(observations)
    assert left == seen <= set(env.possible_agents) and len(seen) > 5
    env.close()
    parallel_seed_test(lambda: ParallelTrafficEnv(traffic), num_cycles=100)
