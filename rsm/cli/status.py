"""`rsm status`: the state of a study."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import TYPE_CHECKING

from rsm.cli.options import Command, study_option
from rsm.cli.studies import RESULTS, finished_study, resolved_by_name
from rsm.config.shipped import RESOLVED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rsm.runs.planned import Planned
    from rsm.runs.status import Status

EVERY_S = 2.0  # seconds between two updates with --watch
MOST = 20  # failed runs that are listed


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    watch = command("status", run_status, "show what is done, running, failed and queued")
    study_option(watch)
    watch.add_argument("--watch", action="store_true", help="update every two seconds")


def run_status(options: argparse.Namespace) -> None:
    from rich.console import Console

    from rsm.runs.status import status

    name, runs = planned_runs(options.study)
    results = RESULTS / name
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width of its own
    found = status(runs, results)
    if not options.watch:
        console.print(page(name, found))
        return
    from rich.live import Live

    with (
        Live(page(name, found), console=console, auto_refresh=False) as live,
        contextlib.suppress(KeyboardInterrupt),
    ):
        while not found.over:
            time.sleep(EVERY_S)
            found = status(runs, results)
            live.update(page(name, found), refresh=True)


def planned_runs(text: str) -> tuple[str, dict[str, Planned]]:
    """The name of a study and its runs, from what an earlier look kept if that is still true."""
    from rsm.runs.planned import planned, remember, remembered

    resolved = resolved_by_name(text)
    if resolved is not None and (known := remembered(resolved)) is not None:
        return text, known
    study = finished_study(text)
    runs = study.runs()
    plans = planned(runs, RESULTS / study.name)
    if (resolved := RESULTS / study.name / RESOLVED).is_file():
        remember(resolved, runs, plans)
    return study.name, plans


def page(study: str, found: Status) -> RenderableType:
    """The headline, a row for each run under way, and the failed runs with their reasons."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from rsm.runs.status import duration, headline

    parts: list[RenderableType] = [Text(headline(study, found), style="bold")]
    if found.running:
        table = Table(box=None, pad_edge=False)
        for title in ("running", "episode", "return", "acceptance", "MB sent", "left"):
            table.add_column(title, justify="left" if title == "running" else "right", no_wrap=True)
        for run in found.running:
            table.add_row(
                run.run_id,
                f"{run.episode}/{run.episodes}",
                _number(run.episode_return, "{:.3f}"),
                _number(run.acceptance_rate, "{:.0%}"),
                _number(run.bytes_sent, "{:.1f}", 1e-6),
                "–" if run.left_s is None else duration(run.left_s),
            )
        parts.append(table)
    for run_id, reason in list(found.failed.items())[:MOST]:
        parts.append(Text(f"failed: {run_id}: {reason}", style="red"))
    if len(found.failed) > MOST:
        parts.append(Text(f"failed: {len(found.failed) - MOST} more", style="red"))
    return Group(*parts)


def _number(value: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if value is None else form.format(value * unit)
