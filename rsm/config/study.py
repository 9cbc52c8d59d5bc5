"""What a study is: one setting for all runs and a grid that expands to runs (study.md)."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from rsm.config.catalogue import CONTROLS, METHODS, RULES, parse_topology
from rsm.config.loading import explain, load_yaml
from rsm.config.run import Fraction, RunConfig, RunSettings, Settings
from rsm.errors import ConfigError, KeyedError, shown

STUDIES = Path("workflow/studies")
# Settings of a run that a grid decides → the key of the grid that lists them.
AXES = {
    "communication.topology": "topologies",
    "communication.segments": "segments",
    "communication.replicas": "replicas",
    "communication.share": "share",
    "communication.loss_rate": "loss_rates",
    "mixing.rule": "rules",
}
MOST_RUNS = 20_000  # more is a slip, and would keep Snakemake busy for hours before the first job


class Grid(Settings):
    """What varies. Methods without a topology, segments or ζ do not multiply by them."""

    methods: tuple[Literal[tuple(METHODS) + CONTROLS], ...] = Field(strict=False)  # type: ignore[valid-type]
    topologies: tuple[str, ...] = Field(("radius:90",), strict=False)
    segments: tuple[int, ...] = Field((4,), strict=False)
    replicas: tuple[int, ...] = Field((3,), strict=False)
    rules: tuple[Literal[RULES], ...] = Field(("theorem2",), strict=False)  # type: ignore[valid-type]
    share: tuple[Literal["actor", "actor+critic"], ...] = Field(("actor",), strict=False)
    loss_rates: tuple[Fraction, ...] = Field((0.0,), strict=False)

    @field_validator("topologies")
    @classmethod
    def _topologies(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            try:
                parse_topology(text)
            except ValueError as error:
                raise ValueError(f"{text}: {error}") from None
        return texts

    @field_validator("*")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            raise ValueError("the grid expands to nothing: at least one value is needed")
        if len(set(values)) < len(values):
            raise ValueError("each value may be listed once")
        return values


class Study(Settings):
    """A named grid of runs with the settings they share."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    description: str = Field(max_length=2000, description="What a reader should know of it.")
    seeds: tuple[int, ...] = Field(strict=False)
    grid: Grid
    also: tuple[Grid, ...] = Field(
        (), strict=False, description="Further grids, for rows that the first need not multiply by."
    )
    target_return: float | None = Field(
        None, gt=0, le=1, description="Return whose first reaching in training the tables report."
    )
    run: RunSettings = Field(
        RunSettings(), description="Settings of every run alike; the published ones by default."
    )

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("the grid expands to nothing: at least one seed is needed")
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed may be listed once")
        return seeds

    @model_validator(mode="after")
    def _grid_decides(self) -> Study:
        """What the grid would overwrite may not be set in `run`: nobody would notice."""
        for key, axis in AXES.items():
            part, name = key.split(".")
            value, default = (
                getattr(getattr(run, part), name) for run in (self.run, RunSettings())
            )
            if value != default:
                raise KeyedError(f"run.{key}", value, f"it belongs to the grid: grid.{axis}")
        return self

    def runs(self) -> dict[str, RunConfig]:
        """Run id → settings, one entry per training job, in the order of the grids; a row counts once.

        Raises ConfigError where a row is not a valid run or two rows share a name.
        """
        expanded: dict[str, RunConfig] = {}
        grids = ((grid, method) for grid in (self.grid, *self.also) for method in grid.methods)
        for (grid, method), seed in itertools.product(grids, self.seeds):
            for config in self._variants(grid, method, seed):
                known = expanded.setdefault(config.run_id, config)
                if known != config:
                    raise ConfigError(f"{self.name}: grid: two runs share the name {config.run_id}")
                if len(expanded) > MOST_RUNS:
                    raise ConfigError(
                        f"{self.name}: grid: it expands to more than {MOST_RUNS} runs: list fewer values"
                    )
        return expanded

    def _variants(self, grid: Grid, method: str, seed: int) -> list[RunConfig]:
        traits = METHODS.get(method)
        axes: dict[str, tuple[Any, ...]] = {
            "topology": grid.topologies if traits and traits.topology else (),
            "segments": grid.segments if traits and traits.segments else (),
            "replicas": grid.replicas if traits and traits.segments else (),
            "rule": grid.rules if traits and traits.judged else (),
            "share": grid.share if traits and traits.exchanges else (),
            "loss_rate": grid.loss_rates if traits and traits.exchanges else (),
        }
        axes = {name: values for name, values in axes.items() if values}
        variants = []
        for values in itertools.product(*axes.values()):
            row = dict(zip(axes, values, strict=True))
            rule = {"rule": row.pop("rule")} if "rule" in row else {}
            content = self.run.model_dump()
            content |= {"method": method, "seed": seed}
            content["communication"] |= row
            content["mixing"] |= rule
            try:
                variants.append(RunConfig.model_validate(content))
            except ValidationError as error:
                source = f"study {self.name}: grid"
                raise ConfigError(explain(error, RunConfig, source)) from None
        return variants


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`, mappings merged key by key, everything else replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return result


def parse_study(content: dict[str, Any], source: str) -> Study:
    """A study from a mapping; raises ConfigError that names `source`, key, value and what is allowed."""
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Study, source)) from None
    study.runs()
    return study


def study_file(name: str) -> Path:
    """Where the study called `name` is described; raises ConfigError listing what exists."""
    path = STUDIES / f"{name}.yaml"
    # os.path.isfile, unlike Path.is_file, takes a name of any length.
    if os.sep in str(name) or not os.path.isfile(path):
        known = ", ".join(sorted(file.stem for file in STUDIES.glob("*.yaml"))) or "none"
        raise ConfigError(f"study: {shown(name)} is not allowed: known studies: {known}")
    return path


def load_study(path: Path, overrides: dict[str, Any] | None = None) -> Study:
    """Read a study from YAML with overrides merged in; raises ConfigError."""
    return parse_study(merge(load_yaml(path), overrides or {}), str(path))
