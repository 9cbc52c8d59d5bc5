"""Mistakes of a user, failures around us, and how both are worded: one line each."""

from __future__ import annotations

import re
from typing import Any


class ConfigError(ValueError):
    """A user's mistake: one line naming the place, the key, the value and what is allowed."""


class RunError(RuntimeError):
    """What went wrong around us (SUMO, disk, store): one line with what to do, and exit code 1."""


class KeyedError(ValueError):
    """A mistake that several settings make together, blamed on one of them."""

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
