"""A run from start to finish: begun or resumed, trained, and written into its folder."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import torch

from rsm.config.run import RunConfig, load_run
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.runs.checkpoint import load_checkpoint, prefer, remove_checkpoints
from rsm.runs.files import CURRENT
from rsm.runs.folder import (
    CONFIG,
    alone_in,
    as_begun,
    check_folder,
    finished_summary,
    prepare_folder,
    would_be_lost,
)
from rsm.runs.live import remove_live
from rsm.runs.manifest import ended, manifest
from rsm.runs.policy import save_policy
from rsm.runs.recorder import exchange_rows
from rsm.runs.summary import summary, write_config, write_run
from rsm.sac.device import CPU, device_failure, gpu_name
from rsm.seeding import held_out_seeds
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import control_driver
from rsm.training.evaluation import evaluate
from rsm.training.finite import Diverged
from rsm.training.loop import Training
from rsm.training.records import record_evaluation
from rsm.training.transfer import pinned, provenance

RESUMABLE = "repeat the command to resume from the last checkpoint"


def train(
    config: RunConfig, folder: Path, device: torch.device = CPU, force: bool = False
) -> dict[str, Any]:
    """Run `config` and leave its run folder; returns the content of summary.json. Tensors live on `device`.

    Resumes from a checkpoint of the same settings, also from that of a finished run of fewer episodes whose
    checkpoint was kept. Does nothing where the folder holds the finished run. Anything else in the folder is
    replaced with `force` and refused without. A run that diverges ends as a failed result, with its tables.
    Raises ConfigError before anything is written, and RunError where SUMO, the disk or another process stops
    the run; its last checkpoint stays.
    """
    torch.set_num_threads(1)
    check_folder(folder)
    config = as_begun(folder, config)
    if (finished := already_there(folder, config)) is not None:
        return finished
    config = pinned(config)
    check_loss(folder, config, force)
    with TrafficEnv(config.driven) as env:
        run = begin(config, env, device)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--out: {one_line(folder)} is not allowed: {error.strerror}; a new or run folder is expected"
            ) from None
        try:
            with alone_in(folder):
                # Another process may have finished it since we looked.
                if (finished := already_there(folder, config)) is not None:
                    return finished
                if check_loss(folder, config, force):
                    remove_checkpoints(folder)
                prepare_folder(folder)
                # First, so that the folder of an interrupted run has its settings.
                write_config(folder, config)
                try:
                    return carry_out(run, folder)
                finally:
                    remove_live(folder)
        except OSError as error:
            raise RunError(
                f"{config.run_id}: {folder}: {error.strerror or error}; {RESUMABLE}"
            ) from None


def already_there(folder: Path, config: RunConfig) -> dict[str, Any] | None:
    """The summary of the finished run that the folder holds; None if there is none.

    A process that was killed after it wrote its summary leaves checkpoints behind, and files that are only
    there while a run trains. They are removed; where the folder cannot be written they stay, and do no harm.
    """
    finished = finished_summary(folder, config)
    if finished is not None and finished.get("status") == "finished":
        kept = config.training.keep_checkpoint or load_run(folder / CONFIG).training.keep_checkpoint
        with contextlib.suppress(OSError):
            remove_live(folder)
            if not kept:
                remove_checkpoints(folder)
    return finished


def check_loss(folder: Path, config: RunConfig, force: bool) -> bool:
    """Whether the run destroys what is in the folder; raises ConfigError where that was not asked for."""
    lost = would_be_lost(folder, config)
    if lost is not None and not force:
        raise ConfigError(
            f"--out: {one_line(folder)} is not allowed: {lost} would be replaced; "
            "another folder is expected, or --force"
        )
    return lost is not None


def begin(config: RunConfig, env: TrafficEnv, device: torch.device = CPU) -> Training:
    """A run before its first episode; raises ConfigError for settings that cannot be."""
    try:
        return Training(config, env, device)
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not full and "allocate memory" not in str(error):
            if (reason := device_failure(error, device)) is None:
                raise
            raise RunError(
                f"{config.run_id}: {reason}; try --device cpu (in a study device=cpu)"
            ) from None
        raise ConfigError(
            f"sac: hidden {config.sac.hidden}, replay_size {config.sac.replay_size} are not allowed: "
            "they need more memory than there is"
        ) from None


def carry_out(run: Training, folder: Path) -> dict[str, Any]:
    """Train or measure, and write the run folder; returns the content of summary.json."""
    config, failure = run.config, None
    about = manifest(config, str(run.device), gpu_name(run.device)) | provenance(config)
    if config.learns:
        resume(run, folder)
        failure = learn(run, folder)
    else:
        measure_control(run)
    ledger, trace = run.ledger, run.recorder.table("zeta")
    last_round = run.exchange.last_round if run.exchange else ledger.bytes_per_pair
    run.recorder.add("exchange", *exchange_rows(ledger, last_round, trace))
    content = summary(config, run.recorder, ledger, run.parameters, run.wall_s, failure)
    if config.learns:
        save_policy(folder, run.learner, config.settings_hash)
    write_run(folder, config, run.recorder, about | ended(run.resumed, run.used), content)
    if not failure:
        remove_checkpoints(folder, but=CURRENT if config.training.keep_checkpoint else "")
    return content


def resume(run: Training, folder: Path) -> None:
    """Restore the checkpoint in the folder, if there is one of these settings.

    Raises RunError for one that does not fit this version: a run restored in part must not be resumed.
    """
    found = load_checkpoint(folder, run.config.settings_hash)
    if found is None:
        return
    if (written := found.state.get("device", "cpu")) != run.device.type:
        raise RunError(
            f"{folder}: its checkpoint was written on {shown(written)}, not on "
            f"{run.device.type!r}, whose random numbers differ: resume with --device "
            f"{one_line(written)} (in a study device={one_line(written)}), or remove the folder to start again"
        )
    try:
        run.load_state_dict(found.state)
    except ConfigError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise RunError(
            f"{folder}: its checkpoint does not fit this version of rsm ({type(error).__name__}); "
            "remove the folder to start again, or resume with the version that wrote it"
        ) from None
    if run.episode > run.config.training.episodes:
        raise ConfigError(
            f"training.episodes: {run.config.training.episodes} is not allowed: the checkpoint in "
            f"{one_line(folder)} is of episode {run.episode}; at least as many are expected, or another folder"
        )
    prefer(folder, found)


def learn(run: Training, folder: Path) -> str | None:
    """Train to the last episode; returns what diverged, None if nothing did. Raises RunError."""
    try:
        run.learn(folder)
    except Diverged as failure:
        print(f"{run.config.run_id}: FAILED: {failure}", file=sys.stderr, flush=True)
        return str(failure)
    except RuntimeError as error:
        reason = error if isinstance(error, RunError) else device_failure(error, run.device)
        if reason is None:
            raise
        raise RunError(
            f"{run.config.run_id}: episode {run.episode}: {reason}; {RESUMABLE}"
        ) from None
    return None


def measure_control(run: Training) -> None:
    """A control does not learn: one evaluation, its only mode called deterministic."""
    drivers = {"deterministic": control_driver(run.config)}
    seeds = held_out_seeds(run.config.seed, run.config.evaluation.control_episodes)
    now = {"episode": 0, "env_steps": 0, "bytes_sent": 0}
    record_evaluation(run.recorder, evaluate(run.env, drivers, seeds, run.agents), now)
