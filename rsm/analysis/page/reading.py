"""Reading what a study left in its folder, be it complete or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from rsm.errors import ConfigError, one_line


def table(path: Path) -> pd.DataFrame:
    """A CSV of a study; no rows where it is not there or empty. Raises ConfigError where it cannot be read."""
    try:
        return pd.read_csv(path)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{one_line(path)}: cannot be read: {one_line(error)}") from None


def lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a file with one in JSON a line; none where it is not there. Raises ConfigError as `table`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigError(f"{one_line(path)}: cannot be read: {one_line(error)}") from None
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise ConfigError(
            f"{one_line(path)}: cannot be read: a line of it is not JSON: run `rsm tables` again"
        ) from None


def questions(path: Path | None) -> list[str]:
    """The numbered questions among the comments of a study's file; none where it has none, or is not there.

    They follow the comment line that begins with `Questions`, one a number, continued by indented lines. A
    study without questions of its own says in that line where they are: this is then the only item.
    """
    if path is None or not path.is_file():
        return []
    comments = [
        line.removeprefix("#").rstrip() if line.startswith("#") else None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    start = next(
        (i for i, text in enumerate(comments) if (text or "").startswith(" Questions")), None
    )
    if start is None:
        return []
    found: list[str] = []
    for text in comments[start + 1 :]:
        number, dot, rest = (text or "").strip().partition(". ")
        if text is not None and dot and number.isdecimal():
            found.append(rest)
        elif text is not None and found and text.startswith("   "):
            found[-1] += f" {text.strip()}"
        else:
            break
    elsewhere = str(comments[start]).partition(":")[2].strip()
    return found or ([elsewhere] if elsewhere else [])
