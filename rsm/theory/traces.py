"""ζ in training: statistics of the ζ traces of a study's runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from rsm.config.run import RunConfig
from rsm.config.study import Study
from rsm.errors import ConfigError
from rsm.theory.variations import variations

COLUMNS = ["round", "env_steps", "advantage", "epsilon", "quadratic_form", "constant", "bound"]
COLUMNS += ["zeta", "outcome"]
IDENTITY = ["rule", "share", "gamma", "ratio", "zeta_max"]
CONFIGURATION = ["variation", *IDENTITY[:-1]]
THIRDS = 3
AT_CAP = 1 - 1e-6  # of ζ_max: float32 in training


def load_traces(study: Study, results: Path) -> pd.DataFrame:
    """Every judged replica of every run, with what its run is, one row each.

    The column `rule` names how ζ was found; C of the trace is `constant`. `variation` is "" for a
    run of the grid, `third` counts the rounds of a run from 0 to 2. Raises ConfigError for a missing run.
    """
    runs = {results / "runs" / name: config for name, config in study.runs().items()}
    runs |= {results / "variations" / name: config for name, config in variations(study).items()}
    parts = [_trace(folder, config) for folder, config in runs.items()]
    return pd.concat(parts, ignore_index=True)


def _trace(folder: Path, config: RunConfig) -> pd.DataFrame:
    try:
        trace = pd.read_parquet(folder / "zeta.parquet", columns=COLUMNS)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or "it is not the table of a run"
        raise ConfigError(f"{folder}: zeta.parquet cannot be read: {reason}") from None
    last = max(int(trace["round"].max()), 1) if len(trace) else 1
    grid = folder.parent.name == "runs"
    return trace.assign(
        variation="" if grid else folder.name.rpartition("-seed")[0],
        rule=config.mixing.rule,
        share=config.communication.share,
        gamma=config.sac.gamma,
        ratio=round(config.sac.actor_lr / config.sac.critic_lr, 6),
        zeta_max=config.mixing.zeta_max,
        seed=config.seed,
        third=((trace["round"] - 1) * THIRDS // last).clip(upper=THIRDS - 1),
        progress=trace["round"] / last,
        accepted=trace["outcome"] == "accepted",
    )


def training_table(traces: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration: acceptance over all and in the first and last third, ζ, how often the cap
    binds.

    Shares in percent: `acceptance*` of judged replicas, `at_cap` of accepted ones, `bound_above_cap` of
    those with A⁺ > 0 (there the bound of Theorem 2 exceeds ζ_max, whatever rule was used).
    """
    rows = []
    for configuration, part in traces.groupby(CONFIGURATION, sort=False):
        taken = part[part["accepted"]]
        zeta = taken["zeta"]
        positive = part[part["bound"].notna()]
        thirds = 100 * part.groupby("third")["accepted"].mean()
        rows.append(
            {
                **dict(zip(CONFIGURATION, configuration, strict=True)),
                "runs": part["seed"].nunique(),
                "judged": len(part),
                "accepted": len(taken),
                "acceptance": 100 * part["accepted"].mean(),
                "acceptance_first_third": thirds.get(0, np.nan),
                "acceptance_last_third": thirds.get(THIRDS - 1, np.nan),
                "at_cap": 100 * (zeta >= AT_CAP * taken["zeta_max"]).mean(),
                "bound_above_cap": 100 * (positive["bound"] > positive["zeta_max"]).mean(),
                "zeta_p10": zeta.quantile(0.1),
                "zeta_median": zeta.median(),
                "zeta_p90": zeta.quantile(0.9),
                "zeta_last_third": taken.loc[taken["third"] == THIRDS - 1, "zeta"].median(),
            }
        )
    return pd.DataFrame(rows)


def base(traces: pd.DataFrame) -> pd.DataFrame:
    """The runs of the study with the published rule and shared actors, without variations."""
    grid = (traces["variation"] == "") & (traces["rule"] == "theorem2")
    return traces[grid & (traces["share"] == "actor")]


def gamma_table(traces: pd.DataFrame) -> pd.DataFrame:
    """ζ of accepted replicas by γ, and its two factors: ζ = (1−γ)/√γ · sqrt(A⁺/(εq)) below the cap."""
    named = traces["variation"].str.startswith("gamma-")
    taken = pd.concat([traces[named], base(traces)])
    taken = taken[taken["accepted"]].copy()
    form = taken["epsilon"] * taken["quadratic_form"]
    taken["evidence"] = np.sqrt(taken["advantage"] / form)
    grouped = taken.groupby("gamma")
    table = pd.DataFrame(
        {
            "accepted": grouped.size(),
            "zeta_p10": grouped["zeta"].quantile(0.1),
            "zeta_median": grouped["zeta"].median(),
            "zeta_p90": grouped["zeta"].quantile(0.9),
            "evidence_median": grouped["evidence"].median(),
        }
    ).reset_index()
    table.insert(1, "discount_factor", (1 - table["gamma"]) / np.sqrt(table["gamma"]))
    return table


def distance_table(traces: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """ζ and acceptance of the base runs by policy distance q, in bins of equal counts of judged replicas.

    `slope` is that of log ζ over log q by least squares, over all accepted replicas below the cap.
    """
    judged = base(traces)
    judged = judged[judged["quadratic_form"] > 0]
    number = pd.qcut(judged["quadratic_form"], bins, labels=False, duplicates="drop")
    taken = judged.where(judged["accepted"])
    table = pd.DataFrame(
        {
            "q_median": judged["quadratic_form"].groupby(number).median(),
            "judged": judged["accepted"].groupby(number).size(),
            "acceptance": 100 * judged["accepted"].groupby(number).mean(),
            "zeta_p10": taken["zeta"].groupby(number).quantile(0.1),
            "zeta_median": taken["zeta"].groupby(number).median(),
            "zeta_p90": taken["zeta"].groupby(number).quantile(0.9),
        }
    ).reset_index(drop=True)
    below = judged[judged["accepted"] & (judged["zeta"] < AT_CAP * judged["zeta_max"])]
    logs = np.log(below[["quadratic_form", "zeta"]].to_numpy(dtype=np.float64))
    slope = np.polyfit(logs[:, 0], logs[:, 1], 1)[0] if len(logs) > 1 else np.nan
    return table.assign(slope=slope)


def acceptance_curve(traces: pd.DataFrame, bins: int = 12) -> pd.DataFrame:
    """Acceptance over the course of training, in percent, by ratio of learning rates and by what is shared."""
    named = traces["variation"].str.startswith("ratio-")
    grid = (traces["variation"] == "") & (traces["rule"] == "theorem2")
    part = traces[named | grid]
    number = np.minimum((part["progress"] * bins).astype(int), bins - 1)
    grouped = part.groupby(["share", "ratio", (number + 0.5) / bins])["accepted"]
    table = grouped.agg(["size", "mean"]).reset_index()
    table.columns = pd.Index(["share", "ratio", "progress", "judged", "acceptance"])
    return table.assign(acceptance=100 * table["acceptance"])
