"""Writes rliable_reference.json: numbers of the package rliable for scores of ours.

rliable brings arch, statsmodels, seaborn and more along, and arch 7.2 cannot be imported beside the
pandas 3 of this project, so rliable's answers are kept as a file. To make it anew, in an environment
of its own:

    pip install rliable==1.2.0 "pandas<3" && python tests/analysis/rliable_reference.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics


def scores(runs: int, tasks: int, mean: float, seed: int) -> np.ndarray:
    """Returns of `runs` runs on `tasks` tasks, rounded so that some are equal."""
    return np.random.default_rng(seed).normal(mean, 0.02, (runs, tasks)).round(2)


def case(runs_x: int, runs_y: int, tasks: int, seed: int) -> dict[str, object]:
    """One comparison with everything that rliable says of it."""
    x, y = scores(runs_x, tasks, 0.21, seed), scores(runs_y, tasks, 0.20, seed + 1)
    np.random.seed(seed)  # noqa: NPY002  rliable draws from the global generator
    _, interval = library.get_interval_estimates(
        {"x": x}, lambda array: np.array([metrics.aggregate_iqm(array)]), reps=20_000
    )
    _, improvement = library.get_interval_estimates(
        {"xy": [x, y]},
        lambda a, b: np.array([metrics.probability_of_improvement(a, b)]),
        reps=5_000,
    )
    thresholds = np.linspace(0.15, 0.27, 13)
    profile, profile_interval = library.create_performance_profile({"x": x}, thresholds)
    return {
        "x": x.T.tolist(),
        "y": y.T.tolist(),
        "iqm": metrics.aggregate_iqm(x),
        "iqm_interval": interval["x"].ravel().tolist(),
        "improvement": metrics.probability_of_improvement(x, y),
        "improvement_interval": improvement["xy"].ravel().tolist(),
        "thresholds": thresholds.tolist(),
        "profile": profile["x"].tolist(),
        "profile_interval": profile_interval["x"].tolist(),
    }


if __name__ == "__main__":
    cases = [case(3, 3, 1, 0), case(10, 8, 1, 10), case(5, 7, 4, 20), case(12, 12, 3, 30)]
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"rliable": "1.2.0", "cases": cases}, indent=1) + "\n")
