"""`rsm verify`: recompute a named subset of runs and compare them with the committed numbers.

`results/reference/expected.json` holds, per run, the settings hash and each number with its tolerance; it is
written by `rsm verify --record`, never by hand. On the machine and versions that wrote it the numbers agree to
the last digit; elsewhere traffic is chaotic and only the tolerances hold.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rsm.config import RunConfig
from rsm.errors import ConfigError, shown
from rsm.records import write_json
from rsm.study import load_study, study_file
from rsm.training import train
from rsm.yaml_files import load_yaml

EXPECTED = Path("results/reference/expected.json")
STUDY = "quick"
SUBSET = (
    "human-seed0",
    "go-seed0",
    "platoon-seed0",
    "random-seed0",
    "independent-seed0",
    "fmarl-seed0",
    "rsm-trust-region-radius90-p4-k3-seed0",
)
# Absolute for a learned return (a seed ends anywhere within the spread of its method), relative elsewhere.
TOLERANCES = {
    "learned": {"final_return": ("absolute", 0.06), "bytes_sent": ("relative", 0.1)},
    "control": {"final_return": ("relative", 0.1), "final_mean_speed": ("relative", 0.05)},
    "random": {"final_return": ("relative", 0.2), "final_mean_speed": ("relative", 0.2)},
}


def verify(only: list[str] | None = None, record: bool = False) -> int:
    """Recompute the subset (or `only` some of it) and print a verdict per number.

    Returns 0 when all agree and 1 otherwise; with `record` the numbers are written instead of compared.
    Raises ConfigError for an unknown run, a missing file or a study that changed since.
    """
    for name in only or ():
        if name not in SUBSET:
            raise ConfigError(f"--only: {shown(name)} is not allowed: one of {', '.join(SUBSET)}")
    runs = load_study(study_file(STUDY)).runs()
    chosen = [name for name in SUBSET if only is None or name in only]
    expected = {} if record and only is None else load_expected()
    wrong = 0
    for name in chosen:
        if not record and expected.get(name, {}).get("settings_hash") != runs[name].settings_hash:
            raise ConfigError(
                f"{EXPECTED}: {name}: its settings hash is not that of study {STUDY}; "
                "write it anew with `rsm verify --record`"
            )
        summary = recompute(runs[name])
        if record:
            expected[name] = entry(runs[name], summary)
            print(f"{name}: recorded", flush=True)
            continue
        for key, number in expected[name]["numbers"].items():
            good = agrees(summary[key], number)
            wrong += not good
            verdict = "agrees" if good else "DIFFERS"
            print(
                f"{verdict:8}{name}: {key} {summary[key]:.6g}, committed {number['value']:.6g} "
                f"± {number['tolerance']:g} ({number['kind']})",
                flush=True,
            )
    if record:
        write_json(EXPECTED, expected)
    return int(wrong > 0)


def load_expected() -> dict[str, Any]:
    """The committed numbers; raises ConfigError where they cannot be read."""
    return load_yaml(EXPECTED)  # JSON is YAML


def recompute(config: RunConfig) -> dict[str, Any]:
    """The summary of a fresh run in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return train(config, Path(folder) / config.run_id)


def entry(config: RunConfig, summary: dict[str, Any]) -> dict[str, Any]:
    """What the file of committed numbers says of a run."""
    kind = "learned" if config.learns else "random" if config.method == "random" else "control"
    return {
        "settings_hash": config.settings_hash,
        "numbers": {
            key: {"value": summary[key], "kind": how, "tolerance": tolerance}
            for key, (how, tolerance) in TOLERANCES[kind].items()
        },
    }


def agrees(value: float, number: dict[str, Any]) -> bool:
    """Is a recomputed value within the tolerance of a committed number?"""
    scale = abs(number["value"]) if number["kind"] == "relative" else 1.0
    return bool(abs(value - number["value"]) <= number["tolerance"] * scale)
