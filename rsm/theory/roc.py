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
    return interval(resampled_areas(scores[None], gains, probes, generator)[0])


def resampled_areas(
    scores: Floats, gains: Flags, probes: NDArray, generator: np.random.Generator
) -> Floats:
    """Areas `[C, R]` by each of C scores `[C, n]` on the same R resamples of probes, with replacement.

    R is 0 where there are fewer than two probes.
    """
    areas = [
        [roc_area(one[rows], gains[rows]) for one in scores]
        for rows in _resamples(probes, generator)
        if 0 < gains[rows].sum() < len(rows)
    ]
    return np.array(areas).reshape(-1, len(scores)).T


def mean_interval(
    values: Floats, chosen: Flags, probes: NDArray, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the mean of the chosen values by the bootstrap over probes, as `roc_area_interval`.

    Resamples without a chosen value are left out; NaN where there are none.
    """
    drawn = _resamples(probes, generator)
    means = [float(values[rows][chosen[rows]].mean()) for rows in drawn if chosen[rows].any()]
    return interval(np.array(means))


def _resamples(probes: NDArray, generator: np.random.Generator) -> Iterator[NDArray]:
    """Row numbers of each resample: all rows of probes drawn with replacement; none of fewer than two."""
    names = np.unique(probes)
    members = [np.flatnonzero(probes == name) for name in names]
    for _ in range(RESAMPLES if len(names) > 1 else 0):
        drawn = generator.integers(len(names), size=len(names))
        yield np.concatenate([members[probe] for probe in drawn])


def interval(values: Floats) -> tuple[float, float]:
    """What holds the middle 95 % of resampled values; NaN where there are none."""
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def _both_classes(gains: Flags) -> None:
    if not 0 < gains.sum() < len(gains):
        raise ValueError("a ROC curve needs gains and losses")
