"""What the tables of a run say of it: one definition for summary.json, tables, figures and MLflow."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa


def judged(evaluations: pd.DataFrame, episodes: int) -> pd.DataFrame:
    """The rows of a run's evaluations that count: of the first `episodes` held-out seeds.

    Learners drive only these. A control may drive more (`evaluation.control_episodes`), but is compared on the
    same traffic, since a single episode with a collision weighs much. Seeds increase in the order of driving.
    """
    first = np.sort(evaluations["eval_seed"].unique())[:episodes]
    return evaluations[evaluations["eval_seed"].isin(first)]


def episodes_at(env_steps: pd.Series, episodes: pd.DataFrame) -> pd.Series:
    """The episode in which each count of simulation steps fell; NaN after the last that ended.

    `episodes` is that table of one run. A round of the ζ trace cannot tell: asynchronous rounds are numbered by
    their receiver.
    """
    ends = episodes["env_steps"].to_numpy()
    numbers = np.append(episodes["episode"].to_numpy(np.float64), np.nan)
    return pd.Series(numbers[np.searchsorted(ends, env_steps)], index=env_steps.index)


def last_evaluations(evaluations: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last 10 % of a run's evaluations, their number rounded up."""
    episodes = np.sort(evaluations["episode"].unique())
    return evaluations[evaluations["episode"].isin(episodes[-math.ceil(len(episodes) / 10) :])]


def worst_return(agents: pa.Table, held_out: int) -> float | None:
    """Final return of the honest agent that has the least, by mean actions; None where nobody drove.

    Each agent's return is the mean over the last evaluations and the first `held_out` seeds; the least is that
    of one agent throughout, not of another in every episode.
    """
    frame = last_evaluations(judged(agents.to_pandas(), held_out))
    frame = frame[(frame["mode"] == "deterministic") & ~frame["attacker"].astype(bool)]
    if frame.empty:
        return None
    # Of numpy, since pandas leaves NaN out and so makes a number of a failure.
    least = min(own.to_numpy().mean() for _, own in frame.groupby("agent")["return"])
    return float(least) if math.isfinite(least) else None


def final_performance(evaluations: pa.Table, held_out: int) -> dict[str, float | None]:
    """Means over the last 10 % of the evaluations, rounded up, by mode, on the first `held_out` seeds.

    None where the mode was not driven or a value is not finite.
    """
    frame = last_evaluations(judged(evaluations.to_pandas(), held_out))

    def mean(mode: str, column: str) -> float | None:
        # Not the mean of pandas, which skips NaN and would hide a failure.
        values = frame.loc[frame["mode"] == mode, column].to_numpy()
        value = float(values.mean()) if len(values) else math.nan
        return value if math.isfinite(value) else None

    return {
        "final_return": mean("deterministic", "return"),
        "final_return_stochastic": mean("stochastic", "return"),
        "final_return_worst": None,
        "final_mean_speed": mean("deterministic", "mean_speed"),
    }
