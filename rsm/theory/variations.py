"""The runs of the theory study that its grid has no axis for: one setting changed at a time."""

from __future__ import annotations

import re

from rsm.config.loading import load_yaml
from rsm.config.run import RunConfig, parse_run
from rsm.config.study import STUDIES, Study, merge
from rsm.errors import ConfigError, shown

NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")
VARIATIONS = STUDIES / "theory" / "variations.yaml"  # also where the study runs under another name


def variations(study: Study) -> dict[str, RunConfig]:
    """`<variation>-seed<n>` → settings of one `rsm` run, for every variation and every seed of the study.

    The file is a mapping from a name to the settings that it lays upon `run` of the study. Raises ConfigError.
    """
    found = {}
    for name, changes in load_yaml(VARIATIONS).items():
        if not NAME.fullmatch(name) or not isinstance(changes, dict):
            raise ConfigError(
                f"{VARIATIONS}: {shown(name)}: {shown(changes)} is not allowed: a name in small letters and "
                "the settings of a run that it changes are expected"
            )
        for seed in study.seeds:
            content = merge(study.run.model_dump(), changes) | {"method": "rsm", "seed": seed}
            found[f"{name}-seed{seed}"] = parse_run(content, f"{VARIATIONS}: {name}")
    return found
