"""Are accepted replicas better? ROC curves of A⁺ by every judge against returns measured with the replica.

A replica is a *gain* where its mean return on held-out traffic is above that of the receiver's own policy. A
judge that guessed would have the diagonal, an area of ½.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from rsm.config.study import Study
from rsm.errors import ConfigError
from rsm.runs.schema import GATE, GATE_TABLE

RESAMPLES = 1000
CLEAR = 2.0  # standard errors of the mean gain beyond which it is called clear
SETS = ("all", "clear")

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
    names = np.unique(probes)
    if len(names) < 2:
        return np.nan, np.nan
    members = [np.flatnonzero(probes == name) for name in names]
    areas = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(len(names), size=len(names))
        rows = np.concatenate([members[probe] for probe in drawn])
        if 0 < gains[rows].sum() < len(rows):
            areas.append(roc_area(scores[rows], gains[rows]))
    low, high = np.quantile(areas, [0.025, 0.975]) if areas else (np.nan, np.nan)
    return float(low), float(high)


def load_gate(study: Study, results: Path) -> pd.DataFrame:
    """The table `gate` of every run that measured it, with `run_id`, `gain` and `clear`.

    Raises ConfigError where the study measures none, or a table cannot be read.
    """
    configs = {run_id: config for run_id, config in study.runs().items() if config.measures_gate}
    if not configs:
        raise ConfigError(
            f"study {study.name}: run.gate.replicas: 0 is not allowed: no run measures its gate; "
            "at least 1 is expected, and a method with a gate"
        )
    parts = []
    for run_id in configs:
        path = results / "runs" / run_id / f"{GATE}.parquet"
        try:
            part = pd.read_parquet(path, columns=list(GATE_TABLE))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or "it is not the table of a run"
            raise ConfigError(f"{path}: cannot be read: {reason}") from None
        parts.append(part.assign(run_id=run_id))
    table = pd.concat(parts, ignore_index=True)
    gain = table["return_with"] - table["return_without"]
    return table.assign(gain=gain, clear=gain.abs() > CLEAR * table["gain_error"])


def gate_table(measured: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """One row a judge and set of replicas (all, or those whose gain or loss is clear).

    Shares in percent: `gains` of the replicas, `accepted` of them, and how many of the accepted and of the
    rejected are gains. `gain_accepted` and `gain_rejected` are mean changes of the return.
    """
    rows = []
    for name in SETS:
        for judge, part in _sets(measured, name).groupby("judge", sort=False):
            gains, scores = part["gain"].to_numpy() > 0, part["advantage"].to_numpy(np.float64)
            accepted = scores > 0  # False for NaN
            probes = (part["run_id"] + " " + part["episode"].astype(str)).to_numpy()
            known = 0 < gains.sum() < len(gains)
            area = roc_area(scores, gains) if known else np.nan
            low, high = (
                roc_area_interval(scores, gains, probes, generator) if known else (np.nan, np.nan)
            )
            change = part["gain"].to_numpy()
            rows.append(
                {
                    "replicas_counted": name,
                    "judge": judge,
                    "replicas": len(part),
                    "probes": len(np.unique(probes)),
                    "gains": 100 * _mean(gains),
                    "accepted": 100 * _mean(accepted),
                    "gains_of_accepted": 100 * _mean(gains[accepted]),
                    "gains_of_rejected": 100 * _mean(gains[~accepted]),
                    "gain_accepted": _mean(change[accepted]),
                    "gain_rejected": _mean(change[~accepted]),
                    "area": area,
                    "area_low": low,
                    "area_high": high,
                }
            )
    return pd.DataFrame(rows)


_OF_CURVE = ("replicas_counted", "judge", "replicas", "area", "area_low", "area_high")


def gate_curves(measured: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Points of the ROC curve of every judge and set, with the area and its interval; what the figure draws."""
    parts = []
    for row in table.to_dict("records"):
        part = _sets(measured, row["replicas_counted"])
        part = part[part["judge"] == row["judge"]]
        gains = part["gain"].to_numpy() > 0
        if not 0 < gains.sum() < len(gains):
            continue
        curve = roc_curve(part["advantage"].to_numpy(np.float64), gains)
        parts.append(
            pd.DataFrame(curve._asdict()).assign(
                **{name: row[name] for name in _OF_CURVE},
                # The gate itself is the threshold 0.
                gate_false_positive=_mean(part["advantage"].to_numpy()[~gains] > 0),
                gate_true_positive=_mean(part["advantage"].to_numpy()[gains] > 0),
            )
        )
    columns = [*Curve._fields, *_OF_CURVE, "gate_false_positive", "gate_true_positive"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _sets(measured: pd.DataFrame, name: str) -> pd.DataFrame:
    """The replicas of a set, without those identical to the receiver's own policy."""
    different = measured[~measured["identical"]]
    return different if name == "all" else different[different["clear"]]


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _both_classes(gains: Flags) -> None:
    if not 0 < gains.sum() < len(gains):
        raise ValueError("a ROC curve needs gains and losses")
