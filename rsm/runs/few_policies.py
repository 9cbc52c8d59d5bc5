"""Policies of a study small enough to be committed, so that a reader can drive with them without training.

Of every configuration the runs of best, median and worst final return, actors alone, as float16. Where that is
more than LARGEST, the median run alone; where that still is, one agent of it, who then drives in every seat.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from rsm.config.loading import dump_yaml
from rsm.config.run import POLICY, RunConfig
from rsm.errors import ConfigError
from rsm.runs.files import write_bytes, write_text
from rsm.runs.folder import read_summary
from rsm.runs.policy import load_policy

LARGEST = 3_000_000  # bytes of a study


class Chosen(NamedTuple):
    """A run whose policies are kept."""

    run_id: str
    configuration: str
    place: str  # best, median or worst of its configuration; median+best where it is both
    final_return: float


def chosen(runs: Mapping[str, RunConfig], folder: Path) -> list[Chosen]:
    """Best, median and worst finished run of each configuration that learned; fewer where there are fewer."""
    finished: dict[str, list[tuple[float, str]]] = {}
    for run_id, config in runs.items():
        summary = read_summary(folder / run_id) if config.learns else None
        if summary is not None and summary.get("final_return") is not None:
            entry = (float(summary["final_return"]), run_id)
            finished.setdefault(config.configuration, []).append(entry)
    found = []
    for configuration, entries in finished.items():
        ordered = sorted(entries)
        places = {"median": len(ordered) // 2, "best": len(ordered) - 1, "worst": 0}
        for number in dict.fromkeys(places.values()):
            score, run_id = ordered[number]
            place = "+".join(word for word, its in places.items() if its == number)
            found.append(Chosen(run_id, configuration, place, score))
    return found


def write_policies(runs: Mapping[str, RunConfig], folder: Path, out: Path) -> list[Path]:
    """Write `out/<run id>/` with config.yaml and policy.safetensors, and policies.csv; returns the files.

    `folder` holds the run folders. Raises ConfigError where no run has finished, or nothing fits.
    """
    every = chosen(runs, folder)
    if not every:
        raise ConfigError(f"--study: no run in {folder} has finished: run the study first")
    kept = {one.run_id: _actors(folder / one.run_id) for one in every}
    medians = [one for one in every if "median" in one.place]
    for wanted, agents in ((every, None), (medians, None), (medians, 1)):
        contents = {one.run_id: _content(kept[one.run_id], agents) for one in wanted}
        if (
            sum(map(len, contents.values())) + 4_000 * len(wanted) <= LARGEST
        ):  # settings beside them
            break
    else:
        raise ConfigError(f"--study: its policies do not fit in {LARGEST / 1e6:g} MB")
    rows, paths = ["run_id,configuration,place,final_return,agents"], []
    for one in wanted:
        place = out / one.run_id
        write_text(place / "config.yaml", dump_yaml(runs[one.run_id]))
        write_bytes(place / POLICY, contents[one.run_id])
        paths += [place / "config.yaml", place / POLICY]
        count = len(kept[one.run_id]["theta"]) if agents is None else agents
        rows.append(f"{one.run_id},{one.configuration},{one.place},{one.final_return!r},{count}")
    write_text(out / "policies.csv", "\n".join(rows) + "\n")
    return [*paths, out / "policies.csv"]


def _actors(folder: Path) -> dict[str, Tensor]:
    tensors = load_policy(folder)
    return {name: tensors[name] for name in ("theta", "sizes", "action_scale")}


def _content(tensors: dict[str, Tensor], agents: int | None) -> bytes:
    theta = tensors["theta"][:agents].to(torch.float16).contiguous()
    return save(tensors | {"theta": theta}, metadata={"agents": str(len(theta))})
