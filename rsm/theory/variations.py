"""The runs of the theory study that its grid has no axis for: one setting changed at a time."""

from __future__ import annotations

import re

from rsm.config.loading import load_yaml
from rsm.config.run import RunConfig, parse_run
from rsm.config.study import Study, merge, studies
from rsm.errors import ConfigError, shown

NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def variations(study: Study) -> dict[str, RunConfig]:
    """`<variation>-seed<n>` → settings of one `rsm` run, for every variation and every seed of the study.

    The file, whatever the study is called, is `theory/variations.yaml` among the studies: a mapping from a name
    to the settings that it lays upon `run` of the study. Raises ConfigError.
    """
    file = studies() / "theory" / "variations.yaml"
    found = {}
    for name, changes in load_yaml(file).items():
        if not NAME.fullmatch(name) or not isinstance(changes, dict):
            raise ConfigError(
                f"{file}: {shown(name)}: {shown(changes)} is not allowed: a name in small letters and "
                "the settings of a run that it changes are expected"
            )
        for seed in study.seeds:
            content = merge(study.run.model_dump(), changes) | {"method": "rsm", "seed": seed}
            found[f"{name}-seed{seed}"] = parse_run(content, f"{file}: {name}")
    return found
