"""A study: settings shared by all runs, and a grid that expands to the runs (docs/how-to/extending.md)."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from rsm.config.axes import AXES, assign, setting
from rsm.config.base import Settings
from rsm.config.catalogue import check_extensions
from rsm.config.grid import Grid
from rsm.config.loading import explain, load_yaml
from rsm.config.run import RunConfig, RunSettings
from rsm.config.shipped import RESOLVED, shipped
from rsm.errors import ConfigError, KeyedError, one_line, shown

MOST_RUNS = 20_000  # more is taken for a mistake: Snakemake would plan for hours


def _as_a_file(schema: dict[str, Any]) -> None:
    """Adapt the JSON schema to study files: one that extends another study may omit keys."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Name or file of a study that this one extends: mappings are merged key by key, "
        "everything else is replaced. Name and description are not inherited.",
    }
    schema["required"] = ["name", "description"]
    schema["anyOf"] = [{"required": ["extends"]}, {"required": ["seeds", "grid"]}]


class Study(Settings):
    """A named grid of runs with the settings they share."""

    model_config = ConfigDict(json_schema_extra=_as_a_file)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    description: str = Field(
        max_length=2000, description="Description of the study for its readers."
    )
    seeds: tuple[int, ...] = Field(strict=False)
    grid: Grid
    also: tuple[Grid, ...] = Field(
        (), strict=False, description="Further grids, whose runs are added to those of the first."
    )
    target_return: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Target return; the tables report when training first reaches it.",
    )
    checks_theory: bool = Field(
        False,
        description="Whether the study includes the checks of both theorems and their figures "
        "(docs/concepts/theory.md).",
    )
    run: RunSettings = Field(
        RunSettings(), description="Settings shared by all runs; the published ones by default."
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
        """Refuse a setting in `run` that the grid would silently overwrite."""
        for axis in AXES:
            value = setting(self.run, axis.setting)
            if value != setting(RunSettings(), axis.setting):
                message = f"it belongs to the grid: grid.{axis.grid}"
                raise KeyedError(f"run.{axis.setting}", value, message)
        return self

    def runs(self) -> dict[str, RunConfig]:
        """Run id → settings, one entry per training job, in the order of the grids, without duplicates.

        Raises ConfigError where a row is not a valid run or two rows share a name.
        """
        expanded: dict[str, RunConfig] = {}
        for grid in (self.grid, *self.also):
            seeds = self.seeds if grid.seeds is None else grid.seeds
            for method, seed in itertools.product(grid.methods, seeds):
                for row in grid.variants(method, self.run):
                    config = self._run(method, seed, row)
                    known = expanded.setdefault(config.run_id, config)
                    if known != config:
                        raise ConfigError(
                            f"{self.name}: grid: two runs share the name {config.run_id}: list all values of "
                            "what differs in one grid"
                        )
                    if len(expanded) > MOST_RUNS:
                        raise ConfigError(
                            f"{self.name}: grid: it expands to more than {MOST_RUNS} runs: list fewer values"
                        )
        return expanded

    def _run(self, method: str, seed: int, row: dict[str, Any]) -> RunConfig:
        content = self.run.model_dump() | {"method": method, "seed": seed}
        for key, value in row.items():
            assign(content, key, value)
        if isinstance(source := content["init_from"]["run"], str):
            content["init_from"]["run"] = source.replace("{seed}", str(seed))
        try:
            return RunConfig.model_validate(content)
        except ValidationError as error:
            raise ConfigError(explain(error, RunConfig, f"study {self.name}: grid")) from None


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` overridden by `over`: mappings are merged key by key, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return result


def parse_study(content: dict[str, Any], source: str) -> Study:
    """A study from a mapping; raises ConfigError that names `source`, key, value and what is allowed."""
    check_extensions()
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Study, source)) from None
    study.runs()
    return study


def study_file(text: str, beside: Path = Path()) -> Path:
    """The file of a study by its name among those of rsm, or by its path, relative to the folder `beside`.

    Raises ConfigError for an unknown name, listing what exists. A path is checked when its file is read.
    """
    text = str(text)
    if os.sep in text or text.endswith((".yaml", ".yml")):
        return beside / text
    path = studies() / f"{text}.yaml"
    if not os.path.isfile(path):  # unlike Path.is_file, it takes a name of any length
        known = ", ".join(sorted(file.stem for file in studies().glob("*.yaml"))) or "none"
        raise ConfigError(f"study: {shown(text)} is not allowed: known studies: {known}")
    return path


def studies() -> Path:
    """The folder of the studies that come with rsm."""
    return shipped("workflow/studies")


def load_study(path: Path, overrides: dict[str, Any] | None = None, option: str = "--set") -> Study:
    """Read a study from YAML, what it extends below it and overrides, given by `option`, on top.

    A study is named as its file, or its folder where it is the resolved `study.yaml` of results: two files of
    one name would write into the same results. What overrides change has a name of its own, `name-1a2b3c`,
    unless they give one.
    """
    content = _extended(path)
    if not overrides:
        study = parse_study(content, one_line(path))
        _named_as_its_file(study, path)
        return study
    try:
        study = parse_study(merge(content, overrides), option)
    except ConfigError:
        # Raises where the file itself is at fault.
        _named_as_its_file(parse_study(content, one_line(path)), path)
        raise
    if "name" not in overrides:
        _named_as_its_file(study, path)
        study = study.model_copy(update={"name": _derived_name(study, content)})
    return study


def _named_as_its_file(study: Study, path: Path) -> None:
    resolved = path.name == RESOLVED and path.absolute().parent.name == study.name
    if study.name != path.stem and not resolved:
        raise ConfigError(
            f"{one_line(path)}: name: {shown(study.name)} is not allowed: a study is named as its file: "
            f"{shown(path.stem)} is expected"
        )


def _derived_name(study: Study, content: dict[str, Any]) -> str:
    """The name of a study with overrides: its own if they change no result, else with a digest appended."""
    says_nothing = {"name", "description"}
    changed = study.model_dump(mode="json", exclude=says_nothing)
    with contextlib.suppress(ValidationError):
        if Study.model_validate(content).model_dump(mode="json", exclude=says_nothing) == changed:
            return study.name
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:6]
    return f"{study.name[:33]}-{digest}"


def _extended(path: Path, through: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of a study's file, merged into that of the study that it `extends`.

    Name and description are its own. Raises ConfigError for a study that extends itself through others.
    """
    content = load_yaml(path)
    if "extends" not in content:
        return content
    text = content.pop("extends")
    if not isinstance(text, str):
        raise ConfigError(
            f"{path}: extends: {shown(text)} is not allowed: the name or the file of a study is expected"
        )
    through = (*through, path.resolve())
    try:
        below = study_file(text, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: extends: {error}") from None
    if below.resolve() in through:
        raise ConfigError(
            f"{path}: extends: {shown(text)} is not allowed: that study extends this one, or is this one"
        )
    base = _extended(below, through)
    return merge({key: base[key] for key in base if key not in ("name", "description")}, content)
