"""Measuring a driver, learned or not, on seeds that training never uses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.catalogue import SCENARIO_FORMS
from rsm.config.run import RunConfig, Traffic, load_run
from rsm.errors import ConfigError, one_line, shown
from rsm.runs.folder import finished_summary
from rsm.runs.policy import load_actors
from rsm.runs.schema import recording_table
from rsm.sac import mlp
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import Stream, held_out_seeds, numpy_generator, torch_generator
from rsm.traffic.controllers import Commands, controller
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.observation import observation_size
from rsm.traffic.trajectory import drive_trajectory, space_time_table
from rsm.training.finite import require_finite

Actions = NDArray[np.float64] | NDArray[np.float32]
Act = Callable[[NDArray[np.float32]], Actions | Commands]  # observations [N, O] → what `step` takes
Driver = Callable[[TrafficEnv, int], Act]  # for an episode of this seed


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
        made = {
            "reward": torch.from_numpy(step.reward),
            "observation": torch.from_numpy(step.observation),
        }
        require_finite(made, place)
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


def policy_driver(policy: SquashedGaussian, theta: Tensor, mode: str) -> Driver:
    """Driver of learned policies `theta: [N, d]`: their mean action, or sampled by the episode's seed.

    Where the scenario has more or fewer seats than there are policies, seat i takes policy i mod N.
    """

    def driver(env: TrafficEnv, seed: int) -> Act:
        seated = theta[torch.arange(env.n_agents) % len(theta)]
        network = mlp.layers(seated, policy.sizes)
        generator = torch_generator(seed, Stream.CONTROLLER)

        @torch.no_grad()
        def act(observation: NDArray[np.float32]) -> Actions:
            shape = (env.n_agents, 1, policy.action_size)
            sampled = mode == "stochastic"
            noise = torch.randn(shape, generator=generator) if sampled else torch.zeros(shape)
            states = torch.from_numpy(observation).unsqueeze(1)
            actions, _ = policy.sample(network, states, noise)
            return (actions * policy.scale).flatten(1).numpy()

        return act

    return driver


def controller_driver(name: str) -> Driver:
    """Driver of a control: human, sumo, random, go, platoon or constant:<m/s²>; raises ConfigError."""
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
    sizes = observation_size(config.traffic), TrafficEnv.action_size
    policy, theta = load_actors(folder, *sizes)
    return config, policy_driver(policy, theta, mode)


def resolve_driver(name: str, scenario: str | None) -> tuple[Traffic, Driver]:
    """What `--controller` names: a control, or the folder of a finished run with its own traffic settings.

    Without a scenario a run drives in its own. Raises ConfigError for what is neither.
    """
    if os.path.isfile(Path(name) / "config.yaml"):
        config, driver = load_driver(Path(name))
        own = config.driven
        return own.model_copy(update={"scenario": scenario or own.scenario}), driver
    if "/" in name or os.path.isdir(name):
        raise ConfigError(
            f"--controller: {shown(name)} is not allowed: no finished run in that folder"
        )
    driver = controller_driver(name)
    if scenario is None:
        raise ConfigError(
            f"--scenario: is missing: {shown(name)} can drive in any: {SCENARIO_FORMS}"
        )
    return Traffic.model_validate({"scenario": scenario}), driver


def driver_name(name: str) -> str:
    """Who drives, for a reader: the control, or the id of the learned run that `--controller` names."""
    path = Path(name) / "config.yaml"
    if not os.path.isfile(path):
        return name
    config = load_run(path)
    return config.run_id if config.learns else config.method


def record_run(folder: Path) -> pa.Table:
    """One episode of a finished run on its first held-out seed, mean actions, every second (rsm.runs.schema).

    A failed run gives a table without rows. Raises ConfigError where the folder holds no finished run.
    """
    config = load_run(folder / "config.yaml")
    content = finished_summary(folder, config)
    if content is None:
        raise ConfigError(
            f"{one_line(folder)} is not allowed: it holds no finished run: run it to its end first"
        )
    [seed] = held_out_seeds(config.seed, 1)
    about = {"run_id": config.run_id, "settings_hash": config.settings_hash, "eval_seed": seed}
    if content.get("status") != "finished":
        return recording_table({}, about)
    _, driver = load_driver(folder)
    with TrafficEnv(config.driven) as env:
        every = round(1 / env.dt)
        trajectory = drive_trajectory(env, lambda: driver(env, seed), seed, every)
        columns = space_time_table(trajectory, loops=env.loops)
        lanes, lengths = env.network.offsets, env.network.lengths
        about |= {
            "mean_speed": trajectory.stats.mean_speed,
            "collisions": trajectory.stats.collisions,
            "horizon": env.horizon * env.dt,
            "loop_length": env.network.length,
            "crossings": sorted(
                {round(lanes[x] + lengths[x] / 2, 2) for x in lanes if x.startswith(":center")}
            ),
        }
    return recording_table(dict(columns), about)


def last_exchange(name: str) -> NDArray[np.int64]:
    """Who exchanged in the last round of the run that `--controller` names, [E, 3]: agent, agent, bytes.

    A pair stands once, with the bytes both ways; −1 is the server. Empty where nothing was exchanged, and
    for a control or a run that did not record it. Raises ConfigError for a file that cannot be read.
    """
    path = Path(name) / "exchange.parquet"
    pairs: dict[tuple[int, int], int] = {}
    if os.path.isfile(path):
        try:
            rows = pq.read_table(path).to_pylist()
            for row in rows:
                one, other = sorted((row["sender"], row["receiver"]))
                sent = row.get("last_round_bytes") or 0  # no such column in older runs
                if sent:
                    pairs[one, other] = pairs.get((one, other), 0) + sent
        except (OSError, KeyError, TypeError, pa.ArrowException):
            raise ConfigError(f"{path}: cannot be read: it is not the table of a run") from None
    found = [(*pair, sent) for pair, sent in pairs.items()]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


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
