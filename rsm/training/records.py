"""Rows that a run leaves: what an episode was driven like and learnt from, and what an evaluation found."""

from __future__ import annotations

from typing import Any

import torch

from rsm.runs.recorder import Recorder
from rsm.runs.schema import AGENTS
from rsm.sac.learner import Losses
from rsm.traffic.episode_stats import EpisodeStats
from rsm.training.evaluation import Evaluation


def driven(stats: EpisodeStats) -> dict[str, Any]:
    """Columns of `episodes` about the traffic."""
    return {
        "mean_speed": stats.mean_speed,
        "collisions": stats.collisions,
        "teleports": stats.teleports,
        "steps": stats.steps,
    }


def learnt(losses: list[Losses]) -> dict[str, float]:
    """Columns of `episodes` about its updates: means over updates and agents, NaN where there were none."""
    means = [float(torch.cat(values).mean()) for values in zip(*losses, strict=True)]
    critic_loss, actor_loss, entropy = means or [float("nan")] * 3
    return {"critic_loss": critic_loss, "actor_loss": actor_loss, "entropy": entropy}


def record_evaluation(recorder: Recorder, found: Evaluation, now: dict[str, Any]) -> None:
    """Record the rows of an evaluation, made `now`: columns of the training loop."""
    recorder.add("evaluations", *(row | now for row in found.evaluations))
    if found.agents:
        recorder.add(AGENTS, *(row | {"episode": now["episode"]} for row in found.agents))
