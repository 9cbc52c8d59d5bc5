"""Which judges the settings name: the own critic, peers, or a version of the published code."""

from __future__ import annotations

import numpy as np

from rsm.config.run import RunConfig
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.training.judging import Generators, Judges, OwnCritic, PublishedCode
from rsm.training.jury import Peers


def judges_of(
    config: RunConfig,
    learner: Learner,
    replay: Replay,
    generator: Generators,
    attackers: list[int],
    jurors: np.random.Generator | None = None,
) -> Judges:
    """Who judges by these settings, where `attackers` are the agents that send harm.

    `jurors` draws whom peers ask, in place of the streams of the run.
    """
    if config.mixing.published_code:
        return PublishedCode(config, learner, replay, generator)
    own = OwnCritic(config, learner, replay, generator)
    if config.mixing.judge == "own":
        return own
    liars = attackers if config.attack.kind == "liar" else []
    return Peers(config, learner, own, liars, jurors)
