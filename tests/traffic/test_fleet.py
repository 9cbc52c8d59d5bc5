"""Fleets: separate loops in one simulation, one learning vehicle each."""

from collections.abc import Iterator

import numpy as np
import pytest

from rsm.config.learning import Traffic
from rsm.config.run import parse_run
from rsm.errors import ConfigError
from rsm.traffic.controllers import controller
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.episode_stats import EpisodeAccumulator
from rsm.traffic.parallel_env import ParallelTrafficEnv
from rsm.traffic.scenarios import scenario


@pytest.fixture
def fleet() -> Iterator[TrafficEnv]:
    with TrafficEnv(Traffic(scenario="fleet-figure-eight:3", decision_interval=30)) as env:
        yield env


def states(env: TrafficEnv, seed: int, actions: np.ndarray | None, decisions: int) -> np.ndarray:
    """Positions and speeds `[decisions, 2, V]`."""
    env.reset(seed)
    seen = []
    for _ in range(decisions):
        env.step(actions)
        seen.append(np.stack(env.vehicles()[:2]))
    return np.array(seen)


@pytest.mark.parametrize("fleet", ["fleet-figure-eight", "mixed-fleet"])
def test_fleet_of_one_drives_as_the_scenario_it_copies(fleet: str):
    one = Traffic(scenario="flow-figure-eight-0", decision_interval=30)
    copy = one.model_copy(update={"scenario": f"{fleet}:1"})
    with TrafficEnv(one) as first, TrafficEnv(copy) as second:
        ours, theirs = (states(env, 3, np.array([1.0]), 20) for env in (first, second))
    assert np.array_equal(ours, theirs)


def test_fleet_has_a_learner_and_thirteen_humans_on_every_loop(fleet: TrafficEnv):
    assert (fleet.n_agents, fleet.n_vehicles, fleet.loops) == (3, 42, 3)
    assert scenario("fleet-figure-eight:3").learners == (13, 27, 41)
    assert fleet.reset(0).shape == (3, 6)
    assert len({round(x) for x in fleet.positions()[:, 0]}) == 2, "two columns, two rows"
    assert len({tuple(point.round()) for point in fleet.positions()}) == 3


def test_loops_of_a_mixed_fleet_have_14_10_and_18_vehicles_in_turn():
    road = scenario("mixed-fleet:4")
    assert road.loop_kinds == tuple(f"{size} vehicles" for size in (14, 10, 18, 14))
    assert road.learners == (13, 23, 41, 55) and road.n_vehicles == 56
    assert scenario("fleet-figure-eight:2").loop_kinds == ("14 vehicles",) * 2
    assert set(scenario("figure-eight").loop_kinds) == {"14 vehicles"}


def test_kinds_of_a_mixed_fleet_are_other_problems_seen_alike():
    """Fewer vehicles on the same road drive faster: returns of the human driver."""
    with TrafficEnv(Traffic(scenario="mixed-fleet:4", decision_interval=30, horizon=900)) as env:
        assert env.reset(0).shape == (4, 6)
        assert len({tuple(point.round()) for point in env.positions()}) == 4
        total = np.zeros(4)
        while not (step := env.step(None)).over:
            total += step.reward
        first, ten, eighteen, fourth = total
        assert ten > 1.1 * max(first, fourth) and min(first, fourth) > 1.1 * eighteen
        loops = np.split(env.vehicles().speed, [14, 24, 42])
        assert [len(loop) for loop in loops] == [14, 10, 18, 14]


def test_collision_belongs_to_the_loop_of_its_vehicle_and_a_mean_speed_counts_vehicles():
    episode = EpisodeAccumulator(scenario("mixed-fleet:3"), 10, terminates=True)
    episode.count([1.0] * 14 + [2.0] * 10 + [4.0] * 18, [23], 1)
    assert episode.crashed == {1}
    assert episode.stats().mean_speed == pytest.approx((14 + 20 + 72) / 42)
    episode.count([0.0] * 42, [24], 1)
    assert episode.crashed == {1, 2} and not episode.all_ended


def test_what_an_agent_does_changes_nothing_on_the_other_loops(fleet: TrafficEnv):
    still, moved = (states(fleet, 5, np.array([a, 1.0, -1.0]), 15) for a in (-3.0, 3.0))
    assert np.array_equal(still[..., 14:], moved[..., 14:])
    assert not np.array_equal(still[..., :14], moved[..., :14])


def test_every_agent_is_rewarded_for_its_own_loop(fleet: TrafficEnv):
    fleet.reset(0)
    for _ in range(20):
        step = fleet.step(np.array([-3.0, 3.0, 3.0]))
    assert step.reward[0] < min(step.reward[1:])
    assert fleet.stats().episode_return > 0


def test_collision_ends_the_episode_of_its_own_loop_and_earns_nothing_after(
    colliding_fleet: tuple[int, int],
):
    seed, loop = colliding_fleet
    traffic = {"scenario": "fleet-figure-eight:3", "horizon": 300}
    returns = {}
    for collision in ("terminate", "teleport"):
        with TrafficEnv(Traffic(**traffic, collision=collision)) as env:
            env.reset(seed)
            ended, rewards = np.zeros(3, dtype=int), np.zeros(3)
            while True:
                step = env.step(None)
                ended += step.terminated
                rewards += step.reward
                if step.over:
                    break
            returns[collision], steps = env.stats().episode_return, env.stats().steps
            assert steps == 300, "the other loops go on"
        expected = np.zeros(3, dtype=int)
        expected[loop] = collision == "terminate"
        assert np.array_equal(ended > 0, expected > 0)
        assert rewards[loop] > 0.5 * rewards.max(), "the learner goes on learning there"
    assert returns["terminate"] < 0.9 * returns["teleport"]


@pytest.fixture(scope="module")
def colliding_fleet() -> tuple[int, int]:
    """A seed in which two humans of exactly one loop collide, and the loop."""
    fatal = Traffic(scenario="fleet-figure-eight:3", horizon=150, collision="terminate")
    with TrafficEnv(fatal) as env:
        for seed in range(60):
            env.reset(seed)
            ended = np.zeros(3, dtype=bool)
            while True:
                step = env.step(None)
                ended |= step.terminated
                if step.over:
                    break
            if ended.sum() == 1:
                return seed, int(ended.argmax())
    pytest.fail("no seed below 60 collides: has the human driver changed?")


def test_platoon_has_a_leader_on_every_loop(fleet: TrafficEnv):
    control = controller("platoon")
    observation = fleet.reset(9000)
    control.reset(fleet, np.random.default_rng(0))
    actions = control.act(observation)
    assert actions is not None
    assert (abs(actions) < fleet.action_limit).all()
    while not (step := fleet.step(actions)).over:
        actions = control.act(step.observation)
    assert fleet.stats().mean_speed > 6.5, "a platoon passes 5.6 m/s, what everybody alone reaches"


@pytest.mark.parametrize("name", ["fleet-figure-eight", "fleet-figure-eight:0", "fleet-figure-eight:1e3",
                                  "fleet-figure-eight:257", "fleet-figure-eight: 3", "mixed-fleet",
                                  "mixed-fleet:257"])  # fmt: skip
def test_fleet_of_no_sensible_size_is_refused(name: str):
    with pytest.raises(ConfigError, match=r"fleet-figure-eight:<loops>"):
        scenario(name)
    with pytest.raises(ConfigError, match=r"traffic\.scenario: .*fleet-figure-eight:<loops>"):
        parse_run({"traffic": {"scenario": name}}, "run.yaml")


def test_radius_is_refused_across_loops_and_only_where_it_would_be_used():
    traffic = {"scenario": "mixed-fleet:3"}
    for method in ("average", "segment-average", "rsm"):
        with pytest.raises(ConfigError, match=r"radius:90' is .*distances have no meaning"):
            parse_run({"traffic": traffic, "method": method}, "run.yaml")
    for method in ("independent", "fmarl", "human"):
        parse_run({"traffic": traffic, "method": method}, "run.yaml")
    ring = {"topology": "ring"}
    parse_run({"traffic": traffic, "method": "rsm", "communication": ring}, "run.yaml")


def test_agent_of_a_fleet_leaves_the_parallel_environment_with_its_collision(
    colliding_fleet: tuple[int, int],
):
    seed, loop = colliding_fleet
    fatal = Traffic(scenario="fleet-figure-eight:3", horizon=300, collision="terminate")
    env = ParallelTrafficEnv(fatal)
    try:
        # A seed of the environment draws those of its episodes: begin the known one by hand.
        env.reset(seed=0)
        env.remote.call("reset", seed)
        gone = env.possible_agents[loop]
        ended = {}
        while env.agents:
            acted = set(env.agents)
            still = {agent: np.zeros(1, dtype=np.float32) for agent in env.agents}
            observations, rewards, terminated, truncated, _ = env.step(still)
            assert set(observations) == set(rewards) == set(terminated) == acted
            ended |= {agent: "collision" for agent in acted if terminated[agent]}
            ended |= {agent: "horizon" for agent in acted if truncated[agent]}
        assert ended[gone] == "collision"
        assert list(ended.values()).count("horizon") == 2
    finally:
        env.close()
