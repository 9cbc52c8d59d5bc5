"""The array interface: determinism, ends of an episode, holding, observations, rewards."""

import inspect
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.car_following import neighbours
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.episode_stats import EpisodeStats
from rsm.traffic.roads.figure_eight import start_places

Drive = Callable[[TrafficEnv, int], EpisodeStats]


def trajectory(env: TrafficEnv, seed: int, decisions: int) -> np.ndarray:
    """Observations under actions that a generator draws."""
    generator = np.random.default_rng(5)
    observations = [env.reset(seed)]
    for _ in range(decisions):
        actions = generator.uniform(-3, 3, env.n_agents)
        observations.append(env.step(actions).observation)
    return np.stack(observations)


def test_interface_of_the_published_scenario(env: TrafficEnv) -> None:
    assert (env.n_agents, env.n_vehicles, env.observation_size, env.action_size) == (9, 14, 6, 1)
    assert (env.action_limit, env.horizon, env.dt, env.limit) == (3.0, 1500, 0.1, 20.0)
    observation = env.reset(0)
    assert observation.shape == (9, 6)
    assert observation.dtype == np.float32
    step = env.step(np.zeros(9))
    assert step.observation.dtype == step.reward.dtype == np.float32
    assert step.reward.shape == step.terminated.shape == (9,)
    assert step.terminated.dtype == bool
    assert step.truncated is False
    assert env.positions().shape == (9, 2)
    assert env.positions().dtype == np.float64


def test_the_same_seed_gives_the_same_bits_again(env: TrafficEnv) -> None:
    first = trajectory(env, 7, 300)
    trajectory(env, 8, 50)
    assert np.array_equal(first, trajectory(env, 7, 300))


def test_another_seed_gives_another_episode(env: TrafficEnv) -> None:
    assert not np.array_equal(trajectory(env, 7, 100), trajectory(env, 8, 100))


def test_the_seed_also_decides_sumos_own_randomness() -> None:
    # Nobody is a human driver here: the drivers' speed factors are all that is random.
    with TrafficEnv(Traffic(scenario="figure-eight-all", horizon=300)) as env:

        def last(seed: int) -> np.ndarray:
            env.reset(seed)
            while not (step := env.step(np.full(14, 3.0))).truncated:
                pass
            return step.observation

        assert np.array_equal(last(1), last(1))
        assert not np.array_equal(last(1), last(2))


def test_the_same_seed_gives_the_same_bits_in_two_processes() -> None:
    code = (
        "import hashlib\n"
        "import numpy as np\n"
        "from rsm.config.learning import Traffic\n"
        "from rsm.traffic.environment import TrafficEnv\n"
        f"{inspect.getsource(trajectory)}\n"
        "with TrafficEnv(Traffic()) as env:\n"
        "    print(hashlib.sha256(trajectory(env, 3, 400).tobytes()).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 1  # and nothing else on standard output


def test_vehicles_start_at_rest_at_their_places_in_the_order_of_driving(env: TrafficEnv) -> None:
    env.reset(0)
    vehicles = env.vehicles()
    assert (vehicles.speed == 0).all()
    places = [
        env.network.offsets[f"{edge}_0"] + along for edge, along in start_places(env.network, [14])
    ]
    assert vehicles.position == pytest.approx(places)
    assert (np.diff(vehicles.position) > 0).all()


def test_observation_is_own_then_follower_then_leader(env: TrafficEnv) -> None:
    observation = env.reset(0)
    for _ in range(50):
        observation = env.step(np.full(9, 1.0)).observation
    vehicles = env.vehicles()
    for row, me in zip(observation, vehicles.learners, strict=True):
        order = (me, (me - 1) % 14, (me + 1) % 14)
        expected = [
            value
            for i in order
            for value in (vehicles.position[i] / env.network.length, vehicles.speed[i] / env.limit)
        ]
        assert row == pytest.approx(expected, abs=1e-6)


def test_positions_are_those_of_the_learners_in_metres(env: TrafficEnv) -> None:
    env.reset(0)
    vehicles = env.vehicles()
    assert np.array_equal(env.positions()[:, 0], vehicles.x[vehicles.learners])
    assert vehicles.learners.tolist() == [1, 3, 4, 5, 6, 8, 9, 10, 12]
    spread = np.ptp(env.positions(), axis=0)
    assert (spread > 60).all()
    assert (spread < 125).all()


def test_reward_is_the_formula_of_the_scenario(env: TrafficEnv) -> None:
    env.reset(0)
    for _ in range(30):
        step = env.step(np.full(9, 3.0))
    assert step.reward == pytest.approx(np.full(9, env.vehicles().speed.mean() / 20.0), rel=1e-6)
    with TrafficEnv(Traffic(scenario="flow-figure-eight-1")) as flow:
        flow.reset(0)
        for _ in range(30):
            step = flow.step(np.full(7, 3.0))
        speeds = flow.vehicles().speed
        best = 20.0 * 14**0.5
        expected = max(best - np.linalg.norm(speeds - 20.0), 0) / best
        assert step.reward == pytest.approx(np.full(7, expected), rel=1e-6)


def test_a_held_decision_equals_the_same_decision_repeated() -> None:
    generator = np.random.default_rng(1)
    actions = generator.uniform(-3, 3, (20, 9))
    with TrafficEnv(Traffic(decision_interval=5)) as held:
        held.reset(2)
        held_steps = [held.step(action) for action in actions]
        held_stats = held.stats()
    with TrafficEnv(Traffic()) as single:
        single.reset(2)
        single_steps = [[single.step(action) for _ in range(5)] for action in actions]
        assert single.stats() == held_stats
    for one, many in zip(held_steps, single_steps, strict=True):
        assert np.array_equal(one.observation, many[-1].observation)
        mean = np.mean([step.reward for step in many], axis=0)
        assert one.reward == pytest.approx(mean, rel=1e-5)


def test_the_target_speed_is_recomputed_in_every_held_step() -> None:
    with TrafficEnv(Traffic(decision_interval=10)) as env:
        env.reset(0)
        env.step(np.full(9, 1.0))
        speeds = env.vehicles().speed[list(env.learners)]
        assert speeds[5] < 0.5  # SUMO's safe speed holds who starts just before the crossing
        free = np.delete(speeds, 5)
        assert free == pytest.approx(np.full(8, 1.0), abs=1e-6)  # 1 m/s² for 1 s


def test_accelerations_are_clipped_to_the_limit(env: TrafficEnv) -> None:
    env.reset(0)
    beyond = env.step(np.full((9, 1), 50.0)).observation
    env.reset(0)
    assert np.array_equal(beyond, env.step(np.full(9, 3.0)).observation)


def test_braking_stops_and_never_drives_backwards(env: TrafficEnv) -> None:
    env.reset(0)
    for action in (2.0, -3.0, -3.0):
        env.step(np.full(9, action))
    assert (env.vehicles().speed[list(env.learners)] == 0).all()


@pytest.mark.parametrize("end", ["truncation", "termination"])
def test_the_horizon_is_what_the_settings_say(end: str) -> None:
    with TrafficEnv(Traffic(horizon=23, decision_interval=5, horizon_end=end)) as env:
        env.reset(0)
        steps = [env.step(np.zeros(9)) for _ in range(5)]
        assert [step.over for step in steps] == [False] * 4 + [True]
        assert [step.truncated for step in steps] == [False] * 4 + [end == "truncation"]
        assert not any(step.terminated.any() for step in steps[:-1])
        assert (steps[-1].terminated == (end == "termination")).all()
        assert env.stats().steps == 23  # simulation steps, not decisions
        with pytest.raises(RuntimeError, match="reset"):
            env.step(np.zeros(9))


def test_a_collision_is_a_termination_of_every_agent(colliding_seed: int) -> None:
    with TrafficEnv(Traffic(collision="terminate")) as env:
        env.reset(colliding_seed)
        total = 0.0
        while True:
            step = env.step(None)
            total += float(step.reward[0])
            if step.terminated.any() or step.truncated:
                break
        assert step.terminated.all()
        assert step.truncated is False
        assert (step.reward == 0).all()
        stats = env.stats()
        assert stats.collisions >= 1
        assert stats.steps < 1500
        assert stats.episode_return == pytest.approx(total / 1500, rel=1e-5)  # the full horizon


def test_with_teleport_a_collision_costs_the_reward_of_its_step_and_the_episode_goes_on(
    colliding_seed: int,
) -> None:
    with TrafficEnv(Traffic(horizon=400)) as env:
        env.reset(colliding_seed)
        rewards, collisions = [], [0]
        for _ in range(400):
            step = env.step(None)
            assert not step.terminated.any()
            rewards.append(step.reward)
            collisions.append(env.stats().collisions)
        assert step.truncated
        crashed = np.diff(collisions) > 0
        assert crashed.any()
        assert (np.array(rewards)[crashed] == 0).all()
        assert (np.array(rewards)[~crashed][10:] > 0).all()
        assert env.stats().teleports >= 1


def test_after_a_teleport_everybody_sees_who_drives_ahead_and_behind() -> None:
    """Everybody learns there, so observations show the order of all."""
    crashed = 0
    with TrafficEnv(Traffic(scenario="figure-eight-all", horizon=400)) as env:
        for seed in range(30):
            env.reset(seed)
            while not (step := env.step("sumo")).over:
                pass
            crashed += env.stats().collisions
            assert_neighbours_seen(env, step.observation)
            if crashed >= 3:
                return
    pytest.fail("no collisions: has SUMO's driver changed?")


def assert_neighbours_seen(env: TrafficEnv, observation: np.ndarray) -> None:
    """Every agent sees the positions of the vehicles that are next to it on its loop."""
    vehicles, length = env.vehicles(), env.network.length
    per_loop = env.n_vehicles // env.loops
    for row, me in zip(observation, vehicles.learners, strict=True):
        mine = slice(me // per_loop * per_loop, (me // per_loop + 1) * per_loop)
        others = np.delete(vehicles.position[mine], me % per_loop)
        others = others[np.isfinite(np.delete(vehicles.x[mine], me % per_loop))]
        ahead, behind = ((sign * (others - vehicles.position[me])) % length for sign in (1, -1))
        assert row[4] * length == pytest.approx(others[ahead.argmin()], abs=1e-3)
        assert row[2] * length == pytest.approx(others[behind.argmin()], abs=1e-3)


def test_vehicle_that_comes_back_onto_the_road_is_a_neighbour_again() -> None:
    away = False
    fleet = Traffic(scenario="fleet-figure-eight:9", actions="target-speed", horizon=240)
    with TrafficEnv(fleet) as env:
        for seed in range(60):
            generator = np.random.default_rng(seed)
            env.reset(seed)
            for number in range(240):
                if number % 30 == 0:
                    actions = generator.uniform(-9.0, 9.0, env.n_agents)
                observation = env.step(actions).observation
                missing = bool(np.isnan(env.vehicles().x).any())
                if away or missing:
                    assert_neighbours_seen(env, observation)
                if away and not missing:
                    return
                away = missing
    pytest.fail("in no episode did a vehicle leave the road and come back")


def test_on_step_sees_every_simulation_step_also_of_held_decisions(drive_humans: Drive) -> None:
    with TrafficEnv(Traffic(decision_interval=10, horizon=25)) as env:
        seen: list[int] = []
        env.on_step = lambda env: seen.append(env.stats().steps)
        drive_humans(env, 0)
    assert seen == list(range(26))


def test_mean_speed_is_over_all_vehicles_and_executed_steps(drive_humans: Drive) -> None:
    with TrafficEnv(Traffic(horizon=50)) as env:
        speeds: list[float] = []
        env.on_step = lambda env: speeds.append(float(env.vehicles().speed.mean()))
        stats = drive_humans(env, 0)
    assert stats.mean_speed == pytest.approx(np.mean(speeds[1:]))
    assert stats.episode_return == pytest.approx(np.mean(speeds[1:]) / 20.0)


@pytest.mark.parametrize("actions", [np.zeros(8), np.zeros((9, 2)), 0.0])
def test_a_wrong_number_of_accelerations_is_refused(env: TrafficEnv, actions: object) -> None:
    env.reset(0)
    with pytest.raises(ValueError, match=r"expected \[9\] or \[9, 1\]"):
        env.step(actions)  # type: ignore[arg-type]


def test_an_acceleration_that_is_not_finite_is_refused(env: TrafficEnv) -> None:
    env.reset(0)
    with pytest.raises(ValueError, match="finite"):
        env.step(np.array([np.nan] + [0.0] * 8))


def test_a_word_that_is_no_driver_is_refused(env: TrafficEnv) -> None:
    env.reset(0)
    with pytest.raises(ValueError, match="'human' is not allowed"):
        env.step("human")


def test_a_step_before_the_first_reset_is_refused(env: TrafficEnv) -> None:
    with pytest.raises(RuntimeError, match="reset"):
        env.step(None)


def test_an_environment_whose_simulation_was_replaced_says_so_and_can_be_reset() -> None:
    with TrafficEnv(Traffic()) as first, TrafficEnv(Traffic()) as second:
        expected = first.reset(1)
        second.reset(2)
        undisturbed = [second.step(None) for _ in range(150)][-1].observation
        second.reset(2)
        for _ in range(150):
            with pytest.raises(RuntimeError, match="one per process"):
                first.step(None)
            disturbed = second.step(None).observation
        assert np.array_equal(disturbed, undisturbed)
        assert np.array_equal(first.reset(1), expected)
        first.step(None)
        second.close()  # not its simulation any more
        first.step(None)


def test_a_missing_libsumo_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "libsumo", None)
    with pytest.raises(ConfigError, match="pip install eclipse-sumo") as caught:
        TrafficEnv(Traffic())
    assert "\n" not in str(caught.value)


def test_neighbours_follow_the_positions_and_pass_over_the_absent() -> None:
    ahead, behind = neighbours([50.0, 10.0, 30.0, 20.0], [True] * 4)
    assert ahead == [1, 3, 0, 2]
    assert behind == [2, 0, 3, 1]
    ahead, behind = neighbours([50.0, 10.0, 30.0, 20.0], [True, True, True, False])
    assert (ahead[1], behind[2]) == (2, 1)
    assert (ahead[3], behind[3]) == (2, 1)
    assert neighbours([5.0], [True]) == ([0], [0])
