"""Measuring a driver, learned or not, on seeds that training never uses."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import Driver, resolve_driver
from rsm.training.finite import require_finite_step
from rsm.training.roster import Agents


def drive_episode(env: TrafficEnv, driver: Driver, seed: int) -> dict[str, Any]:
    """Drive one episode; its return, mean speed (m/s), collisions, teleports and steps.

    Raises Diverged for a reward or an observation that is not finite.
    """

    def place() -> str:
        return f"at step {env.stats().steps} of the episode of seed {seed}"

    observation = env.reset(seed)
    act = driver(env, seed)
    while True:
        step = env.step(act(observation))
        require_finite_step(step, place)
        if step.over:
            break
        observation = step.observation
    stats = env.stats()
    return {
        "return": stats.episode_return,
        "mean_speed": stats.mean_speed,
        "collisions": stats.collisions,
        "teleports": stats.teleports,
        "steps": stats.steps,
    }


def agent_returns(env: TrafficEnv, driver: Driver, seed: int) -> NDArray[np.float64]:
    """Return of every agent in one episode, `[N]`. Agents of one loop share it."""
    drive_episode(env, driver, seed)
    return env.agent_returns()


class Evaluation(NamedTuple):
    """Rows of the tables `evaluations` and `agents`, without the columns of the training loop."""

    evaluations: list[dict[str, Any]]
    agents: list[dict[str, Any]]


def evaluate(
    env: TrafficEnv, drivers: dict[str, Driver], seeds: Iterable[int], agents: Agents
) -> Evaluation:
    """Drive each mode on each held-out seed. `agents` say what they are; none under a team reward.

    The return of an episode is that of the honest agents.
    """
    found = Evaluation([], [])
    for seed in seeds:
        for mode, driver in drivers.items():
            episode = {"mode": mode, "eval_seed": seed}
            row = drive_episode(env, driver, seed)
            row["return"] = honest_return(env, agents)
            found.evaluations.append(episode | row)
            if agents:
                returns = env.agent_returns().tolist()
                found.agents.extend(
                    episode | agent | {"return": value}
                    for agent, value in zip(agents, returns, strict=True)
                )
    return found


def honest_return(env: TrafficEnv, agents: Agents) -> float:
    """Return of the episode so far, mean over the agents that are not attackers.

    The returns of attackers say nothing about a method. Under a team reward agents have no returns of their
    own, and `agents` is empty.
    """
    honest = [not agent["attacker"] for agent in agents]
    if all(honest):
        return env.stats().episode_return
    return float(env.agent_returns()[honest].mean())


def evaluation_report(scenario: str | None, name: str, episodes: int, seed: int) -> dict[str, Any]:
    """What `rsm evaluate --json` prints: means, standard deviations and values over the episodes.

    `return_without_collision` is over the episodes that had none, with a mean of None where there is
    no such episode: where SUMO moves a vehicle on, a collision frees the crossing.
    """
    traffic, driver = resolve_driver(name, scenario)
    with TrafficEnv(traffic) as env:
        start = time.perf_counter()
        rows = [drive_episode(env, driver, seed + number) for number in range(episodes)]
        wall_s = time.perf_counter() - start
    steps = sum(row["steps"] for row in rows)
    untroubled = [row for row in rows if not row["collisions"]]

    def statistics(column: str, rows: list[dict[str, Any]] = rows) -> dict[str, Any]:
        values = [float(row[column]) for row in rows]
        mean = float(np.mean(values)) if values else None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return {"mean": mean, "std": spread, "values": values}

    return {
        "scenario": traffic.scenario,
        "controller": name,
        "episodes": episodes,
        "mean_speed": statistics("mean_speed"),
        "return": statistics("return"),
        "return_without_collision": statistics("return", untroubled),
        "collision": traffic.on_collision,
        "collisions": sum(row["collisions"] for row in rows),
        "steps": steps,
        "steps_per_second": steps / wall_s,
    }
