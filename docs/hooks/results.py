"""A page of the site for each study in results/committed, and one for the claims of the paper.

A page shows what is there: a study has the figures and tables of the commit that it was run from.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from rsm import analysis, theory
from rsm.analysis import figures
from rsm.theory import figures as theory_figures

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results/committed"
PAGE = "index.html"  # the study as one file, where it was small enough to be committed
SHOWN = (PAGE, "figures/*", "tables/*")
MOST_ROWS = 200  # of a table on a page; a longer one is a file beside it
CATEGORIES = ("Theory", "Performance", "Communication", "Regulation", "Further figures")
TABLES = {
    "main": "Main table",
    "differences": "Difference to independent learning, at every evaluation",
    "groups": "Returns of groups of agents",
    "gate": "How well each judge tells gains from losses",
    "gate_states": "How many states a question to peers needs",
    "pareto": "Return for bytes",
    "barrier": "Synchronous and asynchronous rounds",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the studies to the navigation, behind the claims."""
    for section in config.nav or []:
        if "Results" in section:
            place = section["Results"].index("results/claims.md") + 1
            section["Results"][place:place] = [f"results/{folder.name}.md" for folder in studies()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the files that they show."""

    def add(name: str, **content: Any) -> None:
        files.append(File.generated(config, f"results/{name}", **content))

    add("claims.md", content=(COMMITTED / "claims.md").read_text(encoding="utf-8"))
    for folder in studies():
        add(f"{folder.name}.md", content=study_page(folder))
        for path in sorted(path for pattern in SHOWN for path in folder.glob(pattern)):
            if path.suffix != ".md":
                add(f"{folder.name}/{path.relative_to(folder)}", abs_src_path=str(path))
    return files


def studies() -> list[Path]:
    """The folders of the studies that are committed."""
    return sorted(path.parent for path in COMMITTED.glob("*/study.yaml"))


def study_page(folder: Path) -> str:
    """What a study asks, its figures with their captions, and its tables."""
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    parts = [f"# {folder.name}", study["description"], *_provenance(folder)]
    if (folder / PAGE).is_file():
        parts.append(
            f"[The study on one page]({folder.name}/{PAGE}), with interactive learning curves."
        )
    parts += _questions(folder)
    headings = _headings()
    drawn = {path.stem for path in folder.glob("figures/*.png")}
    ordered = [name for name in headings if name in drawn] + sorted(drawn - set(headings))
    for category in CATEGORIES:
        names = [name for name in ordered if _heading(headings, name).category == category]
        parts += [f"## {category}"] if names else []
        for name in names:
            parts += _figure(folder, name, _heading(headings, name))
    return "\n\n".join([*parts, "## Tables", *_tables(folder)]) + "\n"


def _provenance(folder: Path) -> Iterator[str]:
    """Commit, dates and failures, from the manifests."""
    path = folder / "tables/manifests.jsonl"
    if not path.is_file():
        return
    runs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    commits = ", ".join(sorted({f"`{run['commit'][:7]}`" for run in runs if run["commit"]}))
    machines = ", ".join(sorted({str(run["machine"]["cpu"]) for run in runs}))
    failed = [run["run_id"] for run in runs if run["status"] != "finished"]
    ended = max(run["ended"] or run["started"] for run in runs)[:10]
    yield (
        f"{len(runs)} runs of commit {commits}, the last of them ended on {ended}. Processor: {machines}. "
        f"Failed: {', '.join(failed) or 'none'}."
    )


def _questions(folder: Path) -> Iterator[str]:
    path = ROOT / f"workflow/studies/{folder.name}.yaml"
    if path.is_file():
        yield '??? note "The study file, with the questions that were written before it ran"'
        yield _indented(f"```yaml\n{path.read_text(encoding='utf-8')}```")


def _headings() -> dict[str, figures.Heading]:
    """Title, category and caption of every figure that the code can draw."""
    of_theory = [name for names in theory.FIGURES.values() for name in names]
    headings = {name: figures.read_heading(theory_figures.module_name(name)) for name in of_theory}
    return headings | {name: figures.heading(name) for name in analysis.FIGURES.own}


def _heading(headings: dict[str, figures.Heading], name: str) -> figures.Heading:
    """That of a figure; one that the code no longer draws has its name alone."""
    title = name.replace("_", " ").capitalize()
    return headings.get(name, figures.Heading(title, CATEGORIES[-1], Path()))


def _figure(folder: Path, name: str, heading: figures.Heading) -> Iterator[str]:
    caption = ""
    if heading.caption.is_file():
        text = heading.caption.read_text(encoding="utf-8").replace("``", "`")
        caption = re.sub(r"\s*\n(?!\n)", " ", text).strip()
    files = f"{folder.name}/figures/{name}"
    yield f"### {heading.title} {{ #{name} }}"
    yield '<div class="figure" markdown>'
    yield f"[![{heading.title}]({files}.png){{ loading=lazy }}]({files}.png)"
    yield f"{caption}\n{{ .caption }}" if caption else ""
    yield f"[PDF]({files}.pdf) · [data as CSV]({files}.csv)\n{{ .caption }}"
    yield "</div>"


def _tables(folder: Path) -> Iterator[str]:
    names = [path.stem for path in sorted(folder.glob("tables/*.md"))]
    for name in sorted(names, key=lambda name: (name not in TABLES, [*TABLES, name].index(name))):
        text = (folder / f"tables/{name}.md").read_text(encoding="utf-8")
        _, _, body = text.partition("\n")  # without its heading
        title = TABLES.get(name, name.replace("_", " "))
        rows = sum(line.startswith("|") for line in body.splitlines())
        if rows > MOST_ROWS:
            yield f"### {title} {{ #table-{name} }}"
            yield f"{rows - 2} rows: [CSV]({folder.name}/tables/{name}.csv)"
            continue
        yield f"### {title} {{ #table-{name} }}"
        yield f'<div class="sortable" markdown>\n\n{body.strip()}\n\n</div>'
    yield "### Files"
    others = sorted(path for path in folder.glob("tables/*") if path.suffix != ".md")
    yield "\n".join(
        f"- [{path.name}]({folder.name}/tables/{path.name}){_rows(path)}" for path in others
    )


def _rows(path: Path) -> str:
    if path.suffix != ".csv":
        return ""
    with path.open(encoding="utf-8", newline="") as text:
        return f", {sum(1 for _ in csv.reader(text)) - 1} rows"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
