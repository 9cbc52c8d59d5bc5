"""Verdicts on claims: one rule for comparisons with a limit, one for events that must never happen."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from rsm.analysis.statistics import FEWEST, Estimate

RULE = (
    "A claim says that a number is above or below a limit. It **holds** if the whole 95 % interval of the "
    "number is on that side of the limit. It **does not hold** if the whole interval is on the other side. "
    "Otherwise it **cannot be told**. Numbers are interquartile means over pairs of runs of the same seed, and "
    "intervals are bootstraps of these pairs. In a gate study the number is a mean, or an area, over the "
    "replicas of all runs, with a bootstrap over runs and the moments of training at which replicas drove. "
    f"With fewer than {FEWEST} seeds it cannot be told: the points stand in brackets, or the number alone. A "
    "claim that something never happens holds if it happened in no draw, and does not hold if it happened in "
    "one. *Not run*: the committed results have no such runs."
)


class Verdict(StrEnum):
    """The verdict on a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTOLD = "cannot be told"
    NOT_RUN = "not run"


def compared(
    estimate: Estimate, seeds: int, above: float | None = None, below: float | None = None
) -> Verdict:
    """Is the number above (or below) the limit, by its interval, which comes from so many seeds?

    Exactly one limit is given; raises ValueError otherwise.
    """
    if (above is None) == (below is None):
        raise ValueError("compared: one limit is needed: above or below")
    if seeds == 0:
        return Verdict.NOT_RUN
    if seeds < FEWEST or not np.isfinite([estimate.low, estimate.high]).all():
        return Verdict.UNTOLD
    if above is not None:
        sides = estimate.low > above, estimate.high <= above
    else:
        assert below is not None
        sides = estimate.high < below, estimate.low >= below
    if not any(sides):
        return Verdict.UNTOLD
    return Verdict.HOLDS if sides[0] else Verdict.FAILS


def never(happened: int, tried: int) -> Verdict:
    """The verdict on an event that must never happen, from how often it did in all trials."""
    if tried == 0:
        return Verdict.NOT_RUN
    return Verdict.FAILS if happened else Verdict.HOLDS
