"""Transfer: agents that begin with the policies of a finished run (`init_from`, docs/concepts/algorithm.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from rsm.config.learning import InitFrom
from rsm.config.run import RunConfig, load_run, policy_digest
from rsm.errors import ConfigError, shown
from rsm.runs.folder import finished_summary
from rsm.runs.policy import load_actors, load_policy
from rsm.sac.learner import Learner
from rsm.seeding import held_out_seeds
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.observation import observation_size


class Source(NamedTuple):
    """The finished run whose policies are taken, with all its agents."""

    config: RunConfig
    theta: Tensor  # [N, d], actors
    critics: Tensor  # [N, 2, c]


def pinned(config: RunConfig) -> RunConfig:
    """The same settings, with the digest of the policies taken; raises ConfigError without a finished run.

    Settings that already name a digest must find the same policies.
    """
    wanted = config.init_from
    if config.begins_from is None:
        return config
    _finished(wanted)
    found = policy_digest(Path(config.begins_from))
    if wanted.sha256 not in (None, found):
        raise _refused("run", wanted, "its policies are others than those with init_from.sha256")
    return config.model_copy(
        update={"init_from": wanted.model_copy(update={"sha256": found})},
    )


def begin_from(config: RunConfig, learner: Learner) -> None:
    """Give every agent of the learner the parameters that `init_from` names; raises ConfigError.

    Target critics are those critics. Temperatures and the moments of Adam are new.
    """
    wanted = config.init_from
    source = _source(config, learner)
    learner.theta.copy_(_of_agent(source.theta, source, wanted))
    if wanted.what == "policies+critics":
        learner.critics.copy_(_of_agent(source.critics, source, wanted))
        learner.targets.copy_(learner.critics)


def provenance(config: RunConfig) -> dict[str, Any]:
    """Entries of the manifest on the run whose policies were taken; empty where there is none."""
    wanted = config.init_from
    if config.begins_from is None:
        return {}
    source = _finished(wanted)
    about = {"run_id": source.run_id, "settings_hash": source.settings_hash}
    return {"init_from": about | wanted.model_dump(exclude={"run"})}


def _finished(wanted: InitFrom) -> RunConfig:
    """The settings of that run, which must have finished and must have learnt."""
    assert wanted.run is not None
    folder = Path(wanted.run)
    try:
        config = load_run(folder / "config.yaml")
        summary = finished_summary(folder, config)
    except (ConfigError, OSError, ValueError):
        summary = None
    if summary is None or summary.get("status") != "finished":
        raise _refused("run", wanted, "no finished run of this version in that folder")
    if not config.learns:
        raise _refused("run", wanted, f"{config.method} is a control: it has no policies")
    return config


def _source(config: RunConfig, learner: Learner) -> Source:
    """The source, checked to fit this run."""
    wanted = config.init_from
    source = _finished(wanted)
    for name, used in (("observation", "observed"), ("actions", "actions")):
        theirs, ours = (getattr(run.traffic, used) for run in (source, config))
        if theirs != ours:
            raise _refused(
                "run", wanted, f"its traffic.{name} is {theirs}, that of this run is {ours}"
            )
    if source.sac.hidden != config.sac.hidden:
        theirs, ours = (list(run.sac.hidden) for run in (source, config))
        raise _refused("run", wanted, f"its sac.hidden is {theirs}, that of this run is {ours}")
    folder = Path(str(wanted.run))
    sizes = observation_size(source.traffic), TrafficEnv.action_size
    policy, theta = load_actors(folder, *sizes)
    critics = load_policy(folder)["critics"]
    if policy.sizes != learner.policy.sizes:
        raise _refused("run", wanted, "its policies have other sizes than those of this run")
    shape = (len(theta), *learner.critics.shape[1:])
    if wanted.what == "policies+critics" and critics.shape != shape:
        raise _refused(
            "what",
            wanted,
            f"the critics of that run ({source.method}) do not fit those of {config.method}; allowed: policies",
        )
    return Source(source, theta, critics)


def _of_agent(values: Tensor, source: Source, wanted: InitFrom) -> Tensor:
    """Of parameters `[N, ...]` those of one agent, or the mean over agents."""
    if wanted.agent == "mean" or (wanted.agent == "best" and len(values) == 1):
        return values.mean(dim=0)
    agent = _best(source, wanted) if wanted.agent == "best" else wanted.agent
    if agent >= len(values):
        raise _refused("agent", wanted, f"the run has agents 0 to {len(values) - 1}")
    return values[agent]


def _best(source: Source, wanted: InitFrom) -> int:
    """The agent with the largest mean return on the held-out traffic of its own run, by mean actions."""
    # Imported here: rsm.training.drivers imports this module for initial policies.
    from rsm.training.drivers import load_driver
    from rsm.training.evaluation import agent_returns

    folder = Path(str(wanted.run))
    _, driver = load_driver(folder)
    seeds = held_out_seeds(source.config.seed, source.config.evaluation.episodes)
    with TrafficEnv(source.config.driven) as env:
        if env.loops != env.n_agents:
            raise _refused(
                "agent",
                wanted,
                f"all agents of {source.config.traffic.scenario} earn one team reward, so that none has "
                "a return of its own; allowed: a number or mean",
            )
        returns = np.mean([agent_returns(env, driver, seed) for seed in seeds], axis=0)
    return int(np.argmax(returns))


def _refused(key: str, wanted: InitFrom, reason: str) -> ConfigError:
    return ConfigError(f"init_from.{key}: {shown(getattr(wanted, key))} is not allowed: {reason}")
