"""Metrics, parameters and the note of a run folder for MLflow.

Steps are simulation steps driven in training. What happens within an episode (rounds, judged
replicas) is summed up per episode and logged at the step at which the episode ended.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from rsm.runs.performance import episodes_at, judged
from rsm.runs.schema import AGENTS, OPTIONAL, TABLES

# In C, where it is there: the other one takes ten times as long, for every run of a study.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FINAL = (
    "final_return",
    "final_return_stochastic",
    "final_return_worst",
    "final_mean_speed",
    "rounds",
    "messages",
    "bytes_sent",
    "payload_per_agent",
    "heaviest_share",
    "acceptance_rate",
    "zeta_mean",
    "updates_not_made",
    "collisions",
    "wall_s",
    "cpu_s",
    "peak_memory_mb",
)
# In MB here, 10⁶ bytes, as in the tables.
MEGABYTES = {
    "comm/bytes_sent": "comm/MB_sent",
    "final/bytes_sent": "final/MB_sent",
    "final/payload_per_agent": "final/payload_MB_per_agent",
}
JUDGED = ("final/return", "final/return_stochastic", "final/return_worst", "final/mean_speed")
PREVIEWS = (
    "episodes",
    "evaluations",
    "exchange",
)  # small enough to read; the UI shows CSV, not parquet


class Point(NamedTuple):
    """One value of a metric; `step` counts simulation steps, and is 0 where there is but one value."""

    key: str
    step: int
    value: float


def metrics(run_dir: Path) -> list[Point]:
    """All training curves of a run folder, and its final numbers.

    Of the evaluations only the episodes that it is judged by, as in tables and figures; what is not finite is
    no number.
    """
    files = {name: run_dir / f"{name}.parquet" for name in (*TABLES, *OPTIONAL)}
    table = {name: pd.read_parquet(file) for name, file in files.items() if file.is_file()}
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    settings = read_settings(run_dir)
    found = manifest | summary
    # MLflow draws a metric as bars only if no run has it at a later step than 0.
    final = [
        Point(f"final/{key.removeprefix('final_')}", 0, float(found[key]))
        for key in FINAL
        if found.get(key) is not None
    ]
    return [*curves(table, settings["evaluation"]["episodes"]), *_for_readers(final)]


def curves(table: Mapping[str, pd.DataFrame], held_out: int) -> list[Point]:
    """The training curves in the tables of a run, finished or under way, judged on `held_out` seeds.

    A longer run has the same points and further ones.
    """
    points = [
        *_episodes(table["episodes"]),
        *_rounds(table["episodes"], table["rounds"], table["zeta"]),
        *_evaluations(judged(table["evaluations"], held_out)),
    ]
    if AGENTS in table:
        points += _worst(judged(table[AGENTS], held_out), table["evaluations"])
    return _for_readers(points)


def _for_readers(points: Iterable[Point]) -> list[Point]:
    """Without what is not finite, bytes in MB, and rounded."""
    found = []
    for key, step, value in points:
        name = MEGABYTES.get(key, key)
        if math.isfinite(value):
            found.append(Point(name, step, rounded(value if name == key else value / 1e6)))
    return found


def rounded(value: float) -> float:
    """Six significant digits of what is no whole number: the page shows every digit that it is given."""
    return value if value.is_integer() else float(f"{value:.6g}")


def parameters(run_dir: Path) -> dict[str, str]:
    """The resolved settings with dotted keys, values as written in YAML."""

    def flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from flatten(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value if isinstance(value, str) else json.dumps(value)

    return dict(flatten(read_settings(run_dir)))


def read_settings(run_dir: Path) -> dict[str, Any]:
    """The resolved settings as they stand in the folder, whatever version of rsm wrote them."""
    text = (run_dir / "config.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.load(text, _SafeLoader)
    return content


def _episodes(episodes: pd.DataFrame) -> Iterator[Point]:
    columns = {
        "episode/return": "return",
        "episode/mean_speed": "mean_speed",
        "sac/critic_loss": "critic_loss",
        "sac/actor_loss": "actor_loss",
        "sac/alpha": "alpha",
        "sac/entropy": "entropy",
        "comm/bytes_sent": "bytes_sent",
    }
    for key, column in columns.items():
        yield from _points(key, episodes["env_steps"], episodes[column])


def _rounds(episodes: pd.DataFrame, rounds: pd.DataFrame, zeta: pd.DataFrame) -> Iterator[Point]:
    ends = episodes.set_index("episode")["env_steps"]
    # The episode in which a failed run stopped has rounds and no end.
    rounds = rounds[rounds["episode"].isin(ends.index)]
    totals = rounds.groupby("episode")[["messages", "judged", "accepted"]].sum()
    steps = ends.reindex(totals.index)
    yield from _points("comm/messages", steps, totals["messages"].cumsum())
    judged = totals[totals["judged"] > 0]
    rate = judged["accepted"] / judged["judged"]
    yield from _points("mixing/acceptance_rate", ends.reindex(judged.index), rate)
    accepted = zeta[zeta["outcome"] == "accepted"]
    by_episode = accepted["zeta"].groupby(episodes_at(accepted["env_steps"], episodes))
    for key, values in (
        ("mixing/zeta_mean", by_episode.mean()),
        ("mixing/zeta_p90", by_episode.quantile(0.9)),
    ):
        yield from _points(key, ends.reindex(values.index), values)


def _evaluations(evaluations: pd.DataFrame) -> Iterator[Point]:
    # Not the mean of pandas, which skips NaN and would hide a failure.
    groups = evaluations.groupby(["mode", "env_steps"])[["return", "mean_speed"]]
    means = groups.mean(skipna=False)
    for key, mode, column in (
        ("eval/return", "deterministic", "return"),
        ("eval/return_stochastic", "stochastic", "return"),
        ("eval/mean_speed", "deterministic", "mean_speed"),
    ):
        if mode in means.index.get_level_values("mode"):
            values = means.xs(mode, level="mode")[column]
            yield from _points(key, values.index, values)


def _worst(agents: pd.DataFrame, evaluations: pd.DataFrame) -> Iterator[Point]:
    """The least return of an honest agent at every evaluation, by mean actions."""
    steps = evaluations.groupby("episode")["env_steps"].first()
    honest = agents[(agents["mode"] == "deterministic") & ~agents["attacker"].astype(bool)]
    own = honest.groupby(["episode", "agent"])["return"].mean(skipna=False)
    least = own.groupby("episode").min(skipna=False)
    yield from _points("eval/return_worst", steps.reindex(least.index), least)


def _points(key: str, steps: Iterable[Any], values: Iterable[Any]) -> Iterator[Point]:
    for step, value in zip(steps, values, strict=True):
        yield Point(key, int(step), float(value))


def seed_note(summary: dict[str, Any]) -> str:
    """A line on a run and how it ended."""
    is_what = f"Seed {summary['seed']} of `{summary['configuration']}`"
    if summary["status"] == "failed":
        return f"{is_what}, **failed**: {summary.get('reason')}"
    return f"{is_what}: {result(summary.get('final_return'), summary.get('final_mean_speed'))}."


def result(final_return: float | None, mean_speed: float | None) -> str:
    """Final return and mean speed of a run, in words."""
    numbers = [
        f"{name} {value:.3f}{unit}"
        for name, value, unit in (
            ("final return", final_return, ""),
            ("mean speed", mean_speed, " m/s"),
        )
        if value is not None and math.isfinite(value)
    ]
    return ", ".join(numbers) or "finished"
