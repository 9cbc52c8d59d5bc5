"""`rsm doctor --report`: findings, versions and machine as Markdown to paste into an issue."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rsm.cli.doctor import Finding
from rsm.config.shipped import checkout
from rsm.errors import one_line

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\")]+|\b\d+\.\d+\.\d+\.\d+\b", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w./~\]])/[^\s'\":;,()/]+(?:/[^\s'\":;,()/]*)+")


def as_markdown(findings: Sequence[Finding]) -> str:
    """One block: versions and machine as in a manifest, then all findings, problems first."""
    ordered = sorted(findings, key=lambda finding: not finding.advice)
    rows = [
        ("**problem**", finding.what, f"{finding.found} → {finding.advice}")
        if finding.advice
        else ("ok", finding.what, finding.found)
        for finding in ordered
    ]
    return "\n".join(
        [
            "<details><summary>rsm doctor --report</summary>",
            "",
            *_table(("", "of this installation"), _facts()),
            "",
            *_table(("", "examined", "found"), rows),
            "",
            "</details>",
        ]
    )


def impersonal(text: str) -> str:
    """A text without addresses and without paths that tell who and where the user is.

    Known folders become `.`, `~`, `[checkout]` and `[temporary]`, the server of the MLflow store becomes
    `[store]`, and any other path of two or more parts becomes `[path]`.
    """
    text = _ADDRESS.sub("[address]", text)
    if server := urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")).hostname:
        text = text.replace(server, "[store]")
    for folder, name in _folders():
        text = re.sub(rf"{re.escape(str(folder))}(?![\w.-])", name, text)
    return _PATH.sub("[path]", text)


def _folders() -> list[tuple[Path, str]]:
    """Folders that have a name of their own, those within others first."""
    named = {Path(tempfile.gettempdir()): "[temporary]"}
    with contextlib.suppress(RuntimeError):  # the user has no home folder
        named[Path.home()] = "~"
    if (root := checkout()) is not None:
        named[root] = "[checkout]"
    named[Path.cwd()] = "."
    return sorted(named.items(), key=lambda item: len(str(item[0])), reverse=True)


def _facts() -> Iterator[tuple[str, ...]]:
    """What a manifest says of an installation, a row each."""
    try:
        from rsm.runs.manifest import installation

        facts = installation()
        facts["machine"].pop("gpu")  # a run names it; nothing is known of it here
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a broken torch
        yield "manifest", f"cannot be told: {str(error).partition(chr(10))[0]}"
        return
    yield from _rows("", facts)


def _rows(prefix: str, facts: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _rows(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", "–" if value is None else str(value)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, without anything personal in its cells."""
    for cells in (heading, ["---"] * len(heading), *rows):
        safe = (impersonal(one_line(cell)).replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(safe)} |"
