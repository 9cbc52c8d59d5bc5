"""Figures of the theory study: a module each, with `draw(data)` from its CSV → Figure, a TITLE and a CATEGORY.

The caption of a figure is `<name>.rst` beside its module.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def module(name: str) -> ModuleType:
    """The module that draws the figure `name` of `rsm.theory.FIGURES`."""
    return import_module(module_name(name))


def module_name(name: str) -> str:
    """The dotted name of that module."""
    return f"rsm.theory.figures.{name}"
