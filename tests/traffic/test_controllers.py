"""Controls: what each does, and what is refused."""

import numpy as np
import pytest

from rsm.config.catalogue import SCRIPTED
from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.controllers import ScriptedPlatoon, controller
from rsm.traffic.environment import TrafficEnv


def drive(env: TrafficEnv, name: str, seed: int) -> float:
    """Mean speed (m/s) of an episode."""
    observation = env.reset(seed)
    driver = controller(name)
    driver.reset(env, np.random.default_rng(seed))
    while True:
        step = env.step(driver.act(observation))
        observation = step.observation
        if step.truncated or step.terminated.any():
            return env.stats().mean_speed


@pytest.mark.parametrize("name", [*(name for name in SCRIPTED if name != "meter"), "constant:-0.5"])
def test_every_control_drives_and_has_the_right_shape(env: TrafficEnv, name: str) -> None:
    driver = controller(name)
    observation = env.reset(0)
    driver.reset(env, np.random.default_rng(0))
    actions = driver.act(observation)
    env.step(actions)
    if name in ("human", "sumo"):
        assert actions == (None if name == "human" else "sumo")
    else:
        assert isinstance(actions, np.ndarray)
        assert actions.shape == (9,)
        assert (np.abs(actions) <= 3.0).all()


def test_go_and_constant_are_the_same_acceleration_always(env: TrafficEnv) -> None:
    observation = env.reset(0)
    for name, value in (("go", 3.0), ("constant:1.5", 1.5), ("constant:-2", -2.0)):
        driver = controller(name)
        driver.reset(env, np.random.default_rng(0))
        actions = driver.act(observation)
        assert isinstance(actions, np.ndarray)
        assert (actions == value).all()


def test_sumo_drives_whoever_gets_no_command_and_not_as_our_human_driver_does(
    env: TrafficEnv,
) -> None:
    def speeds(*actions: object) -> np.ndarray:
        env.reset(0)
        for action in actions:
            env.step(action)  # type: ignore[arg-type]
        return env.vehicles().speed[list(env.learners)]

    untouched, ours = speeds(*["sumo"] * 30), speeds(*[None] * 30)
    assert (untouched > 0).all()
    assert not np.allclose(untouched, ours, atol=0.05)
    # A vehicle that was commanded is handed back: without a new command it would keep its speed 0.
    held = speeds(*[np.full(9, -3.0)] * 10, *["sumo"] * 30)
    assert (held > 0).all()


def test_random_is_uniform_anew_at_each_decision_and_decided_by_its_generator(
    env: TrafficEnv,
) -> None:
    observation = env.reset(0)
    driver = controller("random")

    def draws() -> np.ndarray:
        driver.reset(env, np.random.default_rng(4))
        return np.stack([driver.act(observation) for _ in range(500)])  # type: ignore[arg-type]

    first = draws()
    assert np.array_equal(first, draws())
    assert np.unique(first).size == first.size
    assert abs(first.mean()) < 0.1
    assert first.min() < -2.9
    assert first.max() > 2.9


@pytest.mark.parametrize("seed", [0, 1])
def test_the_platoon_is_a_quarter_faster_than_everybody_for_themselves(seed: int) -> None:
    with TrafficEnv(Traffic(scenario="flow-figure-eight-1")) as env:
        go, platoon = drive(env, "go", seed), drive(env, "platoon", seed)
    assert 6.0 < platoon < 7.5
    assert platoon > 1.15 * go


def test_the_platoon_leader_crawls_until_the_road_ahead_is_free_and_then_cruises(
    env: TrafficEnv,
) -> None:
    driver = ScriptedPlatoon(crawl=1.0, gap=150.0, cruise=7.5)
    env.reset(0)
    driver.reset(env, np.random.default_rng(0))

    def observation(speed: float, gap: float) -> np.ndarray:
        rows = np.zeros((9, 6), dtype=np.float32)
        rows[-1] = [0.9, speed / env.limit, 0, 0, (0.9 + gap / env.network.length) % 1.0, 0]
        return rows

    def leader(speed: float, gap: float) -> float:
        actions = driver.act(observation(speed, gap))
        assert isinstance(actions, np.ndarray)
        assert (actions[:-1] == 3.0).all()
        return float(actions[-1])

    assert leader(1.0, 30.0) == pytest.approx(0.0, abs=1e-4)
    assert leader(2.0, 149.0) == -3.0
    assert leader(1.0, 151.0) == 3.0
    assert leader(7.5, 20.0) == pytest.approx(0.0, abs=1e-4)  # once closed up, always cruising


@pytest.mark.parametrize("name", ["", "Human", "constant", "constant:", "constant:fast", "go:1"])
def test_an_unknown_control_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(
        ConfigError, match="human, sumo, random, go, platoon, meter, untrained, constant:<m/s²>"
    ):
        controller(name)


def test_a_constant_that_would_be_clipped_or_is_not_finite_is_refused(env: TrafficEnv) -> None:
    with pytest.raises(ConfigError, match="between -3 and 3"):
        controller("constant:4").reset(env, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="not allowed"):
        controller("constant:nan")
