"""Read the finished run folders of a study into pandas frames.

Runs that are missing or failed stay in the index with their status; none is dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rsm.analysis.labels import identity, labels
from rsm.analysis.trajectories import trajectory_runs
from rsm.analysis.worlds import worlds
from rsm.config.axes import AXES, setting
from rsm.config.run import RunConfig, RunSettings
from rsm.config.study import Study
from rsm.errors import ConfigError
from rsm.runs.devices import one_kind
from rsm.runs.files import parse_json
from rsm.runs.folder import as_begun
from rsm.runs.performance import judged
from rsm.runs.schema import AGENTS, OPTIONAL, SUMMARY, TABLES, TRAJECTORY, TRAJECTORY_KEY

# Identity columns that every table carries beside its own.
IDENTITY = (
    "run_id", "configuration", "label", "world", "communication_mode", "begins", "method", "control",
    *(axis.name for axis in AXES), "seed",
)  # fmt: skip
_USUAL = RunSettings()
_NUMBERS = {axis.name for axis in AXES if isinstance(setting(_USUAL, axis.setting), (int, float))}


@dataclass(frozen=True)
class Runs:
    """The runs that a study asks for, with their summaries and tables.

    `index` has one row per run asked for, in the order of the study: the columns IDENTITY, `status`
    (finished, failed or missing), `reason`, and the summary of rsm.runs.schema (null where missing).
    """

    study: str
    folder: Path
    index: pd.DataFrame
    with_trajectory: tuple[str, ...]  # ids of the runs whose `trajectory` the study shows
    target_return: float | None = None  # target return of the study
    held_out: int | None = None  # held-out episodes per seed that count; None: all
    anew_at: Mapping[str, int] = field(
        default_factory=dict
    )  # with newcomers → episode of their reset

    @property
    def finished(self) -> pd.DataFrame:
        """The rows of `index` that finished."""
        return self.index.loc[self.index["status"] == "finished"]

    @property
    def failed(self) -> dict[str, str]:
        """Run id → reason, for every run that failed."""
        rows = self.index[self.index["status"] == "failed"]
        return dict(zip(rows["run_id"], rows["reason"].fillna("no reason given"), strict=True))

    @property
    def missing(self) -> tuple[str, ...]:
        """Ids of the runs without a summary."""
        return tuple(self.index.loc[self.index["status"] == "missing", "run_id"])

    def table(
        self, name: str, rows: pd.DataFrame | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """One table of rsm.runs.schema for finished runs, IDENTITY first; read from disk at each call.

        `rows` is the part of the index wanted (all finished runs by default) and `columns` the columns
        of the table: the ζ trace of a long study is large. Raises ConfigError for a missing or
        unreadable file. A run that has none of a table of OPTIONAL has no rows.

        Of `evaluations` and `agents` only the held-out episodes that learners are judged on: a control has
        driven more.
        """
        wanted = list(columns or (TABLES | OPTIONAL)[name])
        held_out = name in ("evaluations", AGENTS)
        read = list(dict.fromkeys([*wanted, *(["eval_seed"] if held_out else [])]))
        chosen = self.finished if rows is None else rows[rows["status"] == "finished"]
        frames = []
        for position, run_id in zip(chosen.index, chosen["run_id"], strict=True):
            path = self.folder / run_id / f"{name}.parquet"
            if name in OPTIONAL and not path.exists():
                continue
            try:
                frame = pq.read_table(path, columns=read).to_pandas()
            except (OSError, KeyError, pa.ArrowException) as error:
                raise ConfigError(f"{path}: cannot be read: {_line(error)}") from None
            if held_out:
                frame = (frame if self.held_out is None else judged(frame, self.held_out))[wanted]
            if len(frame):
                frames.append(frame.assign(row=position))
        if not frames:
            return pd.DataFrame(columns=[*IDENTITY, *wanted])
        tall = pd.concat(frames, ignore_index=True)
        who = chosen.loc[tall.pop("row"), list(IDENTITY)].reset_index(drop=True)
        return pd.concat([who, tall], axis=1)

    def trajectory(self, run_id: str) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """The trajectory of a finished run (rsm.runs.schema.TRAJECTORY) and what holds for all its rows.

        None where there is none of these settings. Raises ConfigError for a file that cannot be read.
        """
        path = self.folder.parent / "space_time" / f"{run_id}.parquet"
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[TRAJECTORY_KEY])
            frame = table.select(list(TRAJECTORY)).to_pandas()
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise ConfigError(f"{path}: cannot be read: {_line(error)}") from None
        hashes = self.index.loc[self.index["run_id"] == run_id, "settings_hash"]
        return (frame, about) if about.get("settings_hash") in set(hashes) else None


def load_runs(study: Study, folder: Path) -> Runs:
    """Read what the runs of `study` left in `folder`, which holds one folder per run id.

    Raises ConfigError where a run folder has other settings than the study asks for, or where its summary
    cannot be read.
    """
    configs = study.runs()
    names, where = labels(configs.values()), worlds(configs.values())
    rows = []
    for run_id, config in configs.items():
        row: dict[str, Any] = {"status": "missing", "reason": None}
        row |= dict.fromkeys(SUMMARY)
        row |= _summary(folder / run_id / "summary.json", as_begun(folder / run_id, config))
        row["status"] = row["status"] or "missing"
        row |= identity(config, names[config.configuration], where[config.configuration])
        rows.append(row)
    frame = pd.DataFrame(rows)
    rest = [name for name in ("status", "reason", *SUMMARY) if name not in IDENTITY]
    frame = frame[[*IDENTITY, *dict.fromkeys(rest)]]
    texts = set(IDENTITY) - _NUMBERS | {"status", "reason", *_TEXTS}
    for name in frame.columns.difference(list(texts)):
        frame[name] = pd.to_numeric(frame[name])
    held_out = study.run.evaluation.episodes
    anew_at = {
        config.configuration: config.restarts.episode
        for config in configs.values()
        if config.restarts.agents
    }
    shown = trajectory_runs(study)
    return Runs(study.name, folder, frame, shown, study.target_return, held_out, anew_at)


def one_device(runs: Runs) -> None:
    """Raise ConfigError where finished runs that learn were computed on different kinds of device."""
    one_kind(runs.folder, runs.finished.loc[~runs.finished["control"], "run_id"])


_TEXTS = ("settings_hash", "scenario")


def _summary(path: Path, config: RunConfig) -> dict[str, Any]:
    """The known keys of a summary; empty where there is none."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {_line(error)}") from None
    if not isinstance(content, dict) or content.get("status") not in ("finished", "failed"):
        raise ConfigError(f"{path}: status: finished or failed is expected; run the study again")
    found = content.get("settings_hash")
    if found != config.settings_hash:
        raise ConfigError(
            f"{path}: settings_hash: {found!r} is not allowed: the study asks for settings with the "
            f"hash {config.settings_hash!r}; run the study again or remove the folder"
        )
    return {key: value for key, value in content.items() if key in SUMMARY or key == "reason"}


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
