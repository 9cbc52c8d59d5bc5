"""Reading the published files of a run folder, which may have been damaged or replaced since."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsm.errors import ConfigError, shown
from rsm.runs.files import parse_json
from rsm.runs.schema import OPTIONAL, TABLES

# Version of the published layout; when it is raised, the next publish replaces older runs
LAYOUT = 7
FILES = (
    "config.yaml",
    "manifest.json",
    *(f"{table}.parquet" for table in (*TABLES, *OPTIONAL)),
    "summary.json",
    "policy.safetensors",
)
# Names from files end up in paths and in queries of the store.
RUN_NAME = re.compile("[a-z0-9][a-z0-9.+-]{0,199}")


def content_hash(run_dir: Path) -> str:
    """Sixteen hex digits of the published files of a run folder: same files, same hash."""
    return digest_of(published_files(run_dir))


def digest_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"layout {LAYOUT}".encode())
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def published_files(run_dir: Path) -> list[Path]:
    return plain_files([run_dir / name for name in FILES if (run_dir / name).is_file()])


def plain_files(files: list[Path]) -> list[Path]:
    """The same files; raises ConfigError for a link: its target may be any file of this machine."""
    for file in files:
        if file.is_symlink():
            raise ConfigError(
                f"{file}: is not allowed: it is a link, a file of the run is expected"
            )
    return files


def finished_summary(run_dir: Path) -> dict[str, Any]:
    """The summary of a finished run; raises ConfigError where its names are not names of runs."""
    summary = read_json(run_dir, "summary.json")
    for key in ("run_id", "configuration"):
        if not RUN_NAME.fullmatch(str(summary.get(key))):
            raise ConfigError(
                f"{run_dir}: summary.json: {key}: {shown(summary.get(key))} is not allowed: "
                "the name of a run is expected"
            )
    if not {"seed", "settings_hash", "status"} <= set(summary):
        raise ConfigError(f"{run_dir}: summary.json: seed, settings_hash and status are expected")
    return summary


def read_json(run_dir: Path, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json((run_dir / name).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError
    except (OSError, ValueError, RecursionError):
        raise ConfigError(
            f"{run_dir}: {name}: cannot be read: a folder of a finished run is expected"
        ) from None
    return content
