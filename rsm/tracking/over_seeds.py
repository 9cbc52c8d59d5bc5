"""The numbers of a configuration over its seeds, and the note that lists them.

The definitions are those of rsm.analysis.statistics, whose numbers stand in tables and figures; a test holds
these against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from rsm.tracking.content import JUDGED, Point, result, rounded

# Curves that every seed of a configuration has at the same episodes.
OF_A_CONFIGURATION = (
    "eval/return",
    "eval/mean_speed",
    "eval/return_stochastic",
    "eval/return_worst",
    "comm/MB_sent",
)
FEWEST = 5  # seeds: fewer get no interval


def configuration_metrics(
    finals: Sequence[dict[str, float]], curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]]
) -> list[Point]:
    """The numbers of a configuration over its seeds, as in the tables and figures.

    Interquartile means of performance with their intervals as `_low` and `_high`, plain means of costs.

    `finals` holds the latest values of each seed, of which those named `final/...` are taken; `curves`
    maps a metric to the (step, value) of each seed. The i-th values of all seeds belong to the same
    episode and stand at the median of their steps.
    """
    points = []
    for key in sorted({key for values in finals for key in values if key.startswith("final/")}):
        values = np.array([found[key] for found in finals if key in found])
        if key not in JUDGED:
            points.append(Point(key, 0, float(values.mean())))
            continue
        points.append(Point(key, 0, float(interquartile_mean(values))))
        if (ends := interval(values)) is not None:
            points += [Point(f"{key}_low", 0, ends[0]), Point(f"{key}_high", 0, ends[1])]
    for key, seeds in sorted(curves.items()):
        for together in zip(*seeds, strict=False):
            step = int(median(step for step, _ in together))
            values = np.array([value for _, value in together])
            points.append(Point(key, step, float(interquartile_mean(values))))
    return [Point(key, step, rounded(value)) for key, step, value in points]


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half along the last axis."""
    cut = values.shape[-1] // 4
    kept = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(kept.mean(axis=-1))


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """95 % bootstrap interval of the interquartile mean over seeds; None of fewer than FEWEST."""
    if len(values) < FEWEST:
        return None
    drawn = np.random.default_rng(2312_10123).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(interquartile_mean(values[drawn]), [0.025, 0.975])
    return float(low), float(high)


def configuration_note(
    seeds: Sequence[tuple[str, dict[str, float]]],
    failed: Sequence[str],
    numbers: Mapping[str, float],
) -> str:
    """A note on a parent run: the interval, and its seeds with their latest values, the best first."""
    ranking = [
        f"seed {seed}: {result(values.get('final/return'), values.get('final/mean_speed'))}"
        for seed, values in seeds
    ]
    ranking += [f"seed {seed}: failed" for seed in failed]
    over = ""
    if "final/return_low" in numbers:
        ends = (numbers[f"final/return{end}"] for end in ("", "_low", "_high"))
        over = "Final return {:.3f} [{:.3f}, {:.3f}]. ".format(*ends)
    # The page shows the first lines and hides the others.
    return (
        f"{over}Best first: "
        + "; ".join(ranking)
        + ".\n\nThe numbers of this run are the interquartile means over the seeds that finished, which "
        "are the runs nested below it (bytes, rounds and times: plain means). `_low` and `_high` are the ends "
        "of their 95 % bootstrap intervals, from five seeds on. Its parameters are those that all seeds share."
    )
