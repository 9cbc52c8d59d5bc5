"""Flow's on-ramp: its road, its settings, and vehicles of agents that come and go."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rsm.config.learning import Traffic
from rsm.config.run import RunConfig, parse_run
from rsm.errors import ConfigError
from rsm.traffic.controllers import controller
from rsm.traffic.environment import Step, TrafficEnv
from rsm.traffic.episode_stats import EpisodeStats
from rsm.traffic.roads.merge import STARTS, merge, road
from rsm.traffic.scenarios import scenario
from rsm.training.evaluation import evaluation_report

Drive = Callable[[TrafficEnv, int], EpisodeStats]
STEPS = 400  # 200 s, in which vehicles enter and leave


@pytest.fixture(scope="module")
def env() -> Iterator[TrafficEnv]:
    with TrafficEnv(Traffic(scenario="flow-merge-1", horizon=STEPS)) as env:
        yield env


def episode(env: TrafficEnv, seed: int, empty: float = 0.0) -> tuple[np.ndarray, list[Step]]:
    """First observation and steps under drawn actions; agents without a vehicle are told `empty`."""
    generator = np.random.default_rng(seed)
    first, steps = env.reset(seed), list[Step]()
    while not steps or not steps[-1].over:
        actions = generator.uniform(-0.5, 1.5, env.n_agents)
        steps.append(env.step(np.where(env.live, actions, empty)))
    return first, steps


def test_lengths_of_the_road_and_one_position_for_both_approaches_at_the_junction() -> None:
    network = merge(30.0)
    assert not network.closed
    assert network.length == pytest.approx(900 + 0.1 + 0.1 + 24.53 + 22.95, abs=1e-6)
    ends = {
        route[-2]: network.offsets[f"{route[-2]}_0"] + network.lengths[f"{route[-2]}_0"]
        for route in network.routes
    }
    junctions = [n for n in network.lengths.values() if 20 < n < 30]
    assert sorted(network.offsets["center_0"] - end for end in ends.values()) == pytest.approx(
        sorted(junctions)
    )
    assert {network.ways[f"{edge}_0"] for edge in ("left", "inflow_highway")} == {1}
    assert network.ways["bottom_0"] == 2 and network.ways["center_0"] == 3


def test_five_humans_start_at_rest_where_flow_places_them(env: TrafficEnv) -> None:
    env.reset(0)
    vehicles = env.vehicles()
    places = [env.network.offsets[f"{edge}_0"] + along for edge, along in STARTS]
    assert vehicles.position.tolist() == pytest.approx(places)
    assert (vehicles.speed == 0).all() and not env.live.any()
    with pytest.raises(ConfigError, match="one with 5 is expected"):
        road(30.0, [5, 5])


def test_the_scenario_says_what_the_settings_do_not() -> None:
    traffic = Traffic(scenario="flow-merge-0")
    assert (traffic.steps, traffic.steps_held, traffic.observed) == (1500, 2, "gaps")
    assert traffic.on_collision == "terminate"
    assert traffic == Traffic(scenario="flow-merge-0", decision_interval=2, observation="gaps")
    assert Traffic(scenario="flow-merge-0", decision_interval=1).steps_held == 1
    plain = {"decision_interval": 1, "horizon": 1500, "observation": "absolute"}
    assert RunConfig(traffic=Traffic(**plain)).settings_hash == RunConfig().settings_hash
    for number, slots, share in ((0, 5, 0.1), (1, 13, 0.25), (2, 17, 0.333)):
        found = scenario(f"flow-merge-{number}")
        assert (found.n_agents, found.action_limit, found.dt) == (slots, 1.5, 0.5)
        human, learning, ramp = found.inflows
        assert (human.per_hour, learning.per_hour) == pytest.approx(
            ((1 - share) * 2000, share * 2000)
        )
        assert (human.speed, ramp.per_hour, ramp.speed) == (10.0, 100.0, 7.5)


@pytest.mark.parametrize("observation", ["absolute", "relative"])
def test_observation_that_needs_a_loop_is_refused(observation: str) -> None:
    content = {"traffic": {"scenario": "flow-merge-0", "observation": observation}}
    with pytest.raises(ConfigError, match=r"traffic\.observation: .* allowed: gaps"):
        parse_run(content, "run.yaml")


@pytest.mark.parametrize("method", ["masac", "shared-policy"])
def test_method_whose_agents_learn_together_is_refused(method: str) -> None:
    with pytest.raises(ConfigError, match="come and go"):
        parse_run({"method": method, "traffic": {"scenario": "flow-merge-0"}}, "run.yaml")


def test_the_same_seed_gives_the_same_bits_and_what_an_empty_slot_is_told_changes_none(
    env: TrafficEnv,
) -> None:
    first, steps = episode(env, 3)
    episode(env, 4)
    again, repeated = episode(env, 3, empty=1.3)
    assert np.array_equal(first, again) and len(steps) == len(repeated) == STEPS // 2
    for one, other in zip(steps, repeated, strict=True):
        assert np.array_equal(one.observation, other.observation)
        assert np.array_equal(one.reward, other.reward)
        assert one.slots is not None and other.slots is not None
        assert all(map(np.array_equal, one.slots, other.slots))


def test_empty_slot_sees_earns_and_ends_nothing_and_is_nowhere(env: TrafficEnv) -> None:
    env.reset(1)
    live, seen = env.live, set()
    for _ in range(STEPS // 2):
        step = env.step(np.full(env.n_agents, 1.0))
        slots = step.slots
        assert slots is not None
        assert np.array_equal(slots.acted, live)
        assert (step.reward[~slots.acted] == 0).all()
        assert len(set(step.reward[slots.acted].tolist())) <= 1, "one team reward"
        assert not (slots.left & ~slots.acted).any()
        live = slots.live
        assert np.array_equal(live, env.live)
        assert (step.observation[~live] == 0).all() and step.observation[live, 0].all()
        assert np.array_equal(np.isinf(env.positions()).any(axis=1), ~live)
        assert np.array_equal(env.occupants() >= 0, live)
        seen |= {(int(number), slot) for slot, number in enumerate(env.occupants()) if number >= 0}
    assert len(seen) > 10, "vehicles came"
    assert len({number for number, _ in seen}) == len(seen), "each kept its slot"


def test_vehicle_that_leaves_ends_its_transition_with_what_it_saw_last(env: TrafficEnv) -> None:
    _, steps = episode(env, 2)
    left = 0
    before = None
    for step in steps:
        slots = step.slots
        assert slots is not None
        stays = slots.acted & ~slots.left
        assert np.array_equal(slots.last[stays], step.observation[stays])
        for slot in np.flatnonzero(slots.left):
            left += 1
            assert before is not None and slots.last[slot].any()
            # At most one step of 0.5 s after what it acted on.
            assert abs(slots.last[slot, 0] - before[slot, 0]) * 30 <= 4.5
            assert not step.terminated[slot]
        before = step.observation
    assert left > 3


def test_reward_is_flows_with_the_headways_of_the_agents(env: TrafficEnv) -> None:
    env.reset(5)
    for _ in range(60):
        env.step(np.full(env.n_agents, 1.5))
    wanted, step = [], None

    def keep(env: TrafficEnv) -> None:
        vehicles = env.vehicles()
        best = 20.0 * len(vehicles.speed) ** 0.5
        reward = max(best - np.linalg.norm(vehicles.speed - 20.0), 0) / best
        for me in vehicles.learners[vehicles.learners >= 0]:
            ahead = vehicles.position - vehicles.position[me]
            ahead[(ahead <= 0) | (vehicles.route != 0)] = np.inf  # from the ramp nobody is near now
            if np.isfinite(ahead.min()) and vehicles.speed[me] > 0:
                headway = (ahead.min() - 5.0) / vehicles.speed[me]
                reward -= 0.1 * min(max(0.0, 1.0 - headway), 1.0)
        wanted.append(max(reward, 0.0))

    env.on_step = keep
    try:
        for _ in range(10):
            step = env.step(np.full(env.n_agents, 1.5))
            assert step.slots is not None and step.slots.acted.sum() > 2
            found = step.reward[step.slots.acted]
            assert found == pytest.approx(np.full(len(found), np.mean(wanted[-2:])), rel=1e-5)
    finally:
        env.on_step = None


@pytest.mark.slow
def test_humans_drive_as_fast_as_flows() -> None:
    report = evaluation_report("flow-merge-0", "human", 10, 0)
    assert report["collisions"] == 0
    assert report["mean_speed"]["mean"] == pytest.approx(8.42, rel=0.03)


@pytest.mark.parametrize("name", ["human", "sumo", "random", "go", "meter", "constant:0.5"])
def test_controls_drive_where_vehicles_come_and_go(env: TrafficEnv, name: str) -> None:
    control = controller(name)
    observation = env.reset(0)
    control.reset(env, np.random.default_rng(0))
    for _ in range(60):
        observation = env.step(control.act(observation)).observation
    assert env.live.any()


def test_control_that_is_not_for_the_road_is_refused(env: TrafficEnv) -> None:
    env.reset(0)
    with pytest.raises(ConfigError, match="platoon is not allowed in flow-merge-1"):
        controller("platoon").reset(env, np.random.default_rng(0))
    merge_0 = {"traffic": {"scenario": "flow-merge-0"}}
    for method, content in (("platoon", merge_0), ("meter", {})):
        with pytest.raises(ConfigError, match=f"method: '{method}' is not allowed: it is not for"):
            parse_run(content | {"method": method}, "run.yaml")
    parse_run(merge_0 | {"method": "meter"}, "run.yaml")


def test_metering_lets_a_vehicle_go_once_the_road_ahead_is_free_and_never_holds_it_again(
    env: TrafficEnv,
) -> None:
    control = controller("meter")
    observation = env.reset(9000)
    control.reset(env, np.random.default_rng(0))
    went: set[int] = set()
    held = 0
    for _ in range(STEPS // 2 - 1):
        actions = control.act(observation)
        for slot in np.flatnonzero(env.live):
            free = observation[slot, 2] * env.network.length > 80.0
            if free or env.occupants()[slot] in went:
                assert actions[slot] == env.action_limit
                went.add(int(env.occupants()[slot]))
            else:
                held += 1
                braking = (1.0 - observation[slot, 0] * env.limit) / (env.dt * env.held)
                assert actions[slot] == pytest.approx(np.clip(braking, -1.5, 1.5), abs=1e-4)
        observation = env.step(actions).observation
    assert held > 10 and len(went) > 3


@pytest.mark.slow
def test_metering_is_a_reference_far_above_human_driving() -> None:
    speeds = {
        name: evaluation_report("flow-merge-0", name, 1, 9100)["mean_speed"]["mean"]
        for name in ("human", "meter")
    }
    assert speeds["meter"] > 1.5 * speeds["human"]
