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
    scores: Floats, gains: Flags, runs: NDArray, probes: NDArray, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the area by a bootstrap over runs and their probes.

    Replicas of one run share agents and history, those of one probe (a moment of it) policies and traffic too.
    NaN where there are fewer than two probes. Resamples without both classes are left out.
    """
    return interval(resampled_areas(scores[None], gains, runs, probes, generator)[0])


def resampled_areas(
    scores: Floats, gains: Flags, runs: NDArray, probes: NDArray, generator: np.random.Generator
) -> Floats:
    """Areas `[C, R]` by each of C scores `[C, n]` on the same R resamples of runs and their probes.

    R is 0 where there are fewer than two probes.
    """
    areas = [
        [roc_area(one[rows], gains[rows]) for one in scores]
        for rows in _resamples(runs, probes, generator)
        if 0 < gains[rows].sum() < len(rows)
    ]
    return np.array(areas).reshape(-1, len(scores)).T


def mean_interval(
    values: Floats,
    chosen: Flags,
    runs: NDArray,
    probes: NDArray,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """95 % interval of the mean of the chosen values by the same bootstrap as `roc_area_interval`.

    NaN where the chosen values are of fewer than two probes, which say nothing of how they vary. Resamples
    without a chosen value are left out.
    """
    if len(np.unique(probes[chosen])) < 2:
        return np.nan, np.nan
    drawn = _resamples(runs, probes, generator)
    means = [float(values[rows][chosen[rows]].mean()) for rows in drawn if chosen[rows].any()]
    return interval(np.array(means))


def _resamples(runs: NDArray, probes: NDArray, generator: np.random.Generator) -> Iterator[NDArray]:
    """Row numbers of each resample: runs drawn with replacement, of each so many of its probes, all their rows.

    None where there are fewer than two probes.
    """
    of_run = [
        [np.flatnonzero(probes == name) for name in np.unique(probes[runs == run])]
        for run in np.unique(runs)
    ]
    for _ in range(RESAMPLES if sum(map(len, of_run)) > 1 else 0):
        drawn = []
        for run in generator.integers(len(of_run), size=len(of_run)):
            members = of_run[run]
            drawn += [
                members[probe] for probe in generator.integers(len(members), size=len(members))
            ]
        yield np.concatenate(drawn)


def interval(values: Floats) -> tuple[float, float]:
    """What holds the middle 95 % of resampled values; NaN where there are none."""
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def _both_classes(gains: Flags) -> None:
    if not 0 < gains.sum() < len(gains):
        raise ValueError("a ROC curve needs gains and losses")
