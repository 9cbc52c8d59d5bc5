"""`rsm verify`: recompute a named subset of runs and compare them with the committed numbers.

`results/committed/expected.json` holds, per run of a study, the settings hash and each number with its
tolerance; it is written by `rsm verify --record`, never by hand. On the machine and versions that wrote it
the numbers agree to the last digit; elsewhere traffic is chaotic and only the tolerances hold.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rsm.config.loading import load_yaml
from rsm.config.run import RunConfig
from rsm.config.shipped import checkout, shipped
from rsm.config.study import load_study, study_file
from rsm.errors import ConfigError, RunError, shown
from rsm.runs.files import write_json
from rsm.training.run import train

EXPECTED = shipped("results/committed/expected.json")
SUBSET = (  # study/run
    "quick/human-seed0",
    "quick/go-seed0",
    "quick/platoon-seed0",
    "quick/random-seed0",
    "quick/independent-seed0",
    "quick/fmarl-seed0",
    "quick/rsm-trust-region-radius90-p4-k3-seed0",
)
# On another machine a run differs as another seed would. Tolerances are about the spread between seeds, and
# narrow enough that untrained policies, no mixing, and ζ halved each fail (tests/cli/test_verify.py).
LEARNED = {
    "final_return": ("absolute", 0.06),
    "final_mean_speed": ("relative", 0.35),
    "bytes_sent": ("relative", 0.1),
}
MIXED = {
    "judged": ("relative", 0.1),
    "acceptance_rate": ("relative", 0.5),
    "zeta_mean": ("relative", 0.3),
    "spread": ("relative", 0.3),
}
AVERAGED = {"spread": ("absolute", 0.01)}  # agents are alike after each round of FMARL
CONTROL = {"final_return": ("relative", 0.1), "final_mean_speed": ("relative", 0.05)}
RANDOM = {"final_return": ("relative", 0.2), "final_mean_speed": ("relative", 0.2)}


def verify(only: list[str] | None = None, record: bool = False) -> int:
    """Recompute the subset (or `only` some of it) and print a verdict per number.

    Returns 0 when all agree and 1 otherwise; with `record` the numbers are written instead of compared.
    Raises ConfigError for an unknown run, a missing file or a study that changed since.
    """
    if record and checkout() is None:
        raise ConfigError(
            "--record: the committed numbers are written in a checkout of the repository"
        )
    for name in only or ():
        if name not in SUBSET:
            raise ConfigError(f"--only: {shown(name)} is not allowed: one of {', '.join(SUBSET)}")
    chosen = {name: config for name, config in subset().items() if only is None or name in only}
    expected = {} if record and only is None else load_expected()
    wrong = 0
    for name, config in chosen.items():
        if not record and expected.get(name, {}).get("settings_hash") != config.settings_hash:
            raise ConfigError(
                f"{EXPECTED}: {name}: its settings hash is not that of the study; "
                "record it again with `rsm verify --record`"
            )
        summary = recompute(config)
        if summary["status"] == "failed":
            if record:
                raise RunError(f"{name}: the run failed, nothing is recorded: {summary['reason']}")
            wrong += 1
            print(f"DIFFERS {name}: the run failed: {summary['reason']}", flush=True)
            continue
        if record:
            expected[name] = entry(config, summary)
            print(f"{name}: recorded", flush=True)
            continue
        for key, number in expected[name]["numbers"].items():
            value = summary[key]
            good = agrees(value, number)
            wrong += not good
            verdict = "agrees" if good else "DIFFERS"
            shown_value = "is missing" if value is None else f"{value:.6g}"
            print(
                f"{verdict:8}{name}: {key} {shown_value}, committed {number['value']:.6g} "
                f"± {number['tolerance']:g} ({number['kind']})",
                flush=True,
            )
    if record:
        write_json(EXPECTED, expected)
    return int(wrong > 0)


def subset() -> dict[str, RunConfig]:
    """The settings of the runs that are recomputed, by `study/run`; raises ConfigError."""
    places = [name.split("/") for name in SUBSET]
    runs = {study: load_study(study_file(study)).runs() for study, _ in places}
    for study, run in places:
        if run not in runs[study]:
            raise ConfigError(f"{study_file(study)}: it no longer has the run {run} of {EXPECTED}")
    return {f"{study}/{run}": runs[study][run] for study, run in places}


def load_expected() -> dict[str, Any]:
    """The committed numbers; raises ConfigError where they cannot be read."""
    return load_yaml(EXPECTED)  # JSON is YAML


def recompute(config: RunConfig) -> dict[str, Any]:
    """The summary of a fresh run in a temporary folder, and `spread`: the mean over rounds of the spread of θ.

    `spread` shows that replicas are really mixed and not only counted. It is None without rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / config.run_id
        content = train(config, place)
        spread = pq.read_table(place / "rounds.parquet", columns=["spread"])["spread"].to_pylist()
    return content | {"spread": sum(spread) / len(spread) if spread else None}


def tolerances(config: RunConfig) -> dict[str, tuple[str, float]]:
    """Number of a summary → how it is compared (relative or absolute) and its tolerance."""
    if not config.learns:
        return RANDOM if config.method == "random" else CONTROL
    return LEARNED | {"rsm": MIXED, "fmarl": AVERAGED}.get(config.method, {})


def entry(config: RunConfig, summary: dict[str, Any]) -> dict[str, Any]:
    """What the file of committed numbers says of a run."""
    return {
        "settings_hash": config.settings_hash,
        "numbers": {
            key: {"value": summary[key], "kind": how, "tolerance": tolerance}
            for key, (how, tolerance) in tolerances(config).items()
        },
    }


def agrees(value: float | None, number: dict[str, Any]) -> bool:
    """Whether a recomputed value is within the tolerance of a committed number; False for None."""
    if value is None:
        return False
    scale = abs(number["value"]) if number["kind"] == "relative" else 1.0
    return bool(abs(value - number["value"]) <= number["tolerance"] * scale)
