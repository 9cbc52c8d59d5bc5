"""NaN and infinity: the run stops at once, names agent and place, and counts as failed everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rsm.analysis.load import load_runs
from rsm.analysis.tables import main_table
from rsm.cli.parser import main
from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig
from rsm.config.study import parse_study
from rsm.errors import RunError
from rsm.runs.checkpoint import load_checkpoint
from rsm.runs.files import CURRENT, write_json, write_table
from rsm.runs.schema import SUMMARY, TABLES
from rsm.sac.learner import Learner, Losses
from rsm.traffic.environment import Step, TrafficEnv
from rsm.training.communication import Communication
from rsm.training.run import train

from ..training.run_folders import assert_same_run


def from_call(number: int, real, change):
    """`real`, whose result goes through `change` from its `number`-th call on."""
    calls = 0

    def broken(*arguments, **options):
        nonlocal calls
        calls += 1
        result = real(*arguments, **options)
        return change(arguments[0], result) if calls >= number else result

    return broken


def bad_reward(_: TrafficEnv, step: Step) -> Step:
    reward = step.reward.copy()
    reward[5] = np.inf
    return step._replace(reward=reward)


def bad_observation(_: TrafficEnv, step: Step) -> Step:
    observation = step.observation.copy()
    observation[2, 4] = np.nan
    return step._replace(observation=observation)


def bad_actor(learner: Learner, losses: Losses) -> Losses:
    learner.theta.detach()[7, 3] = float("nan")
    return losses


def bad_critic(learner: Learner, losses: Losses) -> Losses:
    learner.critics.detach()[1, 0, 0] = float("-inf")
    return losses


def bad_alpha(learner: Learner, losses: Losses) -> Losses:
    learner.log_alpha.detach()[8] = float("inf")
    return losses


def bad_loss(_: Learner, losses: Losses) -> Losses:
    loss = losses.critic.clone()
    loss[4] = float("nan")
    return losses._replace(critic=loss)


def bad_exchange(exchange: Communication, result):
    exchange.learner.theta.detach()[6, 0] = float("nan")
    return result


BREAKS = {
    "reward": (TrafficEnv, "step", 130, bad_reward, r"reward of agent 5 is inf"),
    "observation": (TrafficEnv, "step", 130, bad_observation, r"observation of agent 2 is nan"),
    "loss": (Learner, "update", 30, bad_loss, r"critic loss of agent 4 is nan at update 30"),
    "actor": (Learner, "update", 30, bad_actor, r"actor parameter of agent 7 is nan at update 30"),
    "critic": (
        Learner,
        "update",
        30,
        bad_critic,
        r"critic parameter of agent 1 is -inf at update 30",
    ),
    "temperature": (
        Learner,
        "update",
        30,
        bad_alpha,
        r"temperature of agent 8 is inf at update 30",
    ),
    "exchange": (
        Communication,
        "hold_round",
        5,
        bad_exchange,
        r"actor parameter of agent 6 is nan at update 20",
    ),
}


def broken_run(what: str, config: RunConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    owner, name, number, change, _ = BREAKS[what]
    with monkeypatch.context() as patch:
        patch.setattr("rsm.runs.checkpoint.COST", float("inf"))
        patch.setattr(owner, name, from_call(number, getattr(owner, name), change))
        return train(config, folder)


@pytest.mark.parametrize("what", BREAKS)
def test_run_stops_at_once_and_names_quantity_agent_and_step(
    what: str, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = tiny(training={"episodes": 6}), tmp_path / "run"
    summary = broken_run(what, config, folder, monkeypatch)
    assert summary["status"] == "failed"
    place = BREAKS[what][-1] + r".*, episode \d+, step \d+$"
    assert pd.Series([summary["reason"]]).str.contains(place).all(), summary["reason"]
    assert summary["final_return"] is None and summary["final_mean_speed"] is None
    assert json.loads((folder / "manifest.json").read_text())["status"] == "failed"
    episode = int(summary["reason"].split("episode ")[1].split(",")[0])
    finished = pd.read_parquet(folder / "episodes.parquet")
    assert len(finished) == episode - 1, "it stopped in the episode in which it happened"
    found = load_checkpoint(folder, config.settings_hash)
    assert (found is not None) == (episode > 1), "the last good checkpoint is kept"
    if found is not None:
        state = found.state
        assert state["counters"]["episode"] == episode - 1
        for tensor in (
            state["learner"]["theta"],
            state["learner"]["critics"],
            state["replay"]["data"],
        ):
            assert torch.isfinite(tensor).all()


def test_evaluation_that_sees_no_numbers_ends_the_run_too(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two episodes of 30 decisions are trained, then the first evaluation.
    monkeypatch.setattr(TrafficEnv, "step", from_call(65, TrafficEnv.step, bad_observation))
    summary = train(tiny(training={"episodes": 6}), tmp_path / "run")
    assert summary["status"] == "failed"
    words = "observation of agent 2 is nan at step 50 of the episode of seed 1000000"
    assert summary["reason"] == words


def test_failed_run_is_a_result_until_its_summary_is_removed_and_then_goes_on(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = tiny(training={"episodes": 6}), tmp_path / "run"
    failed = broken_run("actor", config, folder, monkeypatch)
    assert train(config, folder) == failed, "started again it is not silently retried"
    (folder / "summary.json").unlink()
    assert train(config, folder)["status"] == "finished"
    train(config, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", folder)


def test_failed_run_is_shown_as_failed_and_never_averaged_in(tmp_path: Path) -> None:
    content = {"name": "s", "description": "d", "seeds": [0, 1, 2], "grid": {"methods": ["fmarl"]}}
    study = parse_study(content, "s")
    for config, value in zip(study.runs().values(), (0.2, 0.4, 1e9), strict=True):
        failed = value > 1
        summary = dict.fromkeys(SUMMARY) | {
            "run_id": config.run_id,
            "configuration": config.configuration,
            "settings_hash": config.settings_hash,
            "status": "failed" if failed else "finished",
            "reason": "reward of agent 1 is inf" if failed else None,
            "final_return": value,  # a stranger's: our own failed runs have none
            "final_mean_speed": value,
            "bytes_sent": value,
        }
        folder = tmp_path / config.run_id
        write_json(folder / "summary.json", summary)
        for table in TABLES:
            write_table(folder, table, [])
    runs = load_runs(study, tmp_path)
    assert runs.failed == {"fmarl-seed2": "reward of agent 1 is inf"}
    (row,) = main_table(runs).to_dict("records")
    assert row["return_iqm"] == pytest.approx(0.3) and row["mean_speed"] == pytest.approx(0.3)
    assert (row["finished"], row["failed"], row["seeds"]) == (2, 1, 3)


def sumo_fails(self, *_):
    raise self.errors[0]("Vehicle 'human3' is not known.")


@pytest.mark.parametrize("place", ["step", "reset"])
def test_failure_of_sumo_is_one_line_and_the_run_goes_on_from_its_checkpoint(
    place: str, tiny, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = tiny(training={"episodes": 6}), tmp_path / "run"
    (tmp_path / "run.yaml").write_text(dump_yaml(config))
    command = ["train", "--config", str(tmp_path / "run.yaml"), "--out", str(folder)]
    name = f"rsm.traffic.simulation.Simulation.{place}"
    from rsm.traffic.simulation import Simulation

    real, calls = getattr(Simulation, place), 0

    def breaks(self, *arguments):
        nonlocal calls
        calls += 1
        if calls == {"step": 1000, "reset": 4}[place]:
            sumo_fails(self)
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("rsm.runs.checkpoint.COST", float("inf"))
        patch.setattr(name, breaks)
        assert main(command) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "rsm: rsm-radius90-p4-k3-seed0: episode" in last and "'human3' is not known" in last
    assert "resume from the last checkpoint" in last and "Traceback" not in last
    assert (folder / CURRENT).exists() and not (folder / "summary.json").exists()
    assert main(command) == 0
    train(config, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", folder)


def test_failure_of_sumo_while_evaluating_is_one_line(
    capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsm.traffic.simulation.Simulation.step", sumo_fails)
    drive = ["--scenario", "figure-eight", "--controller", "go", "--episodes", "1"]
    assert main(["evaluate", *drive]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "rsm: SUMO failed after step 0: Vehicle 'human3' is not known."


def test_vehicles_that_sumo_does_not_insert_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from rsm.config.learning import Traffic

    with TrafficEnv(Traffic(horizon=10)) as env:
        env.simulation.ids[0] = "ghost"
        with pytest.raises(RunError, match="SUMO did not insert the vehicles ghost"):
            env.reset(0)


def test_collisions_and_teleports_are_reported_per_episode(
    tiny, tmp_path: Path, monkeypatch
) -> None:
    from rsm.traffic.simulation import Simulation

    real, steps = Simulation.step, 0

    def crash(self):
        nonlocal steps
        real(self)
        steps += 1
        if steps == 450:  # in the second episode of 300 steps
            self.collided, self.teleported = [0, 1], 1

    monkeypatch.setattr(Simulation, "step", crash)
    summary = train(tiny(traffic={"collision": "teleport"}), tmp_path / "run")
    table = pd.read_parquet(tmp_path / "run" / "episodes.parquet")
    assert table["collisions"].tolist()[1] - table["collisions"].tolist()[0] >= 2
    assert table["teleports"].tolist()[1] >= 1
    assert summary["collisions"] == table["collisions"].sum()
