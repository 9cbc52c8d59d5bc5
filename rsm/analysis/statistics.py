"""Statistics of few runs: interquartile means, bootstrap intervals, comparisons of two methods.

Definitions of Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021 (the package rliable, with which the tests agree). The unit is a run, that is
a seed. Scores come as strata: one array [runs, ...] for each task (here a configuration of the study), so that
resampling never moves a run from one task to another. Runs of one seed meet the same traffic and begin with
the same parameters, so that sides which have the same seeds are compared in pairs: a resample draws the same
seeds on all of them. Fewer than FEWEST seeds get no interval. Randomness is a generator passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 5  # seeds in a stratum: fewer are shown as points, without an interval

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its interval, in the unit of the number; NaN where it is undefined."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(np.nan, np.nan, np.nan)


def interquartile_mean(scores: ArrayLike, axis: int | None = None) -> Floats:
    """Mean of the middle half of `scores` along `axis` (of all of them by default).

    ⌊n/4⌋ scores are left out at either end (scipy.stats.trim_mean, rliable): of three seeds none.
    Raises ValueError where there are no scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if axis is None:
        values, axis = values.ravel(), 0
    count = values.shape[axis]
    if count == 0:
        raise ValueError("interquartile_mean: at least one score is needed, got none")
    cut = count // 4
    kept = np.take(np.sort(values, axis=axis), np.arange(cut, count - cut), axis=axis)
    return np.asarray(kept.mean(axis=axis))


def stratified_bootstrap_interval(
    strata: Sequence[ArrayLike],
    generator: np.random.Generator,
    statistic: Callable[..., Floats] = interquartile_mean,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[Floats, Floats]:
    """Percentile interval of `statistic(scores [R, runs, ...], axis=1)` → two arrays [...].

    `strata` are arrays [runs, ...] of equal trailing shape; runs are resampled within each stratum.
    NaN where a stratum has fewer than FEWEST runs. Raises ValueError where there are no scores.
    """
    arrays = _checked(strata)
    if few(arrays):
        unknown = np.full(arrays[0].shape[1:], np.nan)
        return unknown, unknown
    drawn = np.concatenate([_resampled(array, generator, resamples) for array in arrays], axis=1)
    return _percentiles(statistic(drawn, axis=1), level)


def few(*sides: Sequence[ArrayLike]) -> bool:
    """Whether a stratum of any side has too few runs for an interval."""
    return min(len(np.asarray(stratum)) for side in sides for stratum in side) < FEWEST


def interquartile_mean_estimate(
    strata: Sequence[ArrayLike], generator: np.random.Generator
) -> Estimate:
    """IQM over all runs of all strata (arrays [runs]) with its 95 % interval."""
    arrays = _checked(strata)
    low, high = stratified_bootstrap_interval(arrays, generator)
    return Estimate(float(interquartile_mean(np.concatenate(arrays))), float(low), float(high))


def probability_of_improvement(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Mean over strata of P(X > Y) + ½ P(X = Y) for a run of `x` and one of `y` in that stratum.

    `x` and `y` hold the same strata in the same order, each an array [runs]; the number of runs may
    differ. A side of one stratum stands against every stratum of the other. Raises ValueError where they
    do not pair.
    """
    return float(
        np.mean([_superiority(a[None], b[None])[0] for a, b in _beside(_checked(x), _checked(y))])
    )


def probability_of_improvement_estimate(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    generator: np.random.Generator,
    paired: bool = False,
) -> Estimate:
    """`probability_of_improvement` with its 95 % interval; both sides are resampled.

    Each stratum is drawn once per resample, also one that stands against several: its runs are the same.
    `paired`: the i-th runs of all strata are of one seed, and drawn together.
    """
    value = probability_of_improvement(x, y)
    above, below = _checked(x), _checked(y)
    if few(above, below):
        return Estimate(value, np.nan, np.nan)
    drawn = _drawn([above, below], generator, paired)
    low, high = _percentiles(
        np.mean([_superiority(a, b) for a, b in _beside(*drawn)], axis=0), LEVEL
    )
    return Estimate(value, float(low), float(high))


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> Floats:
    """Fraction of runs with a score above each threshold → [thresholds] (score distribution)."""
    scores = np.concatenate(_checked(strata))
    return np.asarray(_fraction_above(scores[None], thresholds, axis=1)[0])


def performance_profile_interval(
    strata: Sequence[ArrayLike], thresholds: ArrayLike, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """95 % interval of `performance_profile` at each threshold → two arrays [thresholds]."""
    arrays = _checked(strata)

    def profile(scores: Floats, axis: int) -> Floats:
        return _fraction_above(scores, thresholds, axis)

    if few(arrays):
        unknown = np.full(np.shape(thresholds), np.nan)
        return unknown, unknown
    return stratified_bootstrap_interval(arrays, generator, profile)


def ratio_of_interquartile_means(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    generator: np.random.Generator,
    paired: bool = False,
) -> Estimate:
    """IQM of `x` over IQM of `y` with its 95 % interval; both sides are resampled.

    Strata are arrays [runs]; `paired`: the i-th runs of all are of one seed, and drawn together. NaN unless
    the IQM of `y` is above 0: a ratio to nothing or to a loss says nothing. Raises ValueError where there are
    no scores.
    """
    above, below = _checked(x), _checked(y)
    reference = float(interquartile_mean(np.concatenate(below)))
    if not reference > 0:
        return UNKNOWN
    value = float(interquartile_mean(np.concatenate(above))) / reference
    if few(above, below):
        return Estimate(value, np.nan, np.nan)
    sides = [_means(side) for side in _drawn([above, below], generator, paired)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(sides[1] > 0, sides[0] / sides[1], np.nan)
    if np.isnan(ratios).any():
        return Estimate(value, np.nan, np.nan)
    low, high = _percentiles(ratios, LEVEL)
    return Estimate(value, float(low), float(high))


def share_of_gap(
    x: Sequence[ArrayLike],
    low: Sequence[ArrayLike],
    high: Sequence[ArrayLike],
    generator: np.random.Generator,
    paired: bool = False,
) -> Estimate:
    """Where the IQM of `x` lies between those of `low` (0) and `high` (1), with its 95 % interval.

    All three are resampled, as by `ratio_of_interquartile_means`. NaN unless `high` is above `low`.
    The interval is NaN where a resample closes the gap. Raises ValueError where there are no scores.
    """
    sides = [_checked(side) for side in (x, low, high)]
    own, bottom, top = (float(interquartile_mean(np.concatenate(side))) for side in sides)
    if not top > bottom:
        return UNKNOWN
    value = (own - bottom) / (top - bottom)
    if few(*sides):
        return Estimate(value, np.nan, np.nan)
    owns, bottoms, tops = (_means(side) for side in _drawn(sides, generator, paired))
    if not (tops > bottoms).all():
        return Estimate(value, np.nan, np.nan)
    low_end, high_end = _percentiles((owns - bottoms) / (tops - bottoms), LEVEL)
    return Estimate(value, float(low_end), float(high_end))


def _checked(strata: Sequence[ArrayLike]) -> list[Floats]:
    arrays = [np.asarray(stratum, dtype=np.float64) for stratum in strata]
    if not arrays or any(array.ndim == 0 or len(array) == 0 for array in arrays):
        raise ValueError("statistics: every stratum needs at least one run, got an empty one")
    return arrays


def _beside(x: list[Floats], y: list[Floats]) -> list[tuple[Floats, Floats]]:
    """Strata of both sides in pairs; one alone on its side is in all of them."""
    pairs = max(len(x), len(y))
    if {len(x), len(y)} - {1, pairs}:
        raise ValueError(f"statistics: strata must pair, got {len(x)} and {len(y)}")
    sides = (side * pairs if len(side) == 1 else side for side in (x, y))
    return list(zip(*sides, strict=True))


def _resampled(scores: Floats, generator: np.random.Generator, resamples: int) -> Floats:
    """[runs, ...] → [resamples, runs, ...], whole runs drawn with replacement."""
    drawn = generator.integers(len(scores), size=(resamples, len(scores)))
    return np.asarray(scores[drawn])


def _drawn(
    sides: list[list[Floats]], generator: np.random.Generator, paired: bool
) -> list[list[Floats]]:
    """Resamples [RESAMPLES, runs] of every stratum of every side; `paired` draws the same seeds for all."""
    if not paired:
        return [[_resampled(array, generator, RESAMPLES) for array in side] for side in sides]
    lengths = {len(array) for side in sides for array in side}
    if len(lengths) > 1:
        raise ValueError(f"statistics: pairs need equally many runs, got {sorted(lengths)}")
    [count] = lengths
    drawn = generator.integers(count, size=(RESAMPLES, count))
    return [[np.asarray(array[drawn]) for array in side] for side in sides]


def _means(drawn: list[Floats]) -> Floats:
    """IQM over all strata of each resample, [RESAMPLES]."""
    return interquartile_mean(np.concatenate(drawn, axis=1), axis=1)


def _superiority(x: Floats, y: Floats) -> Floats:
    """[R, n] and [R, m] → [R]: fraction of pairs with x above y, ties counted half."""
    difference = x[:, :, None] - y[:, None, :]
    return np.asarray(((np.sign(difference) + 1) / 2).mean(axis=(1, 2)))


def _fraction_above(scores: Floats, thresholds: ArrayLike, axis: int) -> Floats:
    """[R, runs] → [R, thresholds]; one threshold at a time keeps the memory small."""
    levels = np.asarray(thresholds, dtype=np.float64)
    return np.stack([(scores > level).mean(axis=axis) for level in levels], axis=-1)


def _percentiles(draws: Floats, level: float) -> tuple[Floats, Floats]:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.asarray(low), np.asarray(high)
