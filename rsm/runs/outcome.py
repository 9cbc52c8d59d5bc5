"""How the runs of a study ended: reported at its end, so that a failure does not look like success."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rsm.errors import one_line

if TYPE_CHECKING:  # loading the models of settings takes longer than `rsm status` may
    from rsm.config.run import RunConfig

MOST = 20  # runs that are listed; a study may have thousands
STOPPED = ("rsm: interrupted", "rsm: terminated")  # last lines of runs that were told to stop


class Outcome(NamedTuple):
    """Run id → why, for the runs that failed, those that could not run, and those not run to their end yet."""

    failed: dict[str, str]
    broken: dict[str, str]
    waiting: list[str]


def outcome(runs: Mapping[str, RunConfig], results: Path) -> Outcome:
    """How the runs below `results` ended. For one without a summary the reason is the last line of its log."""
    from rsm.runs.folder import as_begun, read_summary  # loads pydantic, which a look need not

    found = Outcome({}, {}, [])
    for run_id, config in runs.items():
        folder = results / "runs" / run_id
        summary, wanted = read_summary(folder), as_begun(folder, config).settings_hash
        if summary is not None and summary.get("settings_hash") == wanted:
            if summary.get("status") != "finished":
                found.failed[run_id] = one_line(summary.get("reason") or "no reason given")
        elif (reason := last_words(results / "logs" / f"{run_id}.log")) is not None:
            found.broken[run_id] = reason
        else:
            found.waiting.append(run_id)
    return found


def last_words(log: Path) -> str | None:
    """The last line of a run's log; None where it is empty, or the command was told to stop or was killed."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    last = next((line for line in reversed(lines) if line.strip()), "")
    if last.startswith(f"{log.stem}: episode "):  # progress: the process was killed
        return None
    return one_line(last.removeprefix("rsm: ")) if last and last not in STOPPED else None


def report(study: str, runs: Mapping[str, RunConfig], results: Path, ended: bool) -> list[str]:
    """Lines on what failed and what to do; none where nothing failed.

    Where the study `ended` normally, runs that did not run were not requested, and are not reported.
    """
    found = outcome(runs, results)
    broken = {} if ended else found.broken
    waiting = [] if ended else found.waiting
    if not (found.failed or broken or waiting):
        return []
    counts = f"{len(runs) - sum(map(len, found))} of {len(runs)} runs finished"
    lines = [f"Study {study!r}: {counts}"]
    if found.failed:
        lines += _listed("failed", found.failed)
        lines.append(
            "  → tables and figures show them as failed. The same settings will fail again; changed "
            f"settings need a study of another name. To retry a run: rm -r {results}/runs/RUN"
        )
    if broken:
        lines += _listed("could not run", broken)
        lines.append(
            f"  → see {results}/logs/RUN.log, correct what it names, and repeat the command"
        )
    if waiting:
        lines.append(f"  unfinished: {len(waiting)}; the same command resumes them")
    return lines


def places(study: str, results: Path, page: str | None) -> list[str]:
    """Lines on where the results of a finished study are, and its `page` in MLflow; none without a report."""
    if not (results / "report.html").is_file():
        return []
    index = results / "index.html"
    first = f"  page      {index}  (start here: one file with all of it; open it in a browser)"
    lines = [
        f"Study {study!r} is done:",
        *([first] if index.is_file() else []),
        f"  figures   {results}/figures/  (PDF, PNG, and the data as CSV)",
        f"  tables    {results}/tables/   (start with main.md)",
        f"  report    {results}/report.html  (the archive: Snakemake's own report)",
        f"  runs      {results}/runs/     (a folder for each: settings, manifest, tables, policy)",
    ]
    return [*lines, f"  MLflow    {page}  (after 'make ui')"] if page else lines


def _listed(how: str, runs: Mapping[str, str]) -> list[str]:
    lines = [f"  {how}: {run_id}: {reason}" for run_id, reason in list(runs.items())[:MOST]]
    return lines + ([f"  {how}: {len(runs) - MOST} more"] if len(runs) > MOST else [])
