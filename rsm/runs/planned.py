"""What must be known of the runs of a study to say how far it is, kept beside its results.

Resolving a study of a thousand runs takes half a second, most of it the models of their settings. The first
look at its state writes what it found into `.planned.json`; later ones read that, as long as neither the study
nor the code of the settings has changed since.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rsm.runs.files import read_json, write_json

if TYPE_CHECKING:
    from rsm.config.run import RunConfig

NAME = ".planned.json"
CODE = Path(__file__).parents[1] / "config"  # decides names and hashes of runs


class Planned(NamedTuple):
    """A run of a study, done or to be done."""

    settings_hash: str
    episodes: int
    learns: bool
    method: str
    configuration: str


def planned(runs: Mapping[str, RunConfig], results: Path) -> dict[str, Planned]:
    """Run id → what is to be known of it, where `results/runs` has or will have its folder."""
    from rsm.runs.folder import as_begun

    return {
        run_id: Planned(
            as_begun(results / "runs" / run_id, config).settings_hash,
            config.training.episodes,
            config.learns,
            config.method,
            config.configuration,
        )
        for run_id, config in runs.items()
    }


def remember(study: Path, runs: Mapping[str, RunConfig], plans: Mapping[str, Planned]) -> None:
    """Keep `plans` beside the file of a resolved study, where that can be written.

    Not where they depend on more than that file and our code: on the policies that runs begin with, or on names
    that installed packages add.
    """
    from rsm.config.catalogue import METHODS, SCENARIOS, TOPOLOGIES

    if any(config.init_from.run for config in runs.values()):
        return
    if any(registry.installed for registry in (METHODS, SCENARIOS, TOPOLOGIES)):
        return
    with contextlib.suppress(OSError):
        write_json(study.with_name(NAME), {"of": _digest(study), "runs": plans})


def remembered(study: Path) -> dict[str, Planned] | None:
    """What was kept beside the file of a resolved study; None where there is nothing, or something else."""
    content = read_json(study.with_name(NAME))
    try:
        if content is None or content["of"] != _digest(study):
            return None
        return {run_id: Planned(*values) for run_id, values in content["runs"].items()}
    except (OSError, KeyError, TypeError, AttributeError):
        return None


def _digest(study: Path) -> str:
    """Of the study's file, and of the size and age of every file that reads it."""
    digest = hashlib.sha256(study.read_bytes())
    for path in sorted(CODE.glob("*.py")):
        about = path.stat()
        digest.update(f"{path.name} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()
