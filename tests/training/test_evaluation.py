import numpy as np
import pytest

from rsm.seeding import HELD_OUT, held_out_seeds, training_seed
from rsm.traffic.environment import Step
from rsm.training.evaluation import evaluation_report
from rsm.training.finite import Diverged, require_finite_step


def test_held_out_seeds_are_never_trained_on():
    trained = {training_seed(seed, episode) for seed in range(30) for episode in range(1, 311)}
    held_out = {number for seed in range(30) for number in held_out_seeds(seed, 10)}
    assert max(trained) < HELD_OUT <= min(held_out)
    assert len(held_out) == 300 and len(trained) > 9000


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrong", [[np.nan], [np.inf], [np.inf, -np.inf]])
@pytest.mark.parametrize("quantity", ["reward", "observation"])
def test_step_that_is_not_finite_is_named_with_its_agent_and_finite_ones_pass(quantity, wrong):
    largest = np.finfo(np.float32).max  # their sum is no float32
    values = {
        "reward": np.full(3, largest, dtype=np.float32),
        "observation": np.full((3, 2), largest, dtype=np.float32),
    }
    step = Step(values["observation"], values["reward"], np.zeros(3, dtype=bool), False, False)
    require_finite_step(step, lambda: "here")
    values[quantity][1 : 1 + len(wrong)].T[...] = wrong
    with pytest.raises(Diverged, match=f"^{quantity} of agent 1 is {wrong[0]} here"):
        require_finite_step(step, lambda: "here")
