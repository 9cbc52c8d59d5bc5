"""Helpers that drive episodes."""

from collections.abc import Callable, Iterator

import pytest

from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.episode_stats import EpisodeStats


@pytest.fixture
def env() -> Iterator[TrafficEnv]:
    """The published scenario."""
    with TrafficEnv(Traffic()) as env:
        yield env


@pytest.fixture(scope="session")
def drive_humans() -> Callable[[TrafficEnv, int], EpisodeStats]:
    """Drives an episode in which our human driver drives every vehicle."""

    def drive(env: TrafficEnv, seed: int) -> EpisodeStats:
        env.reset(seed)
        while True:
            step = env.step(None)
            if step.over:
                return env.stats()

    return drive


@pytest.fixture(scope="session")
def colliding_seed(drive_humans: Callable[[TrafficEnv, int], EpisodeStats]) -> int:
    """A seed of the published scenario in which two humans collide at the crossing."""
    with TrafficEnv(Traffic(horizon=150)) as env:
        for seed in range(60):
            if drive_humans(env, seed).collisions:
                return seed
    pytest.fail("no seed below 60 collides: has the human driver changed?")
