import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from rsm.errors import ConfigError
from rsm.runs.policy import POLICY, load_policy
from rsm.runs.schema import RECORDING, RECORDING_KEY
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import HELD_OUT, held_out_seeds, training_seed
from rsm.traffic.environment import TrafficEnv
from rsm.training.evaluation import (
    controller_driver,
    drive_episode,
    driver_name,
    evaluation_report,
    last_exchange,
    load_driver,
    policy_driver,
    record_run,
)
from rsm.training.loop import train


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


@pytest.mark.parametrize("method", ["average", "fmarl", "independent"])
def test_last_exchange_of_a_run_holds_each_pair_once_with_the_bytes_both_ways(
    method, tiny, tmp_path
):
    folder = tmp_path / "run"
    train(tiny(method=method, communication={"topology": "ring"}), folder)
    links = last_exchange(str(folder))
    pairs = {tuple(sorted(pair)) for pair in links[:, :2].tolist()}
    expected = {
        "average": {tuple(sorted((agent, (agent + 1) % 9))) for agent in range(9)},
        "fmarl": {(-1, agent) for agent in range(9)},
        "independent": set(),
    }
    assert pairs == expected[method] and len(pairs) == len(links)
    rounds = pd.read_parquet(folder / "rounds.parquet")
    assert links[:, 2].sum() == rounds["bytes_sent"].tail(1).sum()


def test_no_exchange_is_known_of_a_control_and_of_an_older_run(tmp_path):
    assert last_exchange("human").shape == (0, 3)
    older = pd.DataFrame({"sender": [0], "receiver": [1], "payload_bytes": [8]})
    older.to_parquet(tmp_path / "exchange.parquet")
    assert last_exchange(str(tmp_path)).shape == (0, 3)
    (tmp_path / "exchange.parquet").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=r"exchange\.parquet: cannot be read"):
        last_exchange(str(tmp_path))


@pytest.mark.parametrize("method", ["rsm", "human"])
def test_recording_of_a_run_is_its_held_out_episode_every_second(method, tiny, tmp_path):
    config = tiny(method=method, seed=3, evaluation={"episodes": 1, "control_episodes": 1})
    summary = train(config, tmp_path / "run")
    table = record_run(tmp_path / "run")
    assert set(table.column_names) == set(RECORDING)
    about = json.loads(table.schema.metadata[RECORDING_KEY])
    assert about["settings_hash"] == config.settings_hash
    assert about["eval_seed"] == held_out_seeds(3, 1)[0]
    assert about["mean_speed"] == summary["final_mean_speed"]
    frame = table.to_pandas()
    assert (frame.groupby("time").size() == 14).all()
    assert set(frame["time"].diff().dropna().round(6)) <= {0.0, 1.0}
    assert frame["position"].between(0, about["loop_length"]).all()
    assert frame.groupby("vehicle")["learner"].first().sum() == 9
    assert record_run(tmp_path / "run").equals(table)


def test_recording_of_a_failed_run_is_empty_and_of_an_unfinished_one_refused(tiny, tmp_path):
    config, folder = tiny(method="human"), tmp_path / "run"
    train(config, folder)
    content = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(content | {"status": "failed"}))
    assert len(record_run(folder)) == 0
    (folder / "summary.json").unlink()
    with pytest.raises(ConfigError, match="no finished run"):
        record_run(folder)


def test_report_has_the_documented_keys_and_means_of_its_values():
    report = evaluation_report("figure-eight", "constant:1.5", 2, 3)
    assert list(report) == [
        "scenario",
        "controller",
        "episodes",
        "mean_speed",
        "return",
        "return_without_collision",
        "collision",
        "collisions",
        "steps",
        "steps_per_second",
    ]
    for key in ("mean_speed", "return"):
        assert len(report[key]["values"]) == 2
        assert report[key]["mean"] == pytest.approx(sum(report[key]["values"]) / 2)


def test_report_gives_the_return_of_episodes_without_a_collision_beside_the_return_of_all():
    report = evaluation_report("figure-eight", "human", 8, 0)
    assert report["collision"] == "teleport"
    clear = report["return_without_collision"]["values"]
    assert 0 < len(clear) < 8, "no longer a sample of both: choose other seeds"
    assert set(clear) < set(report["return"]["values"])
    assert np.mean(clear) < report["return"]["mean"], "a collision frees the crossing"


@pytest.mark.parametrize("name", ["drunk", "constant:fast", "constant:nan", "constant"])
def test_unknown_controller_is_refused_with_what_is_allowed(name):
    with pytest.raises(ConfigError, match=r"human, sumo, random, go, platoon, constant:<m/s²>"):
        controller_driver(name)
