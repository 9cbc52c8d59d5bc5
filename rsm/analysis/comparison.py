"""Comparison of two studies, or of two configurations, with differences paired by seed.

Runs of one seed begin with the same parameters and meet the same traffic, as far as their settings agree: their
difference varies less than either.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis import figures, selection
from rsm.analysis.load import load_runs
from rsm.analysis.page.reading import lines
from rsm.analysis.statistics import FEWEST, interquartile_mean, interquartile_mean_estimate
from rsm.analysis.tables import interval_text, number_text
from rsm.config.catalogue import CONTROLS
from rsm.config.study import Study
from rsm.errors import ConfigError, one_line, shown
from rsm.runs.devices import kind, kind_of_run
from rsm.runs.files import write_csv, write_text

BETWEEN = "::"  # study::configuration
QUANTITIES = {  # column of a summary → what it is, and how it is written
    "final_return": ("final return", "{:.4f}"),
    "final_return_worst": ("final return of the worst agent", "{:.4f}"),
    "final_mean_speed": ("final mean speed (m/s)", "{:.2f}"),
    "megabytes": ("bytes sent by all nodes (MB)", "{:.2f}"),
}
COLUMNS = (
    "first", "second", "quantity", "pairs", "first_iqm", "second_iqm", "difference", "difference_low",
    "difference_high", "above", "seed",
)  # fmt: skip
NOTE = (
    "Difference: second minus first, paired by seed; interquartile mean over the pairs with its "
    f"95 % bootstrap interval (none below {FEWEST} pairs). Above: pairs with a difference above 0. Pairs are "
    "the seeds that finished on both sides."
)
DEVICES = (
    "The runs were computed on different kinds of device ({}), which give one seed two results: a difference "
    "may be one of devices."
)


class Side(NamedTuple):
    """One side of a comparison: its name, and a row per run (status, configuration, seed, final numbers)."""

    name: str
    runs: pd.DataFrame
    configuration: str | None  # None: every one of them, each with that of the same name


def side_of_study(name: str, study: Study, results: Path, configuration: str | None) -> Side:
    """A side from the run folders of a study; raises ConfigError for an unknown configuration."""
    index = load_runs(study, results / "runs").index
    devices = [kind_of_run(results / "runs" / run_id) or "" for run_id in index["run_id"]]
    return _checked(Side(name, index.assign(device=devices), configuration))


def side_of_table(name: str, path: Path, configuration: str | None) -> Side:
    """A side from the table runs.csv of a study whose runs are not there, such as a committed one."""
    try:
        index = pd.read_csv(path)
        index[["configuration", "seed", "status", "final_return", "final_mean_speed", "bytes_sent"]]
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"{one_line(path)}: cannot be read: it is no table of runs") from None
    return _checked(Side(name, index.assign(device=_devices(path, index)), configuration))


def _devices(path: Path, index: pd.DataFrame) -> list[str]:
    """The kind of device of each run of a table, from the manifests beside it; empty where they do not say."""
    manifests = lines(path.parent / "manifests.jsonl")
    found = {one.get("run_id"): kind(one["device"]) for one in manifests if one.get("device")}
    return [found.get(run_id, "") for run_id in index.get("run_id", [""] * len(index))]


def _checked(side: Side) -> Side:
    known = list(dict.fromkeys(side.runs["configuration"]))
    if side.configuration is not None and side.configuration not in known:
        raise ConfigError(
            f"compare: {shown(side.configuration)} is not allowed: study {side.name} has the configurations "
            f"{', '.join(map(str, known))}"
        )
    index = side.runs.assign(megabytes=side.runs["bytes_sent"] / 1e6)
    return side._replace(runs=index)


def compare(first: Side, second: Side) -> pd.DataFrame:
    """A row per pair of configurations and quantity (COLUMNS, seed empty), then one per seed of it.

    Raises ConfigError where nothing can be compared.
    """
    if (first.configuration is None) != (second.configuration is None):
        raise ConfigError(
            "compare: two studies are expected, or two configurations: STUDY::CONFIGURATION on both sides"
        )
    if first.configuration is None:
        own, other = (list(dict.fromkeys(side.runs["configuration"])) for side in (first, second))
        pairs = [(name, name) for name in own if name in other]
    else:
        pairs = [(first.configuration, str(second.configuration))]
    rows = [row for one, other in pairs for row in _rows(first, second, one, other)]
    if not rows:
        raise ConfigError(
            f"compare: {first.name} and {second.name} have nothing in common: no configuration finished "
            "with the same seed on both sides"
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(first: Side, second: Side, one: str, other: str) -> list[dict[str, object]]:
    sides = [
        selection.with_return(side.runs[side.runs["configuration"] == name]).set_index("seed")
        for side, name in ((first, one), (second, other))
    ]
    seeds = sides[0].index.intersection(sides[1].index).sort_values()
    rows: list[dict[str, object]] = []
    for quantity in QUANTITIES if len(seeds) else ():
        if not all(quantity in side and side.loc[seeds, quantity].notna().all() for side in sides):
            continue  # under a team reward no agent is the worst
        a, b = (side.loc[seeds, quantity].to_numpy(np.float64) for side in sides)
        estimate = interquartile_mean_estimate([b - a], selection.generator())
        names = {"first": f"{first.name}{BETWEEN}{one}", "second": f"{second.name}{BETWEEN}{other}"}
        about = names | {"quantity": quantity, "pairs": len(seeds)}
        rows.append(
            about
            | {
                "first_iqm": float(interquartile_mean(a)),
                "second_iqm": float(interquartile_mean(b)),
            }
            | {"difference": estimate.value, "difference_low": estimate.low}
            | {"difference_high": estimate.high, "above": int((b > a).sum())}
        )
        rows += [
            about | {"first_iqm": x, "second_iqm": y, "difference": y - x, "seed": seed}
            for seed, x, y in zip(seeds, a, b, strict=True)
        ]
    return rows


def devices_compared(first: Side, second: Side, table: pd.DataFrame) -> list[str]:
    """The kinds of device of the learning runs that a table of `compare` is of; empty where none is known."""
    found: set[str] = set()
    for side, column in ((first, "first"), (second, "second")):
        if not {"method", "device"} <= set(side.runs):
            continue
        names = table[column].str.partition(BETWEEN)[2]
        part = side.runs[
            side.runs["configuration"].isin(names) & (side.runs["status"] == "finished")
        ]
        found |= set(part.loc[~part["method"].isin(CONTROLS), "device"])
    return sorted(found - {""})


def markdown(table: pd.DataFrame, devices: Sequence[str] = ()) -> str:
    """The table of `compare`, seeds left out, as Markdown with notes; says if `devices` differ."""
    rows = []
    for row in selection.records(table[table["seed"].isna()]):
        title, form = QUANTITIES[row["quantity"]]
        rows.append(
            {
                "first": row["first"],
                "second": row["second"],
                "quantity": title,
                "first ": number_text(row["first_iqm"], form),
                "second ": number_text(row["second_iqm"], form),
                "difference": interval_text(row, "difference", form),
                "above": f"{row['above']:.0f} of {row['pairs']:.0f}",
            }
        )
    sides = ["left"] * 3 + ["right"] * 4
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=sides)
    notes = [NOTE, *([DEVICES.format(", ".join(devices))] if len(devices) > 1 else [])]
    return "\n\n".join([text, *notes]) + "\n"


def write_comparison(first: Side, second: Side, out: Path) -> list[Path]:
    """Write comparison.csv, .md, .pdf and .png into `out`; returns the files."""
    from rsm.analysis.figures import comparison as drawing

    table = compare(first, second)
    paths = [out / "comparison.csv", out / "comparison.md"]
    write_csv(paths[0], table)
    write_text(paths[1], markdown(table, devices_compared(first, second, table)))
    return [*paths, *figures.redraw(drawing, paths[0], out)]
