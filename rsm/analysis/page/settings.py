"""The settings of a study that differ from the defaults, and its grids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from rsm.config.grid import Grid
from rsm.config.run import RunSettings
from rsm.config.study import Study


class Setting(NamedTuple):
    """A setting that is not the default, values as text."""

    key: str
    value: str
    default: str
    meaning: str


def changed(study: Study) -> list[Setting]:
    """The settings of all runs alike that differ from the published ones, by their dotted keys."""
    return list(_changed(study.run, RunSettings(), ""))


def _changed(own: BaseModel, usual: BaseModel, prefix: str) -> Iterator[Setting]:
    for name, field in type(own).model_fields.items():
        value, default = getattr(own, name), getattr(usual, name)
        if isinstance(value, BaseModel):
            yield from _changed(value, default, f"{prefix}{name}.")
        elif value != default:
            yield Setting(f"{prefix}{name}", text(value), text(default), field.description or "")


def grids(study: Study) -> list[list[tuple[str, str]]]:
    """For each grid its axes with their values, those left at a single default apart."""
    return [_grid(grid) for grid in (study.grid, *study.also)]


def _grid(grid: Grid) -> list[tuple[str, str]]:
    content = grid.model_dump(exclude_defaults=True)
    further = content.pop("settings", {})
    return [(name, text(values)) for name, values in {**content, **further}.items()]


def text(value: Any) -> str:
    """A value as it would be written in a study's file."""
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item) for item in value) or "none"
    if value is None:
        return "null"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
