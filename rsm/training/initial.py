"""Initial actors, critics and temperatures of a run, before the first update."""

from __future__ import annotations

import torch

from rsm.config.catalogue import CONTROL, METHODS
from rsm.config.run import RunConfig
from rsm.sac.device import CPU
from rsm.sac.joint import JointLearner
from rsm.sac.learner import Learner
from rsm.sac.shared import SharedLearner
from rsm.seeding import Stream, torch_generator
from rsm.traffic.environment import TrafficEnv
from rsm.training.transfer import begin_from

LEARNERS: dict[str, type[Learner]] = {
    "sac": Learner,
    "masac": JointLearner,
    "shared": SharedLearner,
}


def initial_learner(config: RunConfig, env: TrafficEnv, device: torch.device = CPU) -> Learner:
    """The learner of a run of these settings before its first update, a seat of `env` for every agent.

    Raises ConfigError where `init_from` names a run that does not fit.
    """
    generator = torch_generator(config.seed, Stream.PARAMETERS)
    size = (env.n_agents, env.observation_size, env.action_size)
    kind = LEARNERS[METHODS.get(config.method, CONTROL).learner]
    learner = kind(config.sac, *size, env.action_limit, generator, device=device)
    if config.begins_from is not None:
        begin_from(config, learner)
    return learner
