"""Are accepted replicas better? ROC curves of A⁺ by every judge against returns measured with the replica.

A replica is a *gain* where its mean return on held-out traffic is above that of the receiver's own policy. A
judge that guessed would have the diagonal, an area of ½.

And how many states B a question to peers needs (`gate.states`): the same replicas, judged by questions of fewer
states, beside those of `mixing.states`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from rsm.config.run import RunConfig
from rsm.config.study import Study
from rsm.errors import ConfigError
from rsm.exchange.frames import HEADER_SIZE
from rsm.runs.devices import one_kind
from rsm.runs.schema import GATE, GATE_TABLE
from rsm.theory.roc import (
    Curve,
    interval,
    mean_interval,
    resampled_areas,
    roc_area,
    roc_area_interval,
    roc_curve,
)
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.observation import observation_size

CLEAR = 2.0  # standard errors of the mean gain beyond which it is called clear
SETS = ("all", "clear")
ENOUGH = 0.02  # how far below that of `mixing.states` the area of fewer states may lie


def load_gate(study: Study, results: Path) -> pd.DataFrame:
    """The table `gate` of every run that measured it, with `run_id`, `gain`, `clear` and, for peers, `states`.

    Raises ConfigError where the study measures none, a table cannot be read, or runs were computed on different
    kinds of device.
    """
    configs = {run_id: config for run_id, config in study.runs().items() if config.measures_gate}
    if not configs:
        raise ConfigError(
            f"study {study.name}: run.gate.replicas: 0 is not allowed: no run measures its gate; "
            "at least 1 is expected, and a method with a gate"
        )
    one_kind(results / "runs", configs)
    parts = []
    for run_id, config in configs.items():
        path = results / "runs" / run_id / f"{GATE}.parquet"
        try:
            part = pd.read_parquet(path, columns=list(GATE_TABLE))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or "it is not the table of a run"
            raise ConfigError(f"{path}: cannot be read: {reason}") from None
        states = part["judge"].map(lambda judge, config=config: _states_of(judge, config))
        question = states * _bytes_a_state(config) + 2 * HEADER_SIZE * config.mixing.jurors
        parts.append(part.assign(run_id=run_id, states=states, question_bytes=question))
    table = pd.concat(parts, ignore_index=True)
    gain = table["return_with"] - table["return_without"]
    return table.assign(gain=gain, clear=gain.abs() > CLEAR * table["gain_error"])


def gate_table(measured: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """One row a judge and set of replicas (all, or those whose gain or loss is clear).

    Shares in percent: `gains` of the replicas, `accepted` of them, and how many of the accepted and of the
    rejected are gains. `gain_accepted` and `gain_rejected` are mean changes of the return; the former and the
    area have 95 % intervals, by a bootstrap over `runs` and their `probes`. `runs_accepting` of the runs have a
    replica that was accepted.
    """
    rows = []
    apart = generator.spawn(1)[0]  # the intervals of areas do not depend on those of gains
    measured = measured[~measured["judge"].str.contains(":")]
    for name in SETS:
        for judge, part in _sets(measured, name).groupby("judge", sort=False):
            gains, scores = part["gain"].to_numpy() > 0, part["advantage"].to_numpy(np.float64)
            accepted = scores > 0  # False for NaN
            probes, runs = _probes(part), part["run_id"].to_numpy()
            known = 0 < gains.sum() < len(gains)
            area = roc_area(scores, gains) if known else np.nan
            low, high = (
                roc_area_interval(scores, gains, runs, probes, generator)
                if known
                else (np.nan, np.nan)
            )
            change = part["gain"].to_numpy(np.float64)
            gain_low, gain_high = mean_interval(change, accepted, runs, probes, apart)
            rows.append(
                {
                    "replicas_counted": name,
                    "judge": judge,
                    "replicas": len(part),
                    "runs": len(np.unique(runs)),
                    "runs_accepting": len(np.unique(runs[accepted])),
                    "probes": len(np.unique(probes)),
                    "gains": 100 * _mean(gains),
                    "accepted": 100 * _mean(accepted),
                    "gains_of_accepted": 100 * _mean(gains[accepted]),
                    "gains_of_rejected": 100 * _mean(gains[~accepted]),
                    "gain_accepted": _mean(change[accepted]),
                    "gain_accepted_low": gain_low,
                    "gain_accepted_high": gain_high,
                    "gain_rejected": _mean(change[~accepted]),
                    "area": area,
                    "area_low": low,
                    "area_high": high,
                }
            )
    return pd.DataFrame(rows)


def states_table(measured: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """One row a number of states B and set of replicas: how well questions of B states tell gains from losses.

    `loss` is how much smaller the area is than with the most states, on the same replicas. An area is `enough`
    that is at least the `needed` one, `ENOUGH` below that of the most states. `question_bytes` are those of a
    replica, answers included, where all jurors answer.
    """
    replica, rows = ["run_id", "episode", "agent"], []
    for name in SETS:
        part = _sets(measured[measured["states"].notna()], name)
        asked = part.pivot(index=replica, columns="states", values="advantage")  # by rising B
        of_all = part.drop_duplicates(replica).set_index(replica).loc[asked.index].reset_index()
        gains, probes = of_all["gain"].to_numpy() > 0, _probes(of_all)
        scores, known = asked.to_numpy(np.float64).T, 0 < gains.sum() < len(gains)
        areas = [roc_area(one, gains) if known else np.nan for one in scores]
        resampled = (
            resampled_areas(scores, gains, of_all["run_id"].to_numpy(), probes, generator)
            if known
            else np.empty((len(scores), 0))
        )
        needed = areas[-1] - ENOUGH if areas else np.nan
        for place, states in enumerate(asked.columns):
            area_low, area_high = interval(resampled[place])
            loss_low, loss_high = interval(resampled[-1] - resampled[place])
            rows.append(
                {
                    "replicas_counted": name,
                    "states": states,
                    "question_bytes": part.loc[part["states"] == states, "question_bytes"].mean(),
                    "replicas": len(gains),
                    "probes": len(np.unique(probes)),
                    "area": areas[place],
                    "area_low": area_low,
                    "area_high": area_high,
                    "loss": areas[-1] - areas[place],
                    "loss_low": loss_low,
                    "loss_high": loss_high,
                    "needed": needed,
                    "enough": areas[place] >= needed,
                }
            )
    return pd.DataFrame(rows, columns=_OF_STATES).astype({"states": int})


_OF_STATES = (
    *("replicas_counted", "states", "question_bytes", "replicas", "probes"),
    *("area", "area_low", "area_high", "loss", "loss_low", "loss_high", "needed", "enough"),
)


def _states_of(judge: str, config: RunConfig) -> float:
    """B of a judge's questions; NaN where nobody is asked."""
    name, _, count = judge.partition(":")
    if name != "peers":
        return float("nan")
    return float(count or config.mixing.judged_states)


def _bytes_a_state(config: RunConfig) -> int:
    """Bytes that a state adds to what a replica costs: a question and an answer for each juror."""
    numbers = observation_size(config.traffic) + 2 * TrafficEnv.action_size + 1
    return config.mixing.jurors * 4 * numbers


def _probes(part: pd.DataFrame) -> NDArray:
    """The moment that each row belongs to."""
    return (part["run_id"] + " " + part["episode"].astype(str)).to_numpy()


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
