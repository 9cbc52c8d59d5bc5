"""Writes the page of a study from the files in its folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from rsm import __version__
from rsm.analysis.claims import findings
from rsm.analysis.claims_pages import number
from rsm.analysis.figures import Heading
from rsm.analysis.page import reading
from rsm.analysis.page.columns import VIEWS, complete
from rsm.analysis.page.curves import curves
from rsm.analysis.page.headline import facts
from rsm.analysis.page.main_table import main_table
from rsm.analysis.page.pictures import pictures
from rsm.analysis.page.provenance import provenance
from rsm.analysis.page.settings import changed, grids
from rsm.analysis.verdicts import RULE
from rsm.config.loading import dump_yaml
from rsm.config.study import Study
from rsm.runs.files import write_text
from rsm.runs.outcome import last_words

NAME = "index.html"
_HERE = Path(__file__).parent


def write_page(
    study: Study, results: Path, headings: Mapping[str, Heading], source: Path | None
) -> Path:
    """Write `results/index.html`; returns it.

    `headings` are the figures in their order. `source` is the file that the study was resolved from, whose
    comments hold its questions. Whatever is missing is said to be. Raises ConfigError for a file that
    cannot be read.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = marked
    environment.filters["number"] = number
    text = environment.get_template("page.html.j2").render(
        **contents(study, results, headings, source)
    )
    write_text(results / NAME, text)
    return results / NAME


def contents(
    study: Study, results: Path, headings: Mapping[str, Heading], source: Path | None
) -> dict[str, Any]:
    """All that the template shows."""
    table = complete(reading.table(results / "tables/main.csv"))
    runs = run_states(study, results)
    interactive = curves(reading.table(results / "figures/learning_curves.csv"))
    claims = findings([results.parent], study.name)
    other = ["report.html", "tables/main.md", "tables/runs.csv", "tables/differences.md"]
    manifests = reading.lines(results / "tables/manifests.jsonl")
    return {
        "study": study,
        "questions": reading.questions(source),
        "facts": facts(table, Counter(runs["status"])),
        "claims": claims,
        "rule": RULE.replace("*", ""),
        "table": main_table(table),
        "views": VIEWS,
        "curves": as_script(interactive) if interactive["panels"] else "",
        "categories": pictures(results / "figures", headings),
        "figure_names": {path.stem for path in (results / "figures").glob("*.png")},
        "unfinished": runs[runs["status"] != "finished"].to_dict("records"),
        "changed": changed(study),
        "grids": grids(study),
        "yaml": dump_yaml(study),
        "provenance": provenance(study, manifests, runs),
        "files": [name for name in other if (results / name).is_file()],
        "version": __version__,
        "library": _verbatim("plotly-basic.min.js"),
        "script": _verbatim("page.js"),
        "style": _verbatim("page.css"),
    }


def run_states(study: Study, results: Path) -> pd.DataFrame:
    """Every run that the study asks for: run_id, status, reason, wall_s (s).

    As in runs.csv; one that is not in it is missing. The reason of a missing run is the last line of its log.
    """
    asked = pd.DataFrame({"run_id": list(study.runs())})
    listed = reading.table(results / "tables/runs.csv")
    listed = listed.reindex(columns=["run_id", "status", "reason", "wall_s"])
    found = asked.merge(listed, how="left", on="run_id")
    found["status"] = found["status"].astype(object).fillna("missing")
    logs = [last_words(results / f"logs/{run_id}.log") for run_id in found["run_id"]]
    logged = pd.Series(logs, index=found.index, dtype=object).where(found["status"] == "missing")
    found["reason"] = found["reason"].astype(object).combine_first(logged)
    usual = found["status"].map({"failed": "no reason given", "missing": "not run to its end"})
    found["reason"] = found["reason"].combine_first(usual)
    return found


def marked(text: object) -> Markup:
    """Escaped text in which `words` between backticks are set as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def as_script(content: object) -> Markup:
    """JSON that may stand in a script element, whatever labels hold."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _verbatim(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))
