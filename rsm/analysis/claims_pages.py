"""The claims table as CSV, Markdown, HTML, and the block of it in README."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from math import floor, log10
from pathlib import Path

import numpy as np
import pandas as pd

from rsm.analysis.claims import WRITTEN, Finding, added, findings, in_readme
from rsm.analysis.export import PAGE
from rsm.analysis.tables import number_text
from rsm.analysis.verdicts import RULE, Verdict
from rsm.errors import ConfigError, one_line
from rsm.runs.files import write_csv, write_text

BEGIN, END = "<!-- claims: written by `make claims` -->", "<!-- end of claims -->"
COLUMNS = (
    "claim",
    "number and what is claimed of it",
    "as written",
    "as coded, or by another rule",
    "figure",
    "study",
    "seeds",
)


def write_claims(folders: Sequence[Path], out: Path, readme: Path | None = None) -> list[Path]:
    """Write claims.csv, .md and .html to `out`, a short table between the marks of `readme`; return the files.

    `folders` hold `<study>/tables/`, the first that has a study counts. Raises ConfigError for a table that
    cannot be read, or a page without the marks.
    """
    found = findings(folders)
    page = None if readme is None else _read(readme)  # before anything is written
    paths = [out / f"claims.{kind}" for kind in ("csv", "md", "html")]
    write_csv(paths[0], pd.DataFrame(found, columns=list(Finding._fields)))
    table = readable(found)
    text = markdown(found, folders, out)
    write_text(paths[1], f"# The claims of the paper\n\n{text}")
    rule = f"<p>{escape(RULE.replace('*', ''))}</p>"
    body = table.map(lambda cell: cell.replace("**", "").replace("`", "")).to_html(
        index=False, border=0
    )
    write_text(
        paths[2], PAGE.format(title="The claims of the paper", table=_wrapped(body), notes=rule)
    )
    if readme is not None and page is not None:
        before, after = page
        block = short(found, folders, readme.parent)
        write_text(readme, f"{before}{BEGIN}\n\n{block}\n{END}{after}")
        paths.append(readme)
    return paths


def _read(readme: Path) -> tuple[str, str]:
    """What stands before and after the block; raises ConfigError where there is none."""
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise ConfigError(
            f"--readme: {one_line(readme)} is not allowed: a page with the lines {BEGIN} and {END}, once "
            "and in this order, is expected"
        )
    return text.partition(BEGIN)[0], text.partition(END)[2]


def _wrapped(table: str) -> str:
    """Cells of sentences may break, unlike those of numbers."""
    return f"<style>td, th {{ white-space: normal !important; text-align: left !important; }}</style>{table}"


def markdown(found: Sequence[Finding], folders: Sequence[Path], start: Path) -> str:
    """The table with the rule of its verdicts; figures that are there are links from the folder `start`."""
    table = readable(found)
    table["figure"] = [
        _link(figure, study, folders, start)
        for figure, study in zip(table["figure"], table["study"], strict=True)
    ]
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", RULE]) + "\n"


def short(found: Sequence[Finding], folders: Sequence[Path], start: Path) -> str:
    """The block of README: the main claims with the verdicts on all variants, and below it what we add."""
    rows = [["claim of the paper", "verdict", "shown by"], ["---"] * 3]
    for claim in in_readme():
        own = [finding for finding in found if finding.claim == claim]
        known = [finding for finding in own if finding.verdict != Verdict.NOT_RUN]
        verdicts = [f"{finding.variant}: {said(finding)}" for finding in known]
        if len(own) == 1:
            verdicts = [said(finding) for finding in known]
        figure = _link(own[0].figure, own[0].study, folders, start)
        text = "<br>".join(verdicts) or str(Verdict.NOT_RUN)
        rows.append([claim, text, f"{figure}, study `{own[0].study}`"])
    table = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*table, "", _additions(found), ""])


def _additions(found: Sequence[Finding]) -> str:
    """What we add to the paper, as questions with an answer of each study."""
    begin, questions = added()
    answers: dict[str, list[str]] = {}
    for claim, question in questions.items():
        own = [finding for finding in found if finding.claim == claim]
        known = [f"{f.variant} {said(f)}" for f in own if f.verdict != Verdict.NOT_RUN]
        verdicts = ", ".join(known) or str(Verdict.NOT_RUN)
        answers.setdefault(question, []).append(f"`{own[0].study}`: {verdicts}")
    told = [f"{question} {'; '.join(answer)}." for question, answer in answers.items()]
    return " ".join([begin, *told])


def _link(figure: str, study: str, folders: Sequence[Path], start: Path) -> str:
    for folder in folders:
        picture = folder / study / "figures" / f"{figure}.png"
        if picture.is_file():
            return f"[{figure}]({Path(os.path.relpath(picture, start)).as_posix()})"
    return figure


def readable(found: Sequence[Finding]) -> pd.DataFrame:
    """A row per claim as text, variants of the published code beside each other."""
    rows = []
    for claim in dict.fromkeys(finding.claim for finding in found):
        own = {finding.variant: finding for finding in found if finding.claim == claim}
        written = own.get(WRITTEN)  # a study of other rules has none
        first = written or next(iter(own.values()))
        coded = [finding for finding in own.values() if finding is not written]
        known = [finding for finding in coded if finding.verdict != Verdict.NOT_RUN]
        texts = [f"{finding.variant.removeprefix('code ')}: {said(finding)}" for finding in known]
        seeds = [str(f.seeds) for f in filter(None, (written, *known)) if f.seeds]
        values = (
            claim,
            f"{first.number}: {first.limit}",
            said(written) if written else "–",
            "; ".join(texts) if texts else (str(Verdict.NOT_RUN) if coded else "–"),
            first.figure,
            first.study,
            ", ".join(seeds) or "–",
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def said(finding: Finding) -> str:
    """Verdict, number, and its interval or points."""
    if finding.verdict == Verdict.NOT_RUN:
        return str(Verdict.NOT_RUN)
    return f"**{finding.verdict}**: {number(finding)}"


def number(finding: Finding) -> str:
    """The number of a finding with its interval or points."""
    low, value, high = (_figures(x) for x in (finding.low, finding.value, finding.high))
    if finding.happened is not None:
        shares = f"{finding.low:.3g} % to {finding.high:.3g} % by setting"
        spread = f" ({shares})" if finding.happened else ""
        return f"{finding.happened} of {finding.tried}{spread}"
    if finding.points:
        return f"{value} ({', '.join(_figures(float(point)) for point in finding.points.split())})"
    return f"{value} [{low}, {high}]" if np.isfinite(finding.low) else value


def _figures(value: float) -> str:
    """A number to three decimals, or to three digits where it is 1 or more; one digit where all would be 0.

    A verdict depends on the side of the limit, so that a bound near 0 may not read as 0.
    """
    if 0 < abs(value) < 0.0005:
        return number_text(value, f"{{:.{-floor(log10(abs(value)))}f}}")
    return number_text(value, "{:.3f}" if abs(value) < 1 else "{:.3g}")
