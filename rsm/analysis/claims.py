"""Checks each claim of the paper, and what we add to it, against the tables of the studies (`rsm claims`).

The claims are data (claims.yaml); configurations are found by method and axes, never by the text of a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis import selection
from rsm.analysis.statistics import FEWEST, UNKNOWN, Estimate, interquartile_mean_estimate
from rsm.analysis.verdicts import Verdict, compared, never
from rsm.config.axes import AXES, setting
from rsm.config.loading import load_yaml
from rsm.config.run import RunSettings
from rsm.errors import ConfigError, one_line

CLAIMS = Path(__file__).with_name("claims.yaml")
WRITTEN = "as written"
# The variants of `rsm` for which a claim is checked, by their axes; a claim may name others.
VARIANTS: dict[str, dict[str, Any]] = {
    WRITTEN: {"rule": "theorem2", "published_code": None},
    "code aug": {"published_code": "aug"},
    "code jul": {"published_code": "jul"},
}

# Judge of a gate study → the variant that it is.
GATES = {
    "own": WRITTEN, "aug": "code aug", "jul": "code jul", "peers": "judged by peers",
}  # fmt: skip

_EQUAL = 1.0  # the ratio of two that send alike


class Finding(NamedTuple):
    """The result for one claim and one variant: a row of claims.csv."""

    claim: str
    number: str  # what was computed
    limit: str  # where the claim says that it is
    variant: str
    verdict: str
    value: float
    low: float
    high: float
    points: str  # one number per seed, where they are too few for an interval
    happened: int | None  # of a claim that something never happens: how often it did
    tried: int | None  # and how often it could
    study: str
    figure: str
    seeds: int | None  # pairs of seeds; None where the number is not of seeds


def findings(folders: Sequence[Path], study: str | None = None) -> list[Finding]:
    """All claims in their order, a row per variant, from the first of `folders` that has the study.

    `study`: only the claims that this one decides. A folder holds `<study>/tables/`. Raises
    ConfigError for a table that cannot be read.
    """
    found: list[Finding] = []
    content = load_yaml(CLAIMS)
    for claim in content["claims"]:
        if study is not None and claim["study"] != study:
            continue
        tables = next((f / claim["study"] / "tables" for f in folders if _has(f, claim)), None)
        try:
            named = claim.get("variants")
            variants = VARIANTS if named is None else content["variants"][named]
            judged = list(_judged(claim, variants, tables))
        except KeyError as error:
            raise ConfigError(f"{one_line(tables or '')}: a table has no column {error}") from None
        for variant, judgement in judged:
            about = {key: claim[key] for key in ("claim", "number", "study", "figure")}
            about["limit"] = _limit(claim)
            found.append(Finding(**_NOTHING | about | {"variant": variant} | judgement))
    return found


_NOTHING: dict[str, Any] = {
    "verdict": str(Verdict.NOT_RUN), "value": np.nan, "low": np.nan, "high": np.nan, "points": "",
    "happened": None, "tried": None, "seeds": None,
}  # fmt: skip


def in_readme() -> list[str]:
    """The claims that README has in its table, in their order."""
    return [claim["claim"] for claim in load_yaml(CLAIMS)["claims"] if claim.get("readme")]


def added() -> tuple[str, dict[str, str]]:
    """What README says that we add to the paper: how it begins, and claim → the question it answers."""
    content = load_yaml(CLAIMS)
    return content["added"], {c["claim"]: c["added"] for c in content["claims"] if "added" in c}


def _limit(claim: dict[str, Any]) -> str:
    """Where the claim says that its number is, in words."""
    if "never" in claim:
        return "none"
    if "cheapest" in claim:
        return f"below {_EQUAL:g}"
    compare = claim.get("compare") or claim["gate"]
    side = "above" if "above" in compare else "below"
    return f"{side} {compare[side]:g}".replace("-", "−")


def _has(folder: Path, claim: dict[str, Any]) -> bool:
    return (folder / claim["study"] / "tables").is_dir()


def _judged(
    claim: dict[str, Any], variants: dict[str, dict[str, Any]], tables: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Variant → what is known of the claim for it."""
    if "never" in claim:
        yield WRITTEN, _never(tables, **claim["never"])
        return
    if "cheapest" in claim:
        yield WRITTEN, _cheapest(tables, **claim["cheapest"])
        return
    if "gate" in claim:
        for judge, variant in GATES.items():
            yield variant, _gate(tables, judge, **claim["gate"])
        return
    runs = _table(tables, "runs")
    for variant, axes in variants.items():
        yield variant, _compared(runs, axes, **claim["compare"])


def _compared(
    runs: pd.DataFrame | None,
    variant: dict[str, Any],
    quantity: str,
    of: dict[str, Any],
    to: dict[str, Any],
    ratio: bool = False,
    above: float | None = None,
    below: float | None = None,
) -> dict[str, Any]:
    if runs is None:
        return {}
    sides = []
    for side in (of, to):
        axes = (variant if side["method"] == "rsm" else {}) | side.get("where", {})
        chosen = one_configuration(runs, side["method"], axes)
        sides.append(chosen.set_index("seed")[quantity].dropna().astype(np.float64))
    own, other = sides
    pairs = (own / other if ratio else own - other).dropna()
    estimate = UNKNOWN
    if len(pairs):
        estimate = interquartile_mean_estimate([pairs.to_numpy()], selection.generator())
    verdict = compared(estimate, len(pairs), above, below)
    few = " ".join(f"{value:.6g}" for value in pairs) if len(pairs) < FEWEST else ""
    return estimate._asdict() | {"verdict": str(verdict), "points": few, "seeds": len(pairs)}


def one_configuration(runs: pd.DataFrame, method: str, axes: dict[str, Any]) -> pd.DataFrame:
    """Finished rows of runs.csv of one configuration of a method: with these axes, else the published values.

    Where the study lacks the published value of an axis, the first that it has is taken; of several worlds the
    first. None stands for a value that is not there. A configuration whose runs all failed is not replaced.
    """
    found = runs[runs["method"] == method]
    for name, value in axes.items():
        same = found[name].isna() if value is None else found[name] == value
        found = found[same]
    for axis in AXES:
        values = found[axis.name].dropna().unique()
        if axis.name not in axes and len(values):
            usual = setting(RunSettings(), axis.setting)
            found = found[found[axis.name] == (usual if usual in values else values[0])]
    first = found["configuration"] == found["configuration"].iloc[:1].squeeze()
    return found[first & (found["status"] == "finished")]


def _never(
    tables: Path | None, table: str, where: dict[str, Any], count: str, total: str
) -> dict[str, Any]:
    frame = _table(tables, table)
    if frame is None:
        return {}
    for name, value in where.items():
        frame = frame[frame[name] == value]
    happened, tried = int(frame[count].sum()), int(frame[total].sum())
    shares = 100 * frame[count] / frame[total].where(frame[total] > 0)
    value = 100 * happened / tried if tried else np.nan
    return {
        "verdict": str(never(happened, tried)), "happened": happened, "tried": tried,
        "value": value, "low": shares.min(), "high": shares.max(),
    }  # fmt: skip


def _cheapest(tables: Path | None, method: str) -> dict[str, Any]:
    """Of the configurations of a method that reach `fmarl`, the one that sends least.

    Where none does but one may, it cannot be told; where none can, the claim does not hold. Of many settings
    one may reach it by luck: the table has all of them.
    """
    frame = _table(tables, "pareto")
    if frame is None:
        return {}
    own = frame[(frame["method"] == method) & (frame["reaches_fmarl"] != Verdict.NOT_RUN)]
    reaching = own[own["reaches_fmarl"] == Verdict.HOLDS].sort_values("bytes_over_fmarl")
    if own.empty:
        return {}
    if reaching.empty:
        open_ = (own["reaches_fmarl"] == Verdict.UNTOLD).any()
        return {"verdict": str(Verdict.UNTOLD if open_ else Verdict.FAILS)}
    [best] = selection.records(reaching.head(1))
    estimate = Estimate(*(best[f"bytes_over_fmarl{end}"] for end in ("", "_low", "_high")))
    seeds = int(best["seeds"])
    verdict = compared(estimate, seeds, below=_EQUAL)
    return estimate._asdict() | {"verdict": str(verdict), "seeds": seeds}


def _gate(
    tables: Path | None,
    judge: str,
    quantity: str,
    above: float,
) -> dict[str, Any]:
    """A number of the replicas that one judge judged; of fewer than five runs it cannot be told.

    What is said of accepted replicas counts the runs that accepted one. A table of a version that counted no
    runs says nothing for certain.
    """
    frame = _table(tables, "gate")
    if frame is None:
        return {}
    chosen = frame[(frame["judge"] == judge) & (frame["replicas_counted"] == "all")]
    rows = selection.records(chosen)
    if not rows:
        return {}
    row = rows[0]
    seeds = row.get("runs_accepting" if quantity == "gain_accepted" else "runs")
    estimate = Estimate(row[quantity], np.nan, np.nan)
    if seeds is not None and seeds >= FEWEST:  # of fewer, moments do not tell how runs vary
        estimate = Estimate(*(row[f"{quantity}{end}"] for end in ("", "_low", "_high")))
    verdict = compared(estimate, max(1, int(seeds or 0)), above)
    return estimate._asdict() | {"verdict": str(verdict), "seeds": seeds}


def _table(tables: Path | None, name: str) -> pd.DataFrame | None:
    """A table of a study as it lies there; None where it is not there."""
    path = None if tables is None else tables / f"{name}.csv"
    if path is None or not path.is_file():
        return None
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{one_line(path)}: cannot be read: {one_line(error)}") from None
