"""The kind of device that runs were computed on: a processor and a GPU give one seed two results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rsm.errors import ConfigError, one_line
from rsm.runs.files import read_json


def kind(device: object) -> str:
    """`cpu` or `cuda`, whatever the number of the GPU."""
    return str(device).partition(":")[0]


def kind_of_run(folder: Path) -> str | None:
    """The kind of device in the manifest of a run folder; None where it says nothing."""
    device = (read_json(folder / "manifest.json") or {}).get("device")
    return None if device is None else kind(device)


def one_kind(folder: Path, run_ids: Iterable[str]) -> None:
    """Raise ConfigError where the runs below `folder` were computed on different kinds of device.

    Meant for runs that learn: controls are computed on the processor. A run whose manifest does not name its
    device counts as of any.
    """
    found: dict[str, str] = {}  # kind of device → the first run on it
    for run_id in run_ids:
        if (device := kind_of_run(folder / run_id)) is not None:
            found.setdefault(device, run_id)
    if len(found) > 1:
        where = " and ".join(f"{device} (as {run_id})" for device, run_id in found.items())
        raise ConfigError(
            f"{one_line(folder)}: device: {where} are not allowed in one study: train all of its runs on one"
        )
