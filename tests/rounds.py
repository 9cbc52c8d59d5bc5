"""A communication round outside a run, shared by the tests of methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.config.exchanging import Communication
from rsm.exchange.channel import Channel
from rsm.exchange.codec import PLAIN, Codec
from rsm.exchange.replicas import Came, Post
from rsm.methods.context import Context
from rsm.mixing.rules import Verdict
from rsm.training.judging import Opinion
from rsm.training.rounds import Exchange, synchronous_round
from rsm.training.tracing import traced

Judge = Callable[[torch.Tensor, torch.Tensor], Verdict]


class Place(NamedTuple):
    """Who hears whom over which channel, and who judges."""

    neighbours: np.ndarray
    channel: Channel
    generator: np.random.Generator
    judge: Judge
    settings: Communication
    round: int = 1
    codec: Codec = PLAIN

    @property
    def post(self) -> Post:
        return Post(self.channel, run=1, round_=self.round, codec=self.codec)


def place_of(
    neighbours: np.ndarray,
    judge: Judge,
    loss_rate: float = 0.0,
    generator: np.random.Generator | None = None,
    seed: int = 0,
    **settings: Any,
) -> Place:
    channel = Channel(len(neighbours), loss_rate, np.random.default_rng(seed))
    generator = generator or np.random.default_rng(seed)
    return Place(neighbours, channel, generator, judge, Communication(**settings))


def hold(method: str, parameters: torch.Tensor, place: Place) -> list[dict[str, Any]]:
    """One synchronous round: `parameters: [N, D]` become the new ones; returns the ζ trace."""
    traits, trace = METHODS[method], []
    exchange, module = exchange_of(place, trace), methods.load(method)
    parameters.copy_(synchronous_round(parameters, module, traits.server, traits.judged, exchange))
    return trace


def exchange_of(place: Place, trace: list[dict[str, Any]]) -> Exchange:
    """What a round exchanges at a place, its judgements traced."""

    def judge(came: Came, own: torch.Tensor, referential: torch.Tensor, _: int) -> Opinion:
        return Opinion(place.judge(own, referential), [[] for _ in came.receivers])

    metric = traced(judge, trace)
    return Exchange(Context(place.settings, place.neighbours, place.generator, metric), place.post)
