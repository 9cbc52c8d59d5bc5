"""Overrides given by `snakemake --config`, whose types are restored.

Snakemake reads a name such as 007 as a number, and leaves numbers within mappings as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rsm.config.loading import plain_value
from rsm.errors import ConfigError, shown

OPTION = "--config"
NAMES = ("study", "name", "description")  # text, whatever it looks like
CUDA = re.compile("cuda(?::([0-9]{1,3}))?")  # the name of a GPU: the first one, or by its number
NOT_OF_A_STUDY = ("study", "rebuild", "device")


def study_overrides(config: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """The overrides of the study. `words` is the command line, which has a name like 007 as it was typed."""
    return {
        key: given_text(key, config, words) if key in NAMES else _typed(value)
        for key, value in config.items()
        if key not in NOT_OF_A_STUDY
    }


def given_text(key: str, config: Mapping[str, Any], words: Sequence[str], default: str = "") -> str:
    """A name as it was given, which Snakemake may have read as a number: 007 as 7, 1e3 as 1000.0."""
    value = config.get(key, default)
    if isinstance(value, str):
        return value
    given = (word.partition("=")[2] for word in reversed(words) if word.startswith(f"{key}="))
    return next(given, str(value))


def wants_rebuild(config: Mapping[str, Any]) -> bool:
    """Whether `rebuild=true` was given; raises ConfigError for what is neither true nor false."""
    value = _typed(config.get("rebuild", False))
    if not isinstance(value, bool):
        raise ConfigError(
            f"{OPTION}: rebuild: {shown(value)} is not allowed: true or false is expected"
        )
    return value


def device_name(config: Mapping[str, Any]) -> str:
    """The `device` that runs are to train on; raises ConfigError for what names none.

    Whether there is such a GPU is for the machine to say that trains.
    """
    value = config.get("device", "cpu")
    if not isinstance(value, str) or (value != "cpu" and not CUDA.fullmatch(value)):
        raise ConfigError(
            f"{OPTION}: device: {shown(value)} is not allowed: cpu, cuda or cuda:NUMBER is expected"
        )
    return value


def _typed(value: Any) -> Any:
    """A value whose every leaf Snakemake left as text."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return plain_value(value) if isinstance(value, str) and value else value
