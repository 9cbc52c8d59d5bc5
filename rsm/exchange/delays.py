"""Delays of single frames: what a setting names, as a draw in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rsm.config.exchanging import Communication

Delay = Callable[[np.random.Generator], float]  # one draw, s, at least 0

LOG_DEVIATION = 1.0  # standard deviation of the logarithm of a `lognormal` delay


def no_delay(draw: np.random.Generator) -> float:
    """0 s, without a draw."""
    return 0.0


def delay_of(settings: Communication) -> Delay:
    """The delays of a run, with mean `delay_mean` whatever their distribution."""
    mean = settings.delay_mean
    if settings.delay == "none" or not mean:
        return no_delay
    if settings.delay == "constant":
        return lambda draw: mean
    if settings.delay == "exponential":
        return lambda draw: float(draw.exponential(mean))
    # The mean of a lognormal variable is exp(μ + σ²/2).
    location = math.log(mean) - LOG_DEVIATION**2 / 2
    return lambda draw: float(draw.lognormal(location, LOG_DEVIATION))
