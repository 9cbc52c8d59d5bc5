"""Metrics, parameters and notes for MLflow: of a run folder, and of all seeds of a configuration.

Steps are simulation steps driven in training. What happens within an episode (rounds, judged
replicas) is summed up per episode and logged at the step at which the episode ended.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pandas as pd
import yaml
from scipy.stats import trim_mean

from rsm.config.axes import AXES
from rsm.runs.performance import judged
from rsm.runs.schema import AGENTS, OPTIONAL, TABLES

TAGS = ("method", *(axis.name for axis in AXES), "scenario")
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
)
JUDGED = ("final/return", "final/return_stochastic", "final/return_worst", "final/mean_speed")
# Curves that every seed of a configuration has at the same episodes.
OF_A_CONFIGURATION = (
    "eval/return",
    "eval/mean_speed",
    "eval/return_stochastic",
    "eval/return_worst",
    "comm/bytes_sent",
)
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
    settings = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    points = curves(table, settings["evaluation"]["episodes"])
    for key in FINAL:
        if summary.get(key) is not None:
            # MLflow draws a metric as bars only if no run has it at a later step than 0.
            points.append(Point(f"final/{key.removeprefix('final_')}", 0, float(summary[key])))
    return [point for point in points if math.isfinite(point.value)]


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
    return [point for point in points if math.isfinite(point.value)]


def parameters(run_dir: Path) -> dict[str, str]:
    """The resolved settings with dotted keys, values as written in YAML."""

    def flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from flatten(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value if isinstance(value, str) else json.dumps(value)

    return dict(flatten(yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))))


def seed_tags(facts: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """Tags of a run: what it is, from its summary or `facts` of the same keys, and what its grid varies."""
    tags = {key: str(facts[key]) for key in TAGS if facts.get(key) is not None}
    tags |= {key: str(facts[key]) for key in ("run_id", "configuration", "seed", "settings_hash")}
    tags |= {key: settings[key] for key in json.loads(settings.get("varied", "[]"))}
    tags["configuration_settings"] = configuration_settings(settings)
    return tags | {"kind": "seed"}


def configuration_settings(settings: Mapping[str, str]) -> str:
    """Twelve hex digits of the settings without the seed: what the seeds of a configuration have in common."""
    shared = {key: value for key, value in settings.items() if key != "seed"}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]


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
    zeta = zeta[zeta["round"].isin(rounds["round"])]
    totals = rounds.groupby("episode")[["messages", "judged", "accepted"]].sum()
    steps = ends.reindex(totals.index)
    yield from _points("comm/messages", steps, totals["messages"].cumsum())
    judged = totals[totals["judged"] > 0]
    rate = judged["accepted"] / judged["judged"]
    yield from _points("mixing/acceptance_rate", ends.reindex(judged.index), rate)
    accepted = zeta[zeta["outcome"] == "accepted"]
    episode = accepted["round"].map(rounds.set_index("round")["episode"])
    by_episode = accepted["zeta"].groupby(episode)
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


def configuration_metrics(
    finals: Sequence[dict[str, float]], curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]]
) -> list[Point]:
    """The numbers of a configuration over its seeds, as in the tables and figures.

    Interquartile means of performance, plain means of costs.

    `finals` holds the latest values of each seed, of which those named `final/...` are taken; `curves`
    maps a metric to the (step, value) of each seed. The i-th values of all seeds belong to the same
    episode and stand at the median of their steps.
    """
    points = []
    for key in sorted({key for values in finals for key in values if key.startswith("final/")}):
        values = [found[key] for found in finals if key in found]
        points.append(Point(key, 0, float(trim_mean(values, 0.25 if key in JUDGED else 0))))
    for key, seeds in sorted(curves.items()):
        for together in zip(*seeds, strict=False):
            step = int(median(step for step, _ in together))
            mean = float(trim_mean([value for _, value in together], 0.25))
            points.append(Point(key, step, mean))
    return points


def seed_note(summary: dict[str, Any]) -> str:
    """A line on a run and how it ended."""
    is_what = f"Seed {summary['seed']} of `{summary['configuration']}`"
    if summary["status"] == "failed":
        return f"{is_what}, **failed**: {summary.get('reason')}"
    return f"{is_what}: {_result(summary.get('final_return'), summary.get('final_mean_speed'))}."


def configuration_note(seeds: Sequence[tuple[str, dict[str, float]]], failed: Sequence[str]) -> str:
    """A note on a parent run: its seeds with their latest values, the best first."""
    ranking = [
        f"seed {seed}: {_result(values.get('final/return'), values.get('final/mean_speed'))}"
        for seed, values in seeds
    ]
    ranking += [f"seed {seed}: failed" for seed in failed]
    # The page shows the first lines and hides the others.
    return (
        "Best first: "
        + "; ".join(ranking)
        + ".\n\nThe numbers of this run are the interquartile means over the seeds that finished, which "
        "are the runs nested below it (bytes, rounds and times: plain means); its parameters are those "
        "that all of them share."
    )


def _result(final_return: float | None, mean_speed: float | None) -> str:
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
