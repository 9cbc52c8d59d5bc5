import pytest
import torch

from rsm.config import ConfigError
from rsm.evaluation import (
    controller_driver,
    drive_episode,
    evaluation_report,
    load_driver,
    policy_driver,
)
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import HELD_OUT, held_out_seeds, training_seed
from rsm.traffic.environment import TrafficEnv
from rsm.training import train


def test_held_out_seeds_are_never_trained_on():
    trained = {training_seed(seed, episode) for seed in range(30) for episode in range(1, 311)}
    held_out = {number for seed in range(30) for number in held_out_seeds(seed, 10)}
    assert max(trained) < HELD_OUT <= min(held_out)
    assert len(held_out) == 300 and len(trained) > 9000


def test_mean_action_repeats_and_sampled_actions_follow_the_seed(tiny):
    policy = SquashedGaussian(6, 1, (8,), 3.0)
    theta = torch.randn(9, policy.parameter_count, generator=torch.Generator().manual_seed(0))
    with TrafficEnv(tiny().traffic) as env:
        for mode in ("deterministic", "stochastic"):
            driver = policy_driver(policy, theta, mode)
            first, second = (drive_episode(env, driver, 5) for _ in range(2))
            assert first == second
        deterministic = drive_episode(env, policy_driver(policy, theta, "deterministic"), 5)
        assert deterministic["return"] != first["return"]


def test_finished_run_can_be_driven_again_also_with_more_seats(tiny, tmp_path):
    summary = train(tiny(), tmp_path / "run")
    config, driver = load_driver(tmp_path / "run")
    with TrafficEnv(config.traffic) as env:
        seeds = held_out_seeds(config.seed, config.evaluation.episodes)
        returns = [drive_episode(env, driver, seed)["return"] for seed in seeds]
    assert sum(returns) / len(returns) == summary["final_return"]
    report = evaluation_report("figure-eight-all", str(tmp_path / "run"), 1, 0)
    assert report["scenario"] == "figure-eight-all" and 0 < report["return"]["mean"] < 1


def test_report_has_the_documented_keys_and_means_of_its_values():
    report = evaluation_report("figure-eight", "constant:1.5", 2, 3)
    assert list(report) == [
        "scenario",
        "controller",
        "episodes",
        "mean_speed",
        "return",
        "collisions",
        "steps",
        "steps_per_second",
    ]
    for key in ("mean_speed", "return"):
        assert len(report[key]["values"]) == 2
        assert report[key]["mean"] == pytest.approx(sum(report[key]["values"]) / 2)


@pytest.mark.parametrize("name", ["drunk", "constant:fast", "constant:nan", "constant"])
def test_unknown_controller_is_refused_with_what_is_allowed(name):
    with pytest.raises(ConfigError, match=r"human, random, go, platoon, constant:<m/s²>"):
        controller_driver(name)
