"""Pages of the documentation site that docs/hooks makes: complete, from the code and the committed results."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsm.config.run import RunSettings
from rsm.runs.schema import OPTIONAL, SUMMARY, TABLES, TRAJECTORY

from .conftest import ROOT

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed; `make docs` needs it")

from mkdocs.exceptions import PluginError

from docs.hooks import offline, reference, results

THEORY = ROOT / "results/committed/theory"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """First cell → cells of the tables below a heading."""
    [section] = re.findall(rf"^## `?{re.escape(heading)}`?\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    cells = [
        re.split(r"(?<!\\) \| ", line.strip("| ")) for line in section.splitlines() if "| `" in line
    ]
    return {first.strip("`"): [first, *others] for first, *others in cells}


def test_settings_page_has_every_key_with_default_and_meaning() -> None:
    page = reference.settings_page()
    for name, field in RunSettings.model_fields.items():
        described = rows(page, name)
        assert set(described) == set(field.annotation.model_fields), name
        assert all(len(row) == 4 and all(row) for row in described.values()), name
    assert rows(page, "communication")["period"][1:3] == ["`8`", "whole number, ≥ 1"]
    assert rows(page, "traffic")["observation"][2] == "`absolute`, `relative`, `gaps` or null"
    assert "fleet-figure-eight:&lt;loops>" in page, "no tag"


def test_columns_page_has_every_column_of_every_table() -> None:
    page = reference.columns_page()
    for name, columns in (TABLES | OPTIONAL).items():
        assert set(rows(page, f"{name}.parquet")) == set(columns), name
    assert set(rows(page, "summary.json")) == set(SUMMARY)
    assert set(rows(page, "space_time/<run-id>.parquet")) == set(TRAJECTORY)


def test_commands_page_has_every_command_with_its_options() -> None:
    page = reference.commands_page()
    assert {"## `rsm train`", "## `rsm verify`", "## `rsm doctor`"} <= set(page.splitlines())
    assert "--device cpu|cuda[:K]" in page


def test_page_of_a_study_shows_what_is_committed_of_it() -> None:
    page = results.study_page(THEORY)
    shown = set(re.findall(r"\]\(theory/figures/(\w+)\.png\)$", page, re.M))
    assert shown == {path.stem for path in THEORY.glob("figures/*.png")}
    linked = re.findall(r"\((theory/[\w/.]+)\)", page)
    assert linked and all((THEORY.parent / path).is_file() for path in linked)
    caption = (ROOT / "rsm/theory/figures/theorem1_bound.rst").read_text(encoding="utf-8")
    assert " ".join(caption.split()[:6]) in page
    first = (THEORY / "tables/manifests.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert re.findall(rf"^20 runs of commit `{json.loads(first)['commit'][:7]}`", page, re.M)


def test_figure_that_the_code_no_longer_draws_keeps_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "theory"
    shutil.copytree(THEORY, folder)
    (folder / "figures/of_old.png").touch()
    page = results.study_page(folder)
    assert page.index("## Further figures") < page.index("### Of old") < page.index("## Tables")


def test_page_that_fetches_something_fails_the_build() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    kept = '<script src="assets/site.js"></script><a href="https://arxiv.org">x</a>'
    assert offline.on_post_page(kept, page, None) == kept
    for fetched in (
        '<script async src="https://x.org/a.js">',
        '<link rel="stylesheet" href="//x.org/a.css">',
    ):
        with pytest.raises(PluginError, match=r"a\.md fetches .*x\.org"):
            offline.on_post_page(fetched, page, None)
