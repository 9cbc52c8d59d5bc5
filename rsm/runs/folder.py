"""The state of a run folder: a finished run, an interrupted one, or nothing yet."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsm.config.run import POLICY, RunConfig, load_run, policy_digest
from rsm.errors import ConfigError, RunError, obstacle, one_line
from rsm.runs.files import CURRENT, PREVIOUS, UNDER_WAY, read_json, remove_leftovers
from rsm.runs.schema import OPTIONAL, TABLES, optional_tables

CONFIG = "config.yaml"
RUN_FILES = {
    *(f"{table}.parquet" for table in (*TABLES, *OPTIONAL)),
    *(CONFIG, "manifest.json", "summary.json", POLICY, CURRENT, PREVIOUS, *UNDER_WAY),
}


def as_begun(folder: Path, config: RunConfig) -> RunConfig:
    """The same settings; where the run of `init_from` is gone, this folder's record of it is used."""
    source = config.init_from
    if source.run is None or source.sha256 or policy_digest(Path(source.run)):
        return config
    try:
        begun = load_run(folder / CONFIG).init_from
    except ConfigError:
        return config
    taken = source.model_copy(update={"sha256": begun.sha256})
    return config.model_copy(update={"init_from": taken})


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What summary.json in the folder says, None where there is none that can be read."""
    return read_json(folder / "summary.json")


def finished_summary(folder: Path, config: RunConfig) -> dict[str, Any] | None:
    """The summary of a finished run of the same settings in the folder, None if there is none."""
    content, config = read_summary(folder), as_begun(folder, config)
    same = content is not None and content.get("settings_hash") == config.settings_hash
    if same and content and config.learns and content.get("status") == "finished":
        same = content.get("episodes") == config.training.episodes  # not part of the hash
    whole = all((folder / name).is_file() for name in run_files(config))
    return content if same and whole else None


def would_be_lost(folder: Path, config: RunConfig) -> str | None:
    """What a run of `config` in the folder would destroy, in words; None for nothing.

    A run that ended, finished or failed, is lost to other settings, and to another number of episodes unless
    the number is larger and the final checkpoint was kept: such a run is continued. So are the checkpoints of
    an interrupted run of other settings.
    """
    content, config = read_summary(folder), as_begun(folder, config)
    if content is None:
        return _interrupted(folder, config)
    if content.get("settings_hash") != config.settings_hash:
        return "a run of other settings that ended there"
    if not config.learns or content.get("status") != "finished":
        return None
    done, asked = content.get("episodes"), config.training.episodes
    if not isinstance(done, int) or done == asked:
        return None
    if done > asked:
        return f"a finished run of {done} episodes, more than the {asked} asked for"
    if not (folder / CURRENT).is_file():
        return (
            f"a finished run of {done} episodes without a checkpoint to continue from "
            "(training.keep_checkpoint keeps one)"
        )
    return None


def _interrupted(folder: Path, config: RunConfig) -> str | None:
    if not any((folder / name).is_file() for name in (CURRENT, PREVIOUS)):
        return None
    try:
        other = load_run(folder / CONFIG).settings_hash != config.settings_hash
    except ConfigError:
        return None
    return "the checkpoints of an interrupted run of other settings" if other else None


def run_files(config: RunConfig) -> list[str]:
    """Names of the files that a finished run of these settings leaves."""
    without = {CURRENT, PREVIOUS, *UNDER_WAY}
    without |= set() if config.learns else {POLICY}
    without |= {f"{name}.parquet" for name in {*OPTIONAL} - {*optional_tables(config)}}
    return sorted(RUN_FILES - without)


def check_folder(folder: Path) -> None:
    """Nothing is written: raises ConfigError where the folder is not a run's, or cannot be one."""
    wrong = f"--out: {one_line(folder)} is not allowed: "
    try:
        reason = obstacle(folder)
        if reason is None and os.path.lexists(folder) and not folder.is_dir():
            reason = "it is not a folder"
        if reason is not None:
            raise ConfigError(f"{wrong}{one_line(reason)}; a new or run folder is expected")
        names = (entry.name for entry in (folder.iterdir() if folder.exists() else ()))
        strangers = sorted(
            name for name in names if name not in RUN_FILES and not name.startswith(".")
        )
    except OSError as error:
        raise ConfigError(f"{wrong}{error.strerror}; a new or run folder is expected") from None
    if strangers:
        raise ConfigError(
            f"{wrong}it holds {one_line(strangers[0])}, which is no run's file; "
            "an empty, new or run folder is expected"
        )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock a run folder: two processes must not write one run. Raises RunError where another one does.

    This can be a training process that outlived its killed Snakemake. The lock ends with the process.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system that cannot lock folders
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{folder}: another process is writing this run: wait until it has ended, or end it"
                ) from None
        yield
    finally:
        os.close(descriptor)


def prepare_folder(folder: Path) -> None:
    """Remove results of other settings and leftovers of killed writers, checkpoints apart.

    config.yaml stays until it is replaced: it may be the file that the user passed as `--config`.
    """
    remove_leftovers(folder, RUN_FILES)
    for name in RUN_FILES - {CONFIG, CURRENT, PREVIOUS}:
        (folder / name).unlink(missing_ok=True)
