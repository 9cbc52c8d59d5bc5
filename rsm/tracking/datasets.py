"""What a run was trained and measured on, as dataset inputs: the scenario, and the held-out seeds.

There are no files of data: traffic is drawn from seeds. A dataset is what must be the same for runs to be
compared, and its digest says whether it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from rsm.config.run import RunConfig
from rsm.seeding import held_out_seeds

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

TRAINING, HELD_OUT = "training", "evaluation"  # MLflow's words for what a dataset is to a run


def datasets(config: RunConfig) -> dict[str, dict[str, Any]]:
    """What it is to the run → name, digest, source and profile."""
    traffic = config.driven.model_dump(mode="json")
    seeds = held_out_seeds(config.seed, config.evaluation.episodes)
    scenario = config.traffic.scenario.replace(":", "-")
    found: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
        HELD_OUT: (
            f"{scenario} held out",
            {"traffic": traffic, "seeds": seeds},
            {"episodes": len(seeds)},
        ),
    }
    if config.learns:
        profile = {"episodes": config.training.episodes}
        found[TRAINING] = (scenario, {"traffic": traffic, "seed": config.seed}, profile)
    return {
        context: {
            "name": name,
            "digest": hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8],
            "source": json.dumps(source),
            "profile": json.dumps(profile),
        }
        for context, (name, source, profile) in found.items()
    }


def inputs(config: RunConfig) -> list[DatasetInput]:
    """The same as MLflow's entities."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(source_type="sumo", **dataset), [InputTag("mlflow.data.context", context)]
        )
        for context, dataset in datasets(config).items()
    ]
