"""Mistakes of a user and failures of the machine, each reported in one line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any


class ConfigError(ValueError):
    """A user's mistake: one line naming the place, the key, the value and what is allowed."""


class RunError(RuntimeError):
    """A failure outside rsm (SUMO, disk, store): one line with what to do, and exit code 1."""


class KeyedError(ValueError):
    """A mistake in a combination of settings, reported at one of them."""

    def __init__(self, key: str, value: object, message: str) -> None:
        super().__init__(message)
        self.key, self.value = key, value


def shown(value: Any) -> str:
    """A value as it appears in a message: on one line, and short."""
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def one_line(text: object) -> str:
    """A text or path in a message, without line breaks and other control characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def obstacle(path: Path) -> str | None:
    """Why no file or folder could be written at `path`, None where one could; nothing is written."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            return "it is not a regular file"
        there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
        if there != path and not there.is_dir():
            return f"{there} is not a folder"
        if not os.access(there, os.W_OK):
            return f"{there} is read-only" if there.exists() else f"{there} is a link to nothing"
    except OSError as error:
        return error.strerror
    return None
