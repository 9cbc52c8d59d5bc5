"""A run of the study `quick`: CPU seconds, projected from real episodes, against the plainly written run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.plain_environment import PlainEnvironment
from benchmarks.plain_run import PlainRun
from rsm.config.run import RunConfig
from rsm.config.study import load_study
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import learner_drivers
from rsm.training.evaluation import drive_episode
from rsm.training.initial import initial_learner
from rsm.training.loop import Training

STUDY = Path(__file__).parents[1] / "workflow/studies/quick.yaml"
RUN = "rsm-trust-region-radius90-p4-k3-seed0"
EPISODES = 4
DECISIONS = 40  # of the reference, which is slow; at least a batch


def cpu() -> float:
    """CPU seconds of this process and of SUMO processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def seconds_of(work: Callable[[int], object], repeats: int) -> float:
    """Median CPU seconds of a call, each with its number."""
    spent = []
    for number in range(repeats):
        start = cpu()
        work(number)
        spent.append(cpu() - start)
    return statistics.median(spent)


def projected(config: RunConfig, first: float, episode: float, evaluated: float) -> float:
    """CPU seconds of the run, whose first episode has no updates."""
    settings = config.evaluation
    evaluations = config.training.episodes // settings.every
    return (
        first
        + (config.training.episodes - 1) * episode
        + evaluations * 2 * settings.episodes * evaluated
    )


def rows() -> list[Row]:
    """Ours, then the reference: an episode without updates, some with them, evaluated ones."""
    config = load_study(STUDY).runs()[RUN]
    with TrafficEnv(config.driven) as env:
        run = Training(config, env)
        first = seconds_of(lambda _: run.train_episode(), 1)
        episode = seconds_of(lambda _: run.train_episode(), EPISODES)
        driver = learner_drivers(run.learner)["stochastic"]
        evaluated = seconds_of(lambda seed: drive_episode(env, driver, seed), EPISODES)
        learner = initial_learner(config, env)
    ours = projected(config, first, episode, evaluated)
    evaluation = (ours - projected(config, first, episode, 0.0)) / ours
    with PlainEnvironment(config.driven) as env_over_socket:
        plain = PlainRun(config, env_over_socket, learner)
        start = seconds_of(lambda seed: plain.episode(seed, 0), 1)

        def whole(learns: bool, updates: bool) -> float:
            """An episode, from one of few decisions."""
            some = seconds_of(lambda seed: plain.episode(seed, DECISIONS, learns, updates), 1)
            decisions = config.traffic.steps / config.traffic.steps_held
            return start + (some - start) * decisions / DECISIONS

        plain_first, plain_evaluated = whole(True, False), whole(False, False)
        plain_episode = whole(True, True)
    reference = projected(config, plain_first, plain_episode, plain_evaluated)
    ratio = reference / ours
    numbers = {"seconds": ours, "reference": reference, "ratio": ratio, "evaluation": evaluation}
    return [
        Row(
            "CPU seconds of a run of `quick` (rsm, trust-region), against the plain loop",
            f"{ratio:.1f} × ({ours:.1f} s; {reference:.0f} s)",
            "≥ 4 × the plain loop",
            ratio >= 4,
            numbers,
        ),
        Row(
            "evaluation in a run of `quick`",
            f"{evaluation:.0%} of its CPU time",
            "≤ 10 %",
            evaluation <= 0.10,
            {"share": evaluation},
        ),
    ]
