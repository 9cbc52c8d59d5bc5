"""Tags of runs: what a run is, by which it is found, grouped and coloured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rsm.config.axes import AXES
from rsm.config.colours import colour
from rsm.config.run import RunConfig

TAGS = ("method", *(axis.name for axis in AXES), "scenario")
COLOUR = "mlflow.runColor"  # which the page draws a run in


def seed_tags(facts: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """Tags of a run: `facts` are its summary or have the same keys, `settings` have dotted keys.

    What the grid of its study varies beside the axes is a tag under its dotted key, such as `sac.tau`.
    """
    tags = {key: str(facts[key]) for key in TAGS if facts.get(key) is not None}
    tags |= {key: str(facts[key]) for key in ("run_id", "configuration", "seed", "settings_hash")}
    tags |= {key: settings[key] for key in varied(settings) if key in settings}
    tags[COLOUR] = colour(str(facts.get("method")))
    tags["configuration_settings"] = configuration_settings(settings)
    return tags | {"kind": "seed"}


def configuration_tags(seed: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Those tags of a seed that all seeds of its configuration share."""
    shared = {*TAGS, *varied(settings), COLOUR, "configuration", "configuration_settings"}
    return {key: value for key, value in seed.items() if key in shared} | {"kind": "configuration"}


def varied(settings: Mapping[str, str]) -> list[str]:
    """Dotted keys of what a grid varies beside the axes."""
    return list(json.loads(settings.get("varied", "[]")))


def configuration_settings(settings: Mapping[str, str]) -> str:
    """Twelve hex digits of the settings without the seed: what the seeds of a configuration have in common."""
    shared = {key: value for key, value in settings.items() if key != "seed"}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]


def columns(runs: Iterable[RunConfig]) -> list[str]:
    """The tags by which the runs of a study differ, seeds apart: the columns of its views."""
    values: dict[str, set[str]] = {}
    for config in runs:
        told = {"method": config.method, **config.axes, "scenario": config.traffic.scenario}
        told |= {key: str(_setting(config, key)) for key in config.varied}
        for key, value in told.items():
            if value is not None:
                values.setdefault(key, set()).add(str(value))
    return ["method", *(key for key in values if key != "method" and len(values[key]) > 1)]


def _setting(config: RunConfig, dotted: str) -> Any:
    value: Any = config
    for part in dotted.split("."):
        value = getattr(value, part)
    return value
