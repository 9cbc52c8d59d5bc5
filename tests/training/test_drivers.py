import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from rsm.config.run import POLICY, RunConfig
from rsm.errors import ConfigError
from rsm.runs.policy import load_policy
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import held_out_seeds
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import (
    controller_driver,
    driver_name,
    learner_drivers,
    load_driver,
    policy_driver,
)
from rsm.training.evaluation import drive_episode, evaluation_report
from rsm.training.loop import Training
from rsm.training.run import train


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


def test_driver_is_named_as_a_reader_knows_it(tiny, tmp_path):
    for config in (tiny(), tiny(method="human")):
        train(config, tmp_path / config.method)
    assert driver_name(str(tmp_path / tiny().method)) == tiny().run_id
    assert driver_name(str(tmp_path / "human")) == driver_name("human") == "human"
    assert driver_name("constant:1.5") == "constant:1.5"


def test_finished_run_can_be_driven_again_also_with_more_seats(tiny, tmp_path):
    summary = train(tiny(), tmp_path / "run")
    config, driver = load_driver(tmp_path / "run")
    with TrafficEnv(config.traffic) as env:
        seeds = held_out_seeds(config.seed, config.evaluation.episodes)
        returns = [drive_episode(env, driver, seed)["return"] for seed in seeds]
    assert sum(returns) / len(returns) == summary["final_return"]
    own = evaluation_report(None, str(tmp_path / "run"), len(seeds), seeds[0])
    assert own["return"]["values"] == returns and own["scenario"] == config.traffic.scenario
    report = evaluation_report("figure-eight-all", str(tmp_path / "run"), 1, 0)
    assert report["scenario"] == "figure-eight-all" and 0 < report["return"]["mean"] < 1


def test_untrained_drives_as_a_run_of_its_seed_and_settings_begins(tiny, tmp_path):
    world = {
        "scenario": "fleet-figure-eight:2",
        "actions": "target-speed",
        "observation": "relative",
    }
    config = tiny(method="untrained", traffic=world, seed=3)
    train(config, tmp_path / "run")
    rows = pq.read_table(tmp_path / "run" / "evaluations.parquet").to_pylist()
    learning = config.model_copy(update={"method": "independent"})
    with TrafficEnv(learning.traffic) as env:
        driver = learner_drivers(Training(learning, env).learner)["deterministic"]
        expected = [drive_episode(env, driver, row["eval_seed"]) for row in rows]
    assert len(rows) == config.evaluation.control_episodes
    assert [row["return"] for row in rows] == [row["return"] for row in expected]
    again = evaluation_report(None, str(tmp_path / "run"), 1, rows[0]["eval_seed"])
    assert again["return"]["values"] == [rows[0]["return"]]


def test_untrained_by_name_drives_with_the_default_settings():
    report = evaluation_report("figure-eight", "untrained", 1, 5)
    with TrafficEnv(RunConfig().traffic) as env:
        driver = learner_drivers(Training(RunConfig(), env).learner)["deterministic"]
        assert report["return"]["values"] == [drive_episode(env, driver, 5)["return"]]


def test_policy_of_a_run_that_failed_is_refused(tiny, tmp_path):
    folder = tmp_path / "run"
    train(tiny(), folder)
    tensors = load_policy(folder)
    tensors["theta"][3] = torch.nan
    save_file(tensors, folder / POLICY)
    with pytest.raises(
        ConfigError, match=r"policy\.safetensors: it has values that are not finite"
    ):
        load_driver(folder)


@pytest.mark.parametrize("name", ["drunk", "constant:fast", "constant:nan", "constant"])
def test_unknown_controller_is_refused_with_what_is_allowed(name):
    with pytest.raises(
        ConfigError, match=r"human, sumo, random, go, platoon, meter, untrained, constant:<m/s²>"
    ):
        controller_driver(name)


@pytest.mark.parametrize("method", ["independent", "go"])
@pytest.mark.parametrize("text", ["", "# emptied", "method: average"])
def test_run_folder_whose_settings_are_gone_or_of_another_run_is_refused(
    method, text, tiny, tmp_path
):
    train(tiny(method=method), tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: it (is empty|is not of the run)"):
        load_driver(tmp_path)
