"""Measuring a driver, learned or not, on seeds that training never uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.checkpoint import load_policy
from rsm.config import ConfigError, RunConfig, Traffic, load_run
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import Stream, numpy_generator, torch_generator
from rsm.traffic.controllers import controller
from rsm.traffic.environment import TrafficEnv

Actions = NDArray[np.float64] | NDArray[np.float32]
Act = Callable[[NDArray[np.float32]], Actions | None]  # observations [N, O] → m/s² [N]; None: human
Driver = Callable[[TrafficEnv, int], Act]  # for an episode of this seed


def drive_episode(env: TrafficEnv, driver: Driver, seed: int) -> dict[str, Any]:
    """Drive one episode; its return, mean speed (m/s), collisions, teleports and steps."""
    observation = env.reset(seed)
    act = driver(env, seed)
    while True:
        step = env.step(act(observation))
        if step.truncated or step.terminated.all():
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


def policy_driver(policy: SquashedGaussian, theta: Tensor, mode: str) -> Driver:
    """Driver of learned policies `theta: [N, d]`: their mean action, or sampled by the episode's seed.

    Where the scenario has more or fewer seats than there are policies, seat i takes policy i mod N.
    """

    def driver(env: TrafficEnv, seed: int) -> Act:
        seated = theta[torch.arange(env.n_agents) % len(theta)]
        generator = torch_generator(seed, Stream.CONTROLLER)

        @torch.no_grad()
        def act(observation: NDArray[np.float32]) -> Actions:
            shape = (env.n_agents, 1, policy.action_size)
            sampled = mode == "stochastic"
            noise = torch.randn(shape, generator=generator) if sampled else torch.zeros(shape)
            states = torch.from_numpy(observation).unsqueeze(1)
            actions, _ = policy.sample(seated, states, noise)
            return (actions * policy.scale).flatten(1).numpy()

        return act

    return driver


def controller_driver(name: str) -> Driver:
    """Driver of a control: human, random, go, platoon or constant:<m/s²>; raises ConfigError."""
    control = controller(name)

    def driver(env: TrafficEnv, seed: int) -> Act:
        control.reset(env, numpy_generator(seed, Stream.CONTROLLER))
        return control.act

    return driver


def evaluate(
    env: TrafficEnv, drivers: dict[str, Driver], seeds: Iterable[int]
) -> list[dict[str, Any]]:
    """Rows of `evaluations` for each mode and held-out seed, without the columns of the training loop."""
    return [
        {"mode": mode, "eval_seed": seed, **drive_episode(env, driver, seed)}
        for seed in seeds
        for mode, driver in drivers.items()
    ]


def load_driver(folder: Path, mode: str = "deterministic") -> tuple[RunConfig, Driver]:
    """The settings and the driver of a finished run that learned; raises ConfigError."""
    config = load_run(folder / "config.yaml")
    if not config.learns:
        return config, controller_driver(config.method)
    tensors = load_policy(folder)
    scale, sizes = float(tensors["action_scale"]), tensors["sizes"].tolist()
    policy = SquashedGaussian(sizes[0], sizes[-1] // 2, tuple(sizes[1:-1]), scale)
    return config, policy_driver(policy, tensors["theta"], mode)


def resolve_driver(name: str, scenario: str) -> tuple[Traffic, Driver]:
    """What `--controller` names: a control, or the folder of a finished run with its own traffic settings."""
    if (Path(name) / "config.yaml").is_file():
        config, driver = load_driver(Path(name))
        content = config.traffic.model_dump() | {"scenario": scenario}
        return Traffic.model_validate(content), driver
    if "/" in name or Path(name).is_dir():
        raise ConfigError(f"--controller: {name!r} is not allowed: no finished run in that folder")
    return Traffic.model_validate({"scenario": scenario}), controller_driver(name)


def evaluation_report(scenario: str, name: str, episodes: int, seed: int) -> dict[str, Any]:
    """What `rsm evaluate --json` prints: means, standard deviations and values over the episodes."""
    traffic, driver = resolve_driver(name, scenario)
    with TrafficEnv(traffic) as env:
        start = time.perf_counter()
        rows = [drive_episode(env, driver, seed + number) for number in range(episodes)]
        wall_s = time.perf_counter() - start
    steps = sum(row["steps"] for row in rows)

    def statistics(column: str) -> dict[str, Any]:
        values = [float(row[column]) for row in rows]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return {"mean": float(np.mean(values)), "std": spread, "values": values}

    return {
        "scenario": scenario,
        "controller": name,
        "episodes": episodes,
        "mean_speed": statistics("mean_speed"),
        "return": statistics("return"),
        "collisions": sum(row["collisions"] for row in rows),
        "steps": steps,
        "steps_per_second": steps / wall_s,
    }
