import json
import subprocess
import sys

import pytest

from rsm.config.study import merge, parse_study
from rsm.errors import ConfigError
from rsm.runs.folder import run_files
from rsm.runs.planning import check_run, plan, shared_parameters
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
from tests.conftest import TINY

STUDY = {
    "name": "small",
    "description": "d",
    "seeds": [0, 1],
    "grid": {"methods": ["independent", "rsm", "go"]},
    "run": TINY,
}


def runs(**changes):
    return parse_study(merge(STUDY, changes), "small").runs()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": {"topologies": ["ring", "regular:20"]}}, "rsm-regular20-.*regular:20.*9 agents"),
        ({"grid": {"segments": [4, 60_000]}}, r"rsm-.*communication\.segments: 60000"),
        ({"run": {"training": {"episodes": 1}, "sac": {"learning_starts": 31}}}, "30 decisions"),
        (
            {
                "run": {
                    "training": {"episodes": 1},
                    "sac": {"learning_starts": 26, "update_every": 25},
                }
            },
            "would never learn",
        ),
    ],
)
def test_run_that_cannot_start_or_never_learns_is_found_before_anything_trains(
    changes, words, tmp_path
):
    with pytest.raises(ConfigError, match=words):
        plan("small", runs(**changes), tmp_path, rebuild=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", ["actor", "actor+critic"])
@pytest.mark.parametrize("observation", ["absolute", "relative"])
def test_parameters_shared_are_those_of_the_run(share, observation, tiny):
    config = tiny(communication={"share": share}, traffic={"observation": observation})
    with TrafficEnv(config.traffic) as env:
        assert shared_parameters(config) == Training(config, env).parameters
    check_run(config)


def test_plan_is_made_without_loading_torch():
    code = "import sys, rsm.runs.planning, rsm.runs.outcome; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def leave(folder, config, **changes):
    """Write the files of a finished run that planning reads."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"status": "finished", "settings_hash": config.settings_hash}
    content |= {"episodes": config.training.episodes} | changes
    (folder / "summary.json").write_text(json.dumps(content))


def test_study_says_how_many_finished_runs_it_would_retrain_and_stops(tmp_path):
    for run_id, config in runs().items():
        leave(tmp_path / run_id, config)
    plan("small", runs(), tmp_path, rebuild=False)
    changed = runs(run={"sac": {"tau": 0.5}}, seeds=[0, 1, 2])
    with pytest.raises(ConfigError, match=r"6 of 9 runs .* rebuild=true"):
        plan("small", changed, tmp_path, rebuild=False)
    plan("small", changed, tmp_path, rebuild=True)
    for run_id in ("rsm-radius90-p4-k3-seed0", "go-seed1"):
        (tmp_path / run_id / "summary.json").unlink()
    with pytest.raises(ConfigError, match="4 of 9 runs"):
        plan("small", changed, tmp_path, rebuild=False)


def test_study_is_not_continued_on_another_kind_of_device(tmp_path):
    known = runs()
    learners = [run_id for run_id, config in known.items() if config.learns]
    for run_id in known:
        leave(tmp_path / run_id, known[run_id])
        for name in run_files(known[run_id]):
            (tmp_path / run_id / name).touch()  # leaves the summary as it is
        device = "cuda:0" if run_id in learners else "cpu"
        (tmp_path / run_id / "manifest.json").write_text(json.dumps({"device": device}))
    plan("small", known, tmp_path, rebuild=False)  # nothing is left to train
    (tmp_path / learners[-1] / "summary.json").unlink()
    plan("small", known, tmp_path, rebuild=False, device="cuda:1")
    with pytest.raises(
        ConfigError, match=r"device: cpu is not allowed: .*Go on with device=cuda, or"
    ):
        plan("small", known, tmp_path, rebuild=False)


def test_raised_episodes_stop_a_study_only_where_they_cannot_be_continued(tmp_path):
    for run_id, config in runs().items():
        leave(tmp_path / run_id, config)
    longer, shorter = (runs(run={"training": {"episodes": n}}) for n in (9, 2))
    with pytest.raises(ConfigError, match=r"4 of 6 runs .*training\.keep_checkpoint"):
        plan("small", longer, tmp_path, rebuild=False)
    for run_id in longer:
        (tmp_path / run_id / "checkpoint.pt").touch()
    plan("small", longer, tmp_path, rebuild=False)
    with pytest.raises(ConfigError, match="4 of 6 runs .*more than the 2 asked for"):
        plan("small", shorter, tmp_path, rebuild=False)
