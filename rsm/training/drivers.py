"""Drivers of the learning vehicles: learned policies, controls, or the policies of a finished run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.catalogue import UNTRAINED, scenario_forms
from rsm.config.learning import Traffic
from rsm.config.run import RunConfig, load_run
from rsm.errors import ConfigError, one_line, shown
from rsm.runs.folder import read_summary
from rsm.runs.policy import load_actors
from rsm.sac import mlp
from rsm.sac.learner import Learner
from rsm.sac.policy import SquashedGaussian
from rsm.seeding import Stream, numpy_generator, torch_generator
from rsm.traffic.controllers import Commands, controller
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.observation import observation_size
from rsm.training.initial import initial_learner

MODES = ("deterministic", "stochastic")  # mean actions, or sampled ones
Actions = NDArray[np.float64] | NDArray[np.float32]
Act = Callable[[NDArray[np.float32]], Actions | Commands]  # observations [N, O] → what `step` takes
Driver = Callable[[TrafficEnv, int], Act]  # for an episode of this seed


def policy_driver(policy: SquashedGaussian, theta: Tensor, mode: str) -> Driver:
    """Driver of learned policies `theta: [N, d]`: their mean action, or sampled by the episode's seed.

    Where the scenario has more or fewer seats than there are policies, seat i takes policy i mod N.
    """

    def driver(env: TrafficEnv, seed: int) -> Act:
        seated = theta[torch.arange(env.n_agents) % len(theta)]
        network = mlp.layers(seated, policy.sizes)
        generator = torch_generator(seed, Stream.CONTROLLER)

        shape = (env.n_agents, 1, policy.action_size)
        sampled = mode == "stochastic"

        def act(observation: NDArray[np.float32]) -> Actions:
            noise = torch.randn(shape, generator=generator) if sampled else None
            actions = policy.act(network, torch.from_numpy(observation).unsqueeze(1), noise)
            return (actions * policy.scale).flatten(1).numpy()

        return act

    return driver


def controller_driver(name: str) -> Driver:
    """Driver of a scripted control, as rsm.traffic.controllers names it; raises ConfigError."""
    control = controller(name)

    def driver(env: TrafficEnv, seed: int) -> Act:
        control.reset(env, numpy_generator(seed, Stream.CONTROLLER))
        return control.act

    return driver


def control_driver(config: RunConfig) -> Driver:
    """Driver of the control that a run is: its script, or the mean actions of `untrained` policies."""
    if config.method != UNTRAINED:
        return controller_driver(config.method)

    def driver(env: TrafficEnv, seed: int) -> Act:
        return learner_drivers(initial_learner(config, env))["deterministic"](env, seed)

    return driver


def learner_drivers(learner: Learner) -> dict[str, Driver]:
    """Mode → driver of the policies that a learner holds now."""
    theta = learner.theta.detach().cpu()  # evaluation runs on the host
    return {mode: policy_driver(learner.policy, theta, mode) for mode in MODES}


def load_driver(folder: Path, mode: str = "deterministic") -> tuple[RunConfig, Driver]:
    """The settings and the driver of a finished run that learned; raises ConfigError."""
    config = load_run(folder / "config.yaml")
    summary = read_summary(folder) or {}
    for key, own in (("run_id", config.run_id), ("scenario", config.traffic.scenario)):
        if summary.get(key, own) != own:
            raise ConfigError(
                f"{one_line(folder / 'config.yaml')}: it is not of the run in its folder: its {key} is {own}, "
                f"that of summary.json {shown(summary[key])}"
            )
    if not config.learns:
        return config, control_driver(config)
    sizes = observation_size(config.traffic), TrafficEnv.action_size
    policy, theta = load_actors(folder, *sizes)
    return config, policy_driver(policy, theta, mode)


def resolve_driver(name: str, scenario: str | None) -> tuple[Traffic, Driver]:
    """What `--controller` names: a control, or the folder of a finished run with its own traffic settings.

    Without a scenario a run drives in its own. `untrained` has the default settings and the seed 0. Raises
    ConfigError for what is neither.
    """
    if os.path.isfile(Path(name) / "config.yaml"):
        config, driver = load_driver(Path(name))
        own = config.driven
        return own.model_copy(update={"scenario": scenario or own.scenario}), driver
    if "/" in name or os.path.isdir(name):
        raise ConfigError(
            f"--controller: {shown(name)} is not allowed: no finished run in that folder"
        )
    driver = (
        control_driver(RunConfig(method=name)) if name == UNTRAINED else controller_driver(name)
    )
    if scenario is None:
        raise ConfigError(
            f"--scenario: is missing: {shown(name)} can drive in any: {scenario_forms()}"
        )
    return Traffic.model_validate({"scenario": scenario}), driver


def driver_name(name: str) -> str:
    """Who drives, for a reader: the control, or the id of the learned run that `--controller` names."""
    path = Path(name) / "config.yaml"
    if not os.path.isfile(path):
        return name
    config = load_run(path)
    return config.run_id if config.learns else config.method
