"""What attackers send, and that nothing else of them changes."""

import numpy as np
import pytest
import torch

from rsm.config.catalogue import ATTACKS as NAMES
from rsm.errors import ConfigError
from rsm.exchange.attacks import sent_parameters
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
from rsm.training.run import train

AGENTS, LENGTH = 7, 2000
ATTACKERS = [1, 4]
HONEST = [0, 2, 3, 5, 6]


def theta(seed: int = 0) -> torch.Tensor:
    return 0.3 * torch.randn(AGENTS, LENGTH, generator=torch.Generator().manual_seed(seed))


def sent(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return sent_parameters(kind, theta(), theta(1), ATTACKERS, generator)


@pytest.mark.parametrize("kind", NAMES)
def test_honest_agents_send_what_they_have(kind):
    assert torch.equal(sent(kind)[HONEST], theta()[HONEST])
    before = theta()
    assert torch.equal(before, theta()), "the true parameters are not touched"


def test_what_attackers_send():
    own, honest = theta()[ATTACKERS], theta()[HONEST]
    assert torch.equal(sent("sign-flip")[ATTACKERS], -own)
    assert torch.equal(sent("zero")[ATTACKERS], torch.zeros_like(own))
    assert torch.equal(sent("scaled")[ATTACKERS], 10 * own)
    assert torch.equal(sent("stale")[ATTACKERS], theta(1)[ATTACKERS])
    assert torch.equal(sent("liar")[ATTACKERS], own)
    torch.testing.assert_close(sent("ipm")[1], -0.5 * honest.mean(dim=0))
    noise = sent("gaussian")[ATTACKERS]
    assert float(noise.mean().abs()) < 0.02
    torch.testing.assert_close(noise.std(dim=1), own.std(dim=1), rtol=0.1, atol=0)
    assert not torch.equal(noise[0], noise[1])


def test_alie_stays_within_the_spread_of_the_honest():
    """Seven agents, two attackers: two supporters are needed, z = Φ⁻¹(3/5) (Baruch 2019)."""
    honest = theta()[HONEST].numpy()
    expected = honest.mean(axis=0) - 0.2533471 * honest.std(axis=0)
    for attacker in ATTACKERS:
        np.testing.assert_allclose(sent("alie")[attacker], expected, rtol=1e-4, atol=1e-6)


def test_attackers_are_chosen_by_the_seed_and_the_learner_keeps_the_true_parameters(tiny):
    found = []
    for seed in (1, 1, 2):
        config = tiny(method="average", seed=seed, attack={"agents": 3, "kind": "zero"})
        with TrafficEnv(config.traffic) as env:
            run = Training(config, env)
        assert run.exchange is not None
        found.append(run.exchange.attackers)
        assert len(set(found[-1])) == 3
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_attack_changes_what_an_averaging_agent_learns_and_nothing_of_learning_alone(
    tiny, tmp_path
):
    finals = {}
    for method in ("average", "independent"):
        for count in (0, 3):
            attack = {"agents": count, "kind": "sign-flip"}
            folder = tmp_path / f"{method}{count}"
            finals[method, count] = train(tiny(method=method, attack=attack), folder)
    alone = [finals["independent", count]["final_return"] for count in (0, 3)]
    assert alone[0] == alone[1]
    assert finals["average", 0]["final_return"] != finals["average", 3]["final_return"]


def test_attack_without_anybody_honest_is_refused(tiny):
    config = tiny(method="average", attack={"agents": 9})
    with TrafficEnv(config.traffic) as env, pytest.raises(ConfigError, match=r"attack.agents: 9"):
        Training(config, env)
