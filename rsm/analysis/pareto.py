"""What return costs in bytes: the Pareto front of a study's configurations, and the price against `fmarl`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection, worlds
from rsm.analysis.labels import topology_label
from rsm.analysis.load import Runs
from rsm.analysis.statistics import UNKNOWN, Estimate, interquartile_mean_estimate
from rsm.analysis.tables import interval_text, number_text
from rsm.analysis.verdicts import Verdict, compared

MARGIN = 0.01  # of return, about 0.2 m/s of mean speed: as much below fmarl still reaches it
NOTE = (
    "Final return and total bytes transmitted: interquartile means over seeds with 95 % bootstrap "
    "intervals (none below five seeds). *Return at fmarl's bytes*: the return at the last evaluation up "
    "to which no more was sent than `fmarl` sends in total; it comes from single evaluations and so "
    "varies more. *On the front*: no other configuration has at least as high a return for at most as "
    "many bytes. *Reaches fmarl*: yes if the whole interval of the difference to `fmarl`, paired by "
    f"seed, is above −{MARGIN:g}. A configuration is named by the settings that distinguish it from most "
    "configurations of its method."
)


def points(runs: Runs) -> pd.DataFrame:
    """Every learning run, and its configuration, as a point.

    Columns: those of `facets.final_scores` for `return` and `megabytes` (transmitted in total), `name`, and
    `front`, whether the configuration is on the front of its world.
    """
    index = selection.learners(runs)
    index = index.assign(megabytes=index["bytes_sent"] / 1e6)
    scores = facets.final_scores(index, {"final_return": "return", "megabytes": "megabytes"})
    scores["name"] = scores["configuration"].map(names(scores))
    parts = [worlds.in_world(scores, world) for world in worlds.listed(scores)] or [scores]
    best = [configuration for part in parts for configuration in front(part)]
    return scores.assign(front=scores["configuration"].isin(best))


def front(scores: pd.DataFrame) -> list[str]:
    """Configurations that no other beats, by at least their return for at most their bytes, not both equal."""
    known = scores.drop_duplicates("configuration").dropna(subset=["return_iqm", "megabytes_iqm"])
    returns, megabytes = (known[f"{name}_iqm"].to_numpy() for name in ("return", "megabytes"))
    cheaper = megabytes[:, None] <= megabytes  # [other, own]
    better = returns[:, None] >= returns
    strictly = (megabytes[:, None] < megabytes) | (returns[:, None] > returns)
    beaten = (cheaper & better & strictly).any(axis=0)
    return [str(name) for name in known["configuration"].to_numpy()[~beaten]]


def names(scores: pd.DataFrame) -> dict[str, str]:
    """Configuration → method, and what sets it apart from most configurations of that method."""
    found = {}
    for method, part in scores.drop_duplicates("configuration").groupby("method", sort=False):
        words = {row["configuration"]: _words(row) for row in selection.records(part)}
        counts = Counter(word for own in words.values() for word in own)
        for configuration, own in words.items():
            rest = [word for word in own if 2 * counts[word] <= len(words)]
            found[configuration] = f"{method} ({', '.join(rest)})" if rest else str(method)
    return found


def whole_names(scores: pd.DataFrame) -> pd.Series:
    """Method with all that sets a configuration apart, row by row: what looks are given by."""
    return scores.apply(lambda row: f"{row['method']} ({', '.join(_words(row))})", axis=1)


def _words(row: dict[str, object]) -> list[str]:
    _, _, rest = str(row["label"]).partition(" (")
    words = [word for word in rest.removesuffix(")").split(", ") if word]
    if isinstance(row["topology"], str):
        words.append(topology_label(row["topology"]))
    if np.isfinite(segments := float(row["segments"] or np.nan)):  # type: ignore[arg-type]
        words.append(f"P = {segments:g}")
    return words


def table(runs: Runs) -> pd.DataFrame:
    """One row per learning configuration, those that send least first.

    Columns: method, configuration, name, seeds; return_iqm and megabytes_iqm with _low and _high;
    return_at_equal_bytes with _low and _high, at the last evaluation by which no more was sent than `fmarl`
    sends in all its training; in pairs of a seed with `fmarl`, each with _low and _high: ahead_of_fmarl
    (return) and bytes_over_fmarl (a ratio); reaches_fmarl (a verdict) and front.
    """
    index = selection.learners(runs)
    scores = points(runs)
    finished = selection.with_return(index)
    curves = facets.scores_by_seed(runs, index)
    rows = []
    for row in selection.records(scores.drop_duplicates("configuration")):
        part = finished[finished["configuration"] == row["configuration"]]
        ahead, ratio, pairs = _against_fmarl(part, index)
        keys = ("method", "configuration", "name")
        found = {key: row[key] for key in keys} | {"seeds": len(part)}
        for name in ("return", "megabytes"):
            found |= {f"{name}_{end}": row[f"{name}_{end}"] for end in ("iqm", "low", "high")}
        central = selection.reference(part, index, "fmarl")
        equal = _return_by(
            curves.get(row["configuration"]), central["bytes_sent"].astype(float).max()
        )
        estimates = {"return_at_equal_bytes": equal, "ahead_of_fmarl": ahead}
        for name, estimate in (estimates | {"bytes_over_fmarl": ratio}).items():
            ends = (name, f"{name}_low", f"{name}_high")
            found |= dict(zip(ends, estimate, strict=True))
        found["reaches_fmarl"] = str(compared(ahead, pairs, above=-MARGIN))
        rows.append(found | {"front": row["front"]})
    frame = pd.DataFrame(rows)
    return frame.sort_values("megabytes_iqm", kind="stable") if rows else frame


def _return_by(curves: pd.DataFrame | None, limit: float) -> Estimate:
    """Return at each seed's last evaluation with at most `limit` bytes sent, of `facets.scores_by_seed`."""
    if curves is None or not np.isfinite(limit):
        return UNKNOWN
    sent, returns = pd.DataFrame(curves["bytes_sent"]), pd.DataFrame(curves["return"])
    reached = returns.where(sent <= limit).ffill().iloc[-1]
    return selection.estimate(reached)


def _against_fmarl(part: pd.DataFrame, index: pd.DataFrame) -> tuple[Estimate, Estimate, int]:
    """Return ahead of fmarl and bytes over those of fmarl, and of how many pairs."""
    central = selection.reference(part, index, "fmarl")
    if part.empty or central.empty or set(part["configuration"]) == set(central["configuration"]):
        return UNKNOWN, UNKNOWN, 0
    columns = ["final_return", "bytes_sent"]
    own, other = (side.set_index("seed")[columns].astype(float) for side in (part, central))
    ahead = (own - other)["final_return"].dropna().to_numpy()
    ratio = (own / other)["bytes_sent"].dropna().to_numpy()
    if not len(ahead):
        return UNKNOWN, UNKNOWN, 0
    estimates = [
        interquartile_mean_estimate([values], selection.generator()) for values in (ahead, ratio)
    ]
    return estimates[0], estimates[1], len(ahead)


def markdown(frame: pd.DataFrame, study: str) -> str:
    """The table as Markdown with what its columns mean."""
    heading = f"# {study}: return and bytes"
    rows = [
        {
            "configuration": row["name"],
            "return": interval_text(row, "return", "{:.3f}", "_iqm"),
            "sent (MB)": number_text(row["megabytes_iqm"], "{:.3g}"),
            "return at fmarl's bytes": interval_text(row, "return_at_equal_bytes", "{:.3f}"),
            "bytes / fmarl": number_text(row["bytes_over_fmarl"], "{:.2f}"),
            "ahead of fmarl": interval_text(row, "ahead_of_fmarl", "{:.3f}"),
            "reaches fmarl": "–" if row["reaches_fmarl"] == Verdict.NOT_RUN else _answer(row),
            "on the front": "yes" if row["front"] else "",
        }
        for row in selection.records(frame)
    ]
    if not rows:
        return f"{heading}\n\nNo run of a method.\n"
    sides = ["left", *["right"] * 5, "left", "left"]
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    return "\n\n".join([heading, text, NOTE]) + "\n"


def _answer(row: dict[str, object]) -> str:
    answers = {str(Verdict.HOLDS): "yes", str(Verdict.FAILS): "no"}
    return answers.get(str(row["reaches_fmarl"]), str(row["reaches_fmarl"]))
