import pytest
import torch

from rsm.errors import ConfigError
from rsm.runs.policy import load_actors, load_policy, save_policy
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training


def test_policy_is_readable_and_a_missing_one_is_named(tiny, tmp_path):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        learner = Training(config, env).learner
        save_policy(tmp_path, learner, config.settings_hash)
        tensors = load_policy(tmp_path)
        policy, theta = load_actors(tmp_path, env.observation_size, env.action_size)
    assert torch.equal(tensors["critics"], learner.critics.detach())
    assert torch.equal(theta, learner.theta.detach()) and policy == learner.policy
    with pytest.raises(ConfigError, match=r"policy\.safetensors: cannot be read"):
        load_policy(tmp_path / "nowhere")


def test_policy_of_other_sizes_is_not_driven_with(tiny, tmp_path):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        save_policy(tmp_path, Training(config, env).learner, config.settings_hash)
        with pytest.raises(ConfigError, match="it is not the policy of a run"):
            load_actors(tmp_path, env.observation_size + 1, env.action_size)
