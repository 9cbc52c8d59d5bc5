"""Pages cited in code and documentation exist."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from rsm import theory
from rsm.analysis import TABLES
from rsm.cli.parser import parser
from rsm.config.loading import parse_yaml
from rsm.config.run import parse_run
from rsm.config.study import load_study

from .conftest import ROOT

PAGE = re.compile(r"(?<![\w*{}/])[\w.-]+(?:/[\w.-]+)*\.md\b")
PLACES = (
    "rsm", "docs", "workflow", "examples", "Snakefile", "Makefile", "pyproject.toml", "README.md",
    "CONTRIBUTING.md", "CHANGELOG.md",
)  # fmt: skip
CITING = [
    path
    for where in PLACES
    for path in ([ROOT / where] if (ROOT / where).is_file() else sorted((ROOT / where).rglob("*")))
    if path.suffix in {".py", ".md", ".smk", ".yaml", ".rst", ".toml", ".json", ""}
    and path.is_file()
]
# Tables that rsm writes: no pages, wherever they are spoken of.
WRITTEN = {
    "claims.md",
    "comparison.md",
    *TABLES,
    *(f"{name}.md" for names in theory.TABLES.values() for name in names),
}
# Pages of the site that docs/hooks makes.
MADE = {
    ROOT / f"docs/{name}.md"
    for name in (
        *("reference/settings", "reference/columns", "reference/commands", "reference/methods"),
        *("project/contributing", "project/changelog", "results/claims"),
        *(f"results/{path.parent.name}" for path in ROOT.glob("results/committed/*/study.yaml")),
    )
}


def cited(path: Path) -> set[str]:
    return set(PAGE.findall(path.read_text(encoding="utf-8")))


def places(path: Path, name: str) -> list[Path]:
    """Where a page may be that a file cites: seen from the root, or from that file."""
    return [Path(os.path.normpath(folder / name)) for folder in (ROOT, path.parent)]


def test_pages_are_cited_at_all() -> None:
    names = {name for path in CITING for name in cited(path)}
    assert {
        "docs/concepts/algorithm.md",
        "docs/concepts/scenarios.md",
        "docs/concepts/architecture.md",
    } <= names


def test_every_page_that_is_cited_is_in_the_repository() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in CITING
        for name in cited(path)
        if Path(name).name not in WRITTEN
        and not any(page.is_file() or page in MADE for page in places(path, name))
    }
    assert not missing


def test_study_and_run_of_the_first_pages_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs/start/first-study.md").read_text(encoding="utf-8")
    [(name, text)] = re.findall(r"\*\*`([\w-]+\.yaml)`\*\*\n\n```yaml\n(.*?)```", page, re.S)
    (tmp_path / name).write_text(text)
    runs = load_study(tmp_path / name).runs()
    assert len({run.seed for run in runs.values()}) == 5, "the fewest that give an interval"
    assert sum(run.learns for run in runs.values()) == 10, "as the page says"
    for path in ("README.md", "docs/how-to/one-run.md"):
        text = (ROOT / path).read_text(encoding="utf-8")
        [block] = re.findall(r"```yaml\n(.*?)```", text, re.S)
        assert parse_run(parse_yaml(block, path), path).method == "rsm"


def test_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)|src=\"([^\"]+)\"", text)
    local = [link or picture for link, picture in links if not link.startswith("https://")]
    assert len(local) > 15
    assert not [link for link in local if not (ROOT / link).exists()]


def test_commands_on_the_pages_are_commands_of_rsm() -> None:
    """In blocks of code; placeholders are values like others. A test of its own runs those of extending.md."""
    found = 0
    pages = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    for path in pages - {ROOT / "docs/how-to/extending.md"}:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```|((?:^    .*\n)+)", text, re.M | re.S)
        for line in "\n".join(map("".join, blocks)).splitlines():
            if command := re.fullmatch(r"\s*(?:[A-Z_]+=\S+ )?rsm ([a-z].*)", line):
                words = shlex.split(command[1], comments=True)
                try:
                    parser().parse_args(words)
                except SystemExit:
                    pytest.fail(f"{path.relative_to(ROOT)}: rsm {' '.join(words)}")
                found += 1
    assert found > 20
