"""ROC curves of scores against gains, their areas, and bootstrap intervals of these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

RESAMPLES = 1000

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Curve(NamedTuple):
    """A ROC curve from (0, 0) to (1, 1), by falling threshold."""

    false_positive: Floats
    true_positive: Floats


def roc_curve(scores: Floats, gains: Flags) -> Curve:
    """Shares of losses and of gains with a score of at least each threshold; NaN counts as the lowest.

    Raises ValueError where one of the two classes is empty.
    """
    _both_classes(gains)
    scores = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(-scores, kind="stable")
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # of those with one score
    positive, negative = (np.cumsum(kind[order])[last] for kind in (gains, ~gains))
    return Curve(np.append(0.0, negative / negative[-1]), np.append(0.0, positive / positive[-1]))


def roc_area(scores: Floats, gains: Flags) -> float:
    """Area under that curve: P(score of a gain > score of a loss), ties counted half (Mann and Whitney)."""
    _both_classes(gains)
    ranks = rankdata(np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf))
    above = int(gains.sum())
    excess = float(ranks[gains].sum()) - above * (above + 1) / 2
    return excess / (above * (len(gains) - above))


def roc_area_interval(
    scores: Floats, gains: Flags, probes: NDArray, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the area by the bootstrap over probes: replicas of one moment share their traffic.

    NaN where there are fewer than two probes. Resamples without both classes are left out.
    """
    return _interval(
        [roc_area(scores[rows], gains[rows]) for rows in _resampled(gains, probes, generator)]
    )


def roc_area_loss_interval(
    reference: Floats, scores: Floats, gains: Flags, probes: NDArray, generator: np.random.Generator
) -> tuple[float, float]:
    """The same of how much smaller the area by `scores` is than by `reference`, on the same replicas."""
    return _interval(
        [
            roc_area(reference[rows], gains[rows]) - roc_area(scores[rows], gains[rows])
            for rows in _resampled(gains, probes, generator)
        ]
    )


def _resampled(
    gains: Flags, probes: NDArray, generator: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Rows of as many probes, drawn with replacement; nothing where there are fewer than two."""
    names = np.unique(probes)
    if len(names) < 2:
        return
    members = [np.flatnonzero(probes == name) for name in names]
    for _ in range(RESAMPLES):
        drawn = generator.integers(len(names), size=len(names))
        rows = np.concatenate([members[probe] for probe in drawn])
        if 0 < gains[rows].sum() < len(rows):
            yield rows


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975]) if values else (np.nan, np.nan)
    return float(low), float(high)


def _both_classes(gains: Flags) -> None:
    if not 0 < gains.sum() < len(gains):
        raise ValueError("a ROC curve needs gains and losses")
