"""All random streams of a run, derived from its seed; no global generator is used."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # torch takes a second to load, and planning a study does not need it
    import torch

HELD_OUT = 1_000_000  # seeds of traffic from here on are for evaluation only


class Stream(enum.IntEnum):
    """The purpose of a stream. The numbers must not change, or runs can no longer be reproduced."""

    EPISODES = 0
    PARAMETERS = 1
    ACTING = 2
    UPDATES = 3
    JUDGING = 4
    TOPOLOGY = 5
    SOURCES = 6
    CHANNEL = 7
    CONTROLLER = 8
    JURORS = 9
    ATTACK = 10
    SLOW = 11
    RESTARTS = 12
    CHURN = 13
    GATE = 14
    ENCODING = 15


def numpy_generator(seed: int, stream: Stream, node: int | None = None) -> np.random.Generator:
    """The generator of one stream of a run, or of one node's own part of it."""
    return np.random.default_rng(_sequence(seed, stream, node))


def torch_generator(
    seed: int, stream: Stream, device: torch.device | str = "cpu", node: int | None = None
) -> torch.Generator:
    """The same for torch; another device draws other numbers from the same seed."""
    import torch

    words = _sequence(seed, stream, node).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def _sequence(seed: int, stream: Stream, node: int | None) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(stream,) if node is None else (stream, node))


def chosen_agents(seed: int, stream: Stream, agents: int, count: int) -> list[int]:
    """Which `count` of N agents a setting such as `slow` applies to, by the seed of the run."""
    return sorted(numpy_generator(seed, stream).choice(agents, count, replace=False).tolist())


def training_seed(seed: int, episode: int) -> int:
    """Seed of the traffic of a training episode (from 1), below `HELD_OUT`."""
    sequence = np.random.SeedSequence(seed, spawn_key=(Stream.EPISODES, episode))
    return int(sequence.generate_state(1)[0]) % HELD_OUT


def held_out_seeds(seed: int, episodes: int) -> list[int]:
    """Seeds of evaluation episodes: the same for all methods, other ones for each seed, never trained on."""
    return [HELD_OUT + 1000 * seed + number for number in range(episodes)]
