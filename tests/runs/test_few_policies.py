import json

import pytest
import torch
from safetensors.torch import save_file

from rsm.config.run import RunConfig, load_run
from rsm.errors import ConfigError
from rsm.runs.few_policies import LARGEST, chosen, write_policies
from rsm.runs.policy import load_actors
from rsm.sac.policy import SquashedGaussian

OBSERVED = 14
POLICY = SquashedGaussian(OBSERVED, 1, (16, 16), 1.0)


def finished(folder, returns, method="independent", hidden=POLICY, agents=3):
    """A run per final return, with random policies; None for one that failed."""
    runs = {}
    for seed, score in enumerate(returns):
        config = RunConfig(method=method, seed=seed)
        runs[config.run_id] = config
        place = folder / config.run_id
        place.mkdir(parents=True)
        (place / "summary.json").write_text(json.dumps({"final_return": score}))
        tensors = {
            "theta": torch.randn(agents, hidden.parameter_count),
            "critics": torch.zeros(agents, 99),
            "sizes": torch.tensor(hidden.sizes),
            "action_scale": torch.tensor(hidden.scale),
        }
        save_file(tensors, place / "policy.safetensors")
    return runs


def test_best_median_and_worst_run_of_each_configuration_are_chosen(tmp_path):
    runs = finished(tmp_path, [0.3, 0.1, None, 0.5, 0.2, 0.4])
    runs |= finished(tmp_path, [0.1], "fmarl")
    places = {one.run_id: one.place for one in chosen(runs, tmp_path)}
    assert places == {
        "independent-seed0": "median",
        "independent-seed3": "best",
        "independent-seed1": "worst",
        "fmarl-seed0": "median+best+worst",
    }


def test_actors_are_kept_as_float16_and_drive_as_they_did(tmp_path):
    runs = finished(tmp_path / "runs", [0.1])
    out = tmp_path / "out"
    write_policies(runs, tmp_path / "runs", out)
    _, before = load_actors(tmp_path / "runs" / "independent-seed0", OBSERVED, 1)
    policy, after = load_actors(out / "independent-seed0", OBSERVED, 1)
    assert policy.sizes == POLICY.sizes and after.dtype == torch.float32
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert load_run(out / "independent-seed0/config.yaml") == runs["independent-seed0"]
    size = (out / "independent-seed0/policy.safetensors").stat().st_size
    assert size < 2 * before.numel() + 1000


def test_what_would_be_too_large_is_the_median_run_and_then_one_agent_of_it(tmp_path):
    wide = SquashedGaussian(OBSERVED, 1, (256, 256), 1.0)  # 140 kB an agent
    for agents, kept, files in ((6, 6, 3), (15, 15, 1), (40, 1, 1)):
        folder, out = tmp_path / f"{agents}", tmp_path / f"out{agents}"
        runs = finished(folder, [0.1, 0.2, 0.3], hidden=wide, agents=agents)
        paths = write_policies(runs, folder, out)
        policies = [path for path in paths if path.suffix == ".safetensors"]
        assert len(policies) == files and sum(p.stat().st_size for p in paths) <= LARGEST
        _, theta = load_actors(out / "independent-seed1", OBSERVED, 1)
        assert len(theta) == kept
        rows = (out / "policies.csv").read_text().splitlines()
        assert len(rows) == 1 + files and rows[1].endswith(f",{kept}")


def test_study_without_a_finished_run_has_no_policies(tmp_path):
    runs = finished(tmp_path, [None])
    with pytest.raises(ConfigError, match="no run in .* has finished"):
        write_policies(runs, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
