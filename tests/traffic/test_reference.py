"""Our traffic against Flow's own on the same SUMO, within 3 % (docs/concepts/scenarios.md)."""

from collections.abc import Callable

import numpy as np
import pytest

from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.episode_stats import EpisodeStats
from rsm.training.evaluation import evaluation_report

Drive = Callable[[TrafficEnv, int], EpisodeStats]


def test_flows_figure_eight_with_14_humans_drives_5_626_metres_per_second(
    drive_humans: Drive,
) -> None:
    with TrafficEnv(Traffic(scenario="flow-figure-eight-0")) as env:
        episodes = [drive_humans(env, seed) for seed in range(5)]
    assert [stats.collisions for stats in episodes] == [0] * 5
    assert np.mean([stats.mean_speed for stats in episodes]) == pytest.approx(5.626, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("control", "reference"), [("human", 0.2237), ("sumo", 0.2256)])
def test_the_published_figure_eight_without_learning_is_as_fast_as_flows(
    control: str, reference: float
) -> None:
    report = evaluation_report("figure-eight", control, 30, 0)
    assert report["return"]["mean"] == pytest.approx(reference, rel=0.03)
    # About 0.7 an episode; evenly spread vehicles would collide 1.6 times.
    assert 8 <= report["collisions"] <= 28


@pytest.mark.slow
def test_uniformly_random_actions_reach_0_0256_of_the_limit() -> None:
    # One episode varies by 6 %, so five would decide nothing: their mean is off by 3 % by chance.
    returns = []
    with TrafficEnv(Traffic()) as env:
        for seed in range(30):
            generator = np.random.default_rng(1000 + seed)
            env.reset(seed)
            while not env.step(generator.uniform(-3.0, 3.0, env.n_agents)).truncated:
                pass
            returns.append(env.stats().episode_return)
    assert np.mean(returns) == pytest.approx(0.0256, rel=0.03)


def test_the_junction_rule_decides_the_human_baseline(drive_humans: Drive) -> None:
    with TrafficEnv(Traffic(scenario="flow-figure-eight-0", junction="idm")) as env:
        speed = drive_humans(env, 0).mean_speed
    assert speed == pytest.approx(3.6, rel=0.03)
