"""What the exchange of a run draws from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rsm.config.run import RunConfig
from rsm.seeding import Stream, numpy_generator, torch_generator
from rsm.training.judging import Generators


class Streams(NamedTuple):
    """What the exchange of a run draws from: one stream for all, or one of each agent (and of the server)."""

    sources: list[np.random.Generator]
    channel: list[np.random.Generator]
    judging: Generators


def streams_of(config: RunConfig, agents: int, device: torch.device) -> Streams:
    """Agents in step draw from one stream; where rounds take time, each draws from its own."""
    seed = config.seed
    if not config.communication.timed:
        return Streams(
            [numpy_generator(seed, Stream.SOURCES)],
            [numpy_generator(seed, Stream.CHANNEL)],
            torch_generator(seed, Stream.JUDGING, device),
        )
    return Streams(
        [numpy_generator(seed, Stream.SOURCES, agent) for agent in range(agents)],
        [numpy_generator(seed, Stream.CHANNEL, node) for node in range(agents + 1)],
        [torch_generator(seed, Stream.JUDGING, device, agent) for agent in range(agents)],
    )
