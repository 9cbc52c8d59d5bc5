"""Checks of a study before anything trains: runs that cannot start, and results that would be replaced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.errors import ConfigError, one_line
from rsm.exchange.segments import segment_slices
from rsm.exchange.topology import neighbourhood
from rsm.runs.devices import kind, kind_of_run
from rsm.runs.folder import finished_summary, would_be_lost
from rsm.seeding import Stream, numpy_generator
from rsm.traffic.observation import observation_size
from rsm.traffic.scenarios import scenario


def plan(
    study: str,
    runs: Mapping[str, RunConfig],
    folder: Path,
    rebuild: bool,
    device: str = "cpu",
) -> None:
    """Raises ConfigError where a run of the study cannot start or never learns.

    Also where runs are still to be trained on `device` while others were on another kind of it, since no table
    mixes them.

    Unless `rebuild`, also where finished runs below `folder` would be replaced; the message says how many.
    """
    check_runs(study, runs.values())
    lost = {
        run_id: reason
        for run_id, config in runs.items()
        if (reason := would_be_lost(folder / run_id, config)) is not None
    }
    if lost and not rebuild:
        run_id, reason = next(iter(lost.items()))
        raise ConfigError(
            f"study {study}: {len(lost)} of {len(runs)} runs in {one_line(folder)} would be lost and trained "
            f"again, such as {run_id}: {reason}. Give the study another name (--config name=NAME), or add "
            "--config rebuild=true"
        )
    check_device(study, runs, folder, device)


def check_device(study: str, runs: Mapping[str, RunConfig], folder: Path, device: str) -> None:
    """Raises ConfigError where runs are left to train on another kind of device than those that finished."""
    learning = {run_id: config for run_id, config in runs.items() if config.learns}
    finished = {
        run_id: on
        for run_id, config in learning.items()
        if (on := kind_of_run(folder / run_id)) and finished_summary(folder / run_id, config)
    }
    others = [run_id for run_id, on in finished.items() if on != kind(device)]
    if others and len(finished) < len(learning):
        raise ConfigError(
            f"device: {device} is not allowed: {len(others)} of {len(learning)} learning runs of the study "
            f"{study}, such as {others[0]}, were trained on {finished[others[0]]}, and no table mixes devices. "
            f"Go on with device={finished[others[0]]}, or give the study another name (--config name=NAME)"
        )


def check_runs(study: str, runs: Iterable[RunConfig]) -> None:
    """Raises ConfigError for the first run that cannot start or would never learn."""
    for config in runs:
        try:
            check_run(config)
        except ConfigError as error:
            raise ConfigError(f"study {study}: {config.run_id}: {error}") from None


def check_run(config: RunConfig) -> None:
    """Raises ConfigError for an impossible topology or number of segments, and if no update would be made."""
    if not config.learns:
        return
    traits, communication = METHODS[config.method], config.communication
    agents = scenario(config.traffic.scenario).n_agents
    if traits.topology:
        neighbourhood(communication.topology, agents, numpy_generator(config.seed, Stream.TOPOLOGY))
    if traits.segments:
        segment_slices(shared_parameters(config), communication.segments)
    decisions = math.ceil(config.traffic.steps / config.traffic.steps_held)
    most = config.training.episodes * decisions
    every = config.sac.update_every
    if most // every * every < config.sac.learning_starts:
        raise ConfigError(
            f"sac.learning_starts: {config.sac.learning_starts} is not allowed: the run makes {most} decisions "
            f"at most ({config.training.episodes} episodes of {decisions}) and would never learn; fewer are "
            "expected, or more training.episodes"
        )


def shared_parameters(config: RunConfig) -> int:
    """|θ|, the numbers that an agent shares: its actor's, and with `actor+critic` those of two critics."""
    observed, acts = observation_size(config.traffic), 1

    def count(inputs: int, outputs: int) -> int:
        sizes = (inputs, *config.sac.hidden, outputs)
        return sum((a + 1) * b for a, b in itertools.pairwise(sizes))

    critics = 2 * count(observed + acts, 1) if config.communication.share == "actor+critic" else 0
    return count(observed, 2 * acts) + critics
