"""Synthetic studies: run folders with made-up numbers of plausible size. Nothing was trained."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rsm.analysis import figures
from rsm.analysis.figures import style
from rsm.analysis.load import Runs, load_runs
from rsm.analysis.trajectories import trajectory_runs
from rsm.config.catalogue import METHODS
from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig
from rsm.config.study import Study, load_study, parse_study
from rsm.runs.files import write_json, write_parquet, write_table, write_text
from rsm.runs.schema import SERVER, TABLES, trajectory_table

AGENTS = 9
PARAMETERS = 4866
CONTROL_RETURNS = {"human": 0.2237, "random": 0.0256, "go": 0.19, "platoon": 0.262}
FINAL_RETURNS = {
    "independent": 0.185,
    "average": 0.205,
    "segment-average": 0.208,
    "fmarl": 0.215,
    "rsm": 0.212,
}


def load_study_runs(results: Path) -> Runs:
    """The runs of the resolved study `<results>/study.yaml`."""
    return load_runs(load_study(results / "study.yaml"), results / "runs")


def redrawn(name: str, data: pd.DataFrame) -> tuple[pd.DataFrame, Figure]:
    """The data of a figure as read back from CSV, and the figure laid out."""
    data = pd.read_csv(io.StringIO(data.to_csv(index=False)))
    with mpl.rc_context(fname=style.SHEET):
        figure = figures.module(name).draw(data)
        figure.draw_without_rendering()
    return data, figure


def texts(figure: Figure) -> str:
    return "\n".join(item.get_text() for item in figure.findobj(mpl.text.Text))


# The methods of the paper; defences against bad neighbours run in studies of their own.
PUBLISHED = [name for name, traits in METHODS.items() if not traits.resilient]


def small_study(**grid: Any) -> Study:
    """3 seeds, two topologies, two P, two rules, every method and control."""
    wanted = {
        "methods": [*PUBLISHED, "human", "random", "go", "platoon"],
        "topologies": ["radius:90", "ring"],
        "segments": [1, 4],
        "rules": ["theorem2", "trust-region"],
    }
    seeds = grid.pop("seeds", [0, 1, 2])
    content = {"name": "synthetic", "description": "Made up for tests.", "seeds": seeds}
    run = {"training": {"episodes": grid.pop("episodes", 30)}}
    return parse_study(content | {"grid": wanted | grid, "run": run}, "synthetic study")


def write_study(
    study: Study, folder: Path, accepted: bool = True, failed: tuple[str, ...] = ()
) -> Path:
    """Write `folder/<name>/study.yaml` and a folder for every run; returns `folder/<name>`."""
    results = folder / study.name
    write_text(results / "study.yaml", dump_yaml(study))
    for run_id, config in study.runs().items():
        write_run(config, results / "runs" / run_id, accepted, run_id in failed)
    for run_id in trajectory_runs(study):
        write_trajectory(results, study.runs()[run_id], run_id in failed)
    return results


def write_trajectory(
    results: Path,
    config: RunConfig,
    failed: bool = False,
    loops: int = 1,
    columns: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """What `rsm trajectory` leaves: 20 s of 14 vehicles per loop, the first of them learning, or `columns`."""
    time, vehicle = (grid.ravel() for grid in np.mgrid[0:21, 0 : 14 * loops])
    speed = 5 + 4 * np.sin(time / 3 + vehicle)
    columns = columns or {
        "time": time.astype(float), "vehicle": vehicle, "route": vehicle // 14,
        "position": (30.0 * vehicle + 5 * time) % 420, "speed": speed, "learner": vehicle % 14 == 0,
    }  # fmt: skip
    about = {
        "run_id": config.run_id, "settings_hash": config.settings_hash, "eval_seed": 1_000_000,
        "mean_speed": 4.4, "collisions": 0, "horizon": 20.0, "ranges": [[0.0, 420.0]] * loops,
        "period": 420.0, "meetings": [34.7, 245.67],
    } | (about or {})  # fmt: skip
    table = trajectory_table({} if failed else columns, about)
    write_parquet(results / "space_time" / f"{config.run_id}.parquet", table)


def write_run(config: RunConfig, folder: Path, accepted: bool, failed: bool) -> None:
    """One run folder as rsm.runs.schema describes it."""
    rng = np.random.default_rng([*config.configuration.encode(), config.seed])
    traits = METHODS.get(config.method)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    level = (CONTROL_RETURNS | FINAL_RETURNS).get(config.method, 0.2)  # a later method: any
    level += rng.normal(0, 0.008) + (0.01 if config.communication.topology == "ring" else 0)
    exchanges = traits is not None and traits.exchanges
    if exchanges:
        _communicate(config, rng, tables, accepted)
    episodes = config.training.episodes if traits else 0
    for episode in range(0, episodes + 1, config.evaluation.every) if traits else [0]:
        done = episode / episodes if traits else 1.0
        steps = int(1500 * episode * (0.97 + 0.03 * rng.random()))
        sent = [row["bytes_sent"] for row in tables["rounds"] if row["episode"] <= episode]
        for mode in ("deterministic", "stochastic"):
            for seed in range(3):
                value = level * (0.25 + 0.75 * (1 - np.exp(-4 * done))) + rng.normal(0, 0.006)
                value = value if traits else level  # a control has learned all it will
                tables["evaluations"].append(
                    {
                        "episode": episode, "env_steps": steps, "bytes_sent": sum(sent),
                        "mode": mode, "eval_seed": 10_000 + seed, "return": value,
                        "mean_speed": value * 20, "collisions": int(seed == 1 and mode == "deterministic"),
                        "teleports": 0, "steps": 1500,
                    }
                )  # fmt: skip
    tables["episodes"] = [{"episode": e, "env_steps": 1500 * e} for e in range(1, episodes + 1)]
    for name, rows in tables.items():
        write_table(folder, name, rows)
    if config.own_returns:
        write_table(folder, "agents", _agents(config, tables["evaluations"]))
    write_text(folder / "config.yaml", dump_yaml(config))
    write_json(folder / "manifest.json", {"seed": config.seed})
    write_json(folder / "summary.json", _summary(config, tables, level, rng, failed))


def _agents(config: RunConfig, evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Agents 0, 1, … are slow, the next new and the last lie; agent i earns i/1000 more than the mean."""
    slow, new = config.slow.agents, config.slow.agents + config.restarts.agents
    sizes = (14, 10, 18) if config.traffic.scenario.startswith("mixed") else (14,)
    return [
        {
            "episode": row["episode"], "mode": row["mode"], "eval_seed": row["eval_seed"], "agent": agent,
            "return": row["return"] + (agent - 4) / 1000, "loop": f"{sizes[agent % len(sizes)]} vehicles",
            "slow": config.learns and agent < slow,
            "newcomer": config.learns and slow <= agent < new,
            "attacker": config.learns and agent >= AGENTS - config.attack.agents,
        }
        for row in evaluations
        for agent in range(AGENTS)
    ]  # fmt: skip


def _communicate(
    config: RunConfig, rng: np.random.Generator, tables: dict[str, Any], accepted: bool
) -> None:
    neighbours = 2 if config.communication.topology == "ring" else 5
    pairs: dict[tuple[int, int], dict[str, Any]] = {}
    per_episode, size = 2, PARAMETERS * 4
    for number in range(1, config.training.episodes * per_episode + 1):
        episode = (number - 1) // per_episode + 1
        steps = int(750 * number)
        senders = {
            agent: [(agent + 1 + hop) % AGENTS for hop in range(neighbours)]
            for agent in range(AGENTS)
        }
        if config.method == "fmarl":
            links = [(agent, SERVER, size) for agent in range(AGENTS)]
            links += [(SERVER, agent, size) for agent in range(AGENTS)]
        elif config.method == "average":
            links = [(j, i, size) for i, others in senders.items() for j in others]
        else:
            share = min(3, neighbours) * size // neighbours
            links = [(j, i, share) for i, others in senders.items() for j in others]
        judged, mixed = 0, 0
        if config.method == "rsm":
            judged, mixed = _judge(config, rng, number, steps, senders, tables["zeta"], accepted)
        for sender, receiver, payload in links:
            pair = pairs.setdefault(
                (sender, receiver),
                {"sender": sender, "receiver": receiver, "messages": 0, "request_bytes": 0,
                 "header_bytes": 0, "payload_bytes": 0, "lost": 0, "judged": 0, "accepted": 0,
                 "last_round_bytes": 0},
            )  # fmt: skip
            pair["messages"] += 2
            pair["request_bytes"] += 40
            pair["header_bytes"] += 40
            pair["payload_bytes"] += payload
            pair["last_round_bytes"] = payload + 80
            pair["judged"] += 3 if config.method == "rsm" else 0
            pair["accepted"] += int(rng.binomial(3, mixed / judged)) if judged else 0
        payload = sum(link[2] for link in links)
        tables["rounds"].append(
            {
                "round": number, "episode": episode, "env_steps": steps, "updates": number * 8,
                "links": len(links), "messages": 2 * len(links), "request_bytes": 40 * len(links),
                "header_bytes": 40 * len(links), "payload_bytes": payload,
                "bytes_sent": payload + 80 * len(links), "lost": 0, "refused": 0,
                "heaviest_share": 0.5 if config.method == "fmarl" else 0.25, "judged": judged,
                "accepted": mixed, "identical": 0, "zeta_mean": float("nan"), "spread": 0.1,
            }
        )  # fmt: skip
    tables["exchange"] = list(pairs.values())


def _judge(
    config: RunConfig,
    rng: np.random.Generator,
    number: int,
    steps: int,
    senders: dict[int, list[int]],
    trace: list[dict[str, Any]],
    accepted: bool,
) -> tuple[int, int]:
    rows, late = 0, number / (2 * config.training.episodes)
    timed = config.communication.timed
    for agent, others in senders.items():
        for replica in range(1, min(3, len(others)) + 1):
            gain = rng.normal(0.02 * (1 - 1.2 * late), 0.02)
            if not accepted:
                gain = -abs(gain)
            form = float(np.exp(rng.normal(-2 - 4 * late, 1.2)))
            usual = config.mixing.rule == "theorem2"
            bound = float(np.sqrt(2 * gain / (500 * form))) if gain > 0 else float("nan")
            zeta = bound if usual else float(min(0.8, np.sqrt(0.02 / form)))
            rows += gain > 0
            trace.append(
                {
                    "round": number, "env_steps": steps, "agent": agent, "replica": replica,
                    "sources": others, "advantage": gain, "epsilon": 0.05,
                    "quadratic_form": form, "constant": 500.0, "bound": bound,
                    "zeta": min(0.8, zeta) if gain > 0 else 0.0,
                    "outcome": "accepted" if gain > 0 else "rejected", "lost_segments": 0,
                    "segment_ages": [6 * rng.random() if timed else 0.0 for _ in others],
                    "segment_updates": [number % 5 if timed else 0 for _ in others],
                }
            )  # fmt: skip
    return len(senders) * min(3, len(next(iter(senders.values())))), rows


def _summary(
    config: RunConfig,
    tables: dict[str, Any],
    level: float,
    rng: np.random.Generator,
    failed: bool,
) -> dict[str, Any]:
    traits = METHODS.get(config.method)
    rounds = tables["rounds"]
    sums = {
        key: sum(row[key] for row in rounds)
        for key in ("messages", "bytes_sent", "payload_bytes", "judged", "accepted")
    }
    content: dict[str, Any] = {
        "run_id": config.run_id,
        "configuration": config.configuration,
        "settings_hash": config.settings_hash,
        "status": "finished",
        "method": config.method,
        "topology": config.communication.topology if traits and traits.topology else None,
        "segments": config.communication.segments if traits and traits.segments else None,
        "replicas": config.communication.replicas if traits and traits.segments else None,
        "rule": config.mixing.rule if traits and traits.judged else None,
        "share": "actor" if rounds else None,
        "loss_rate": 0.0 if rounds else None,
        "seed": config.seed,
        "scenario": config.traffic.scenario,
        "agents": AGENTS,
        "parameters": PARAMETERS,
        "final_return": level,
        "final_return_stochastic": level - 0.01,
        "final_return_worst": level - 0.004 if config.own_returns else None,
        "final_mean_speed": level * 20,
        "env_steps": 1500 * config.training.episodes if traits else 0,
        "updates": len(rounds) * 8,
        "updates_not_made": 100 * config.slow.agents if traits else 0,
        "rounds": len(rounds),
        **sums,
        "payload_per_agent": sums["payload_bytes"] / AGENTS,
        "heaviest_share": rounds[0]["heaviest_share"] if rounds else None,
        "acceptance_rate": sums["accepted"] / sums["judged"] if sums["judged"] else None,
        "zeta_mean": 0.1 if sums["accepted"] else None,
        "collisions": 0,
        "wall_s": float(30 + rng.random()),
    }
    if failed:
        content |= {"status": "failed", "reason": "SUMO stopped", "final_return": None}
    return content


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small study; read only."""
    return write_study(small_study(), tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def runs(results: Path) -> Runs:
    """The runs of the finished small study."""
    return load_study_runs(results)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a study of one's own: `make(grid…, accepted=…, failed=…)` → its results folder."""

    def build(accepted: bool = True, failed: tuple[str, ...] = (), **grid: Any) -> Path:
        return write_study(small_study(**grid), tmp_path / "made", accepted, failed)

    return build
