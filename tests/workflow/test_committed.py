"""The committed results are complete, belong to the current studies, and are quoted correctly."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rsm.analysis import FORMATS
from rsm.analysis.statistics import interquartile_mean
from rsm.config.study import Study, load_study

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/committed"
COMMITTED = sorted(path for path in RESULTS.glob("*") if path.is_dir())
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
# A table quoted on a page: it names its source, and has some of its columns and rows.
TAKEN = re.compile(r"<!-- from (\S+) -->\n+((?:\|.*\n)+)")


@pytest.fixture(params=COMMITTED, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    """Results of a study, as `make committed` gathers them."""
    chosen: Path = request.param
    return chosen


def test_every_figure_is_there_in_every_form_with_its_data(folder: Path) -> None:
    """A study has the figures of the commit that it was run from; later ones are not its own."""
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert {"learning_curves", "return_vs_bytes"} <= figures
    names = {f"{name}.{suffix}" for name in figures for suffix in FORMATS}
    assert {path.name for path in (folder / "figures").iterdir()} == names


def hashes_as_begun(study: Study, manifests: list[dict[str, Any]]) -> dict[str, str]:
    """Run id → settings hash; a run of a transfer has that of the policies in its manifest, not here."""
    begun = {
        entry["run_id"]: entry["init_from"]["sha256"] for entry in manifests if "init_from" in entry
    }
    hashes = {}
    for run_id, config in study.runs().items():
        if config.init_from.run is not None:
            source = config.init_from.model_copy(update={"sha256": begun[run_id]})
            config = config.model_copy(update={"init_from": source})
        hashes[run_id] = config.settings_hash
    return hashes


def test_results_are_of_the_study_as_it_is_and_of_all_its_runs(folder: Path) -> None:
    study = load_study(ROOT / f"workflow/studies/{folder.name}.yaml")
    runs = pd.read_csv(folder / "tables/runs.csv")
    lines = (folder / "tables/manifests.jsonl").read_text(encoding="utf-8").splitlines()
    manifests = [json.loads(line) for line in lines]
    hashes = hashes_as_begun(study, manifests)
    assert hashes_as_begun(load_study(folder / "study.yaml"), manifests) == hashes
    assert dict(zip(runs["run_id"], runs["settings_hash"], strict=True)) == hashes
    assert set(runs["status"]) <= {"finished", "failed"}
    assert {entry["run_id"]: entry["settings_hash"] for entry in manifests} == hashes
    commits = {entry["commit"] for entry in manifests}
    assert len(commits) == 1, "from one commit of the code"


def test_table_of_configurations_is_that_of_the_runs(folder: Path) -> None:
    runs = pd.read_csv(folder / "tables/runs.csv")
    done = runs[runs["status"] == "finished"].groupby("configuration")["final_return"]
    configurations = pd.read_csv(folder / "tables/main.csv").set_index("configuration")
    for configuration, scores in done:
        assert configurations.at[configuration, "return_iqm"] == pytest.approx(
            float(interquartile_mean(scores))
        )
        assert configurations.at[configuration, "finished"] == len(scores)


def test_differences_are_those_of_the_returns_of_every_seed(folder: Path) -> None:
    content = json.loads((folder / "tables/marl_eval.json").read_text(encoding="utf-8"))
    algorithms: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
    for tasks in content.values():
        for task in tasks.values():
            assert not set(task) & set(algorithms)
            algorithms |= task
    by_step = {
        (configuration, seed, name): sum(step["return"]) / len(step["return"])
        for configuration, seeds in algorithms.items()
        for seed, steps in seeds.items()
        for name, step in steps.items()
        if name.startswith("step_")
    }
    table = pd.read_csv(folder / "tables/differences.csv")
    runs = pd.read_csv(folder / "tables/runs.csv")
    alone = runs[runs["method"] == "independent"].drop_duplicates("world")
    base = dict(zip(alone["world"], alone["configuration"], strict=True))
    if not base:  # nothing to be compared with
        assert table.empty
        return
    table = table[~table["control"]]  # `untrained` is in runs.csv alone
    assert set(table["configuration"]) == set(algorithms) - set(base.values())
    table["step"] = "step_" + table.groupby("configuration").cumcount().astype(str)
    for row in table.to_dict("records"):
        # Where nothing is sent, a world does not say by what attack.
        [alone_there] = {
            base[world] for world in base if f"{row['world']} by ".startswith(f"{world} by ")
        }
        found = [
            score - by_step[alone_there, seed, step]
            for (configuration, seed, step), score in by_step.items()
            if (configuration, step) == (row["configuration"], row["step"])
        ]
        assert len(found) == row["pairs"]
        assert row["difference"] == pytest.approx(float(interquartile_mean(found)), abs=1e-12)
        assert row["above"] == sum(difference > 0 for difference in found)


def test_numbers_that_verify_compares_with_are_those_of_the_tables() -> None:
    expected = json.loads((RESULTS / "expected.json").read_text(encoding="utf-8"))
    for name, entry in expected.items():
        study, run = name.split("/")
        path = RESULTS / study / "tables/runs.csv"
        if not path.is_file():  # the study is not committed: nothing to compare with
            continue
        row = pd.read_csv(path).set_index("run_id").loc[run]
        for key in entry["numbers"].keys() & row.keys():  # `spread` is of the rounds
            number = entry["numbers"][key]
            assert number["value"] == pytest.approx(row[key], rel=1e-9), f"{name}: {key}"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` in a folder with a finished environment whose python writes down what it is asked."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "constraints-torch.txt", ".venv/.setup-done"):
        (folder / name).touch()
    python = folder / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$@" > asked\n')
    python.chmod(0o755)
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


def test_make_committed_gathers_the_named_studies_and_computes_the_claims(tmp_path: Path) -> None:
    for part in ("figures/a.csv", "tables/runs.csv", "runs/x/summary.json", "study.yaml"):
        path = tmp_path / "results/mine" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    old = tmp_path / "results/committed/mine/figures/old.csv"
    old.parent.mkdir(parents=True)
    old.touch()
    done = make(tmp_path, "committed", "STUDIES=mine")
    assert done.returncode == 0, done.stderr
    gathered = tmp_path / "results/committed/mine"
    files = {str(p.relative_to(gathered)) for p in gathered.rglob("*") if p.is_file()}
    assert files == {"study.yaml", "figures/a.csv", "tables/runs.csv"}
    assert "rsm claims --readme README.md" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(("size", "copied"), [(2_999_999, True), (3_000_000, False)])
def test_make_committed_copies_a_page_only_if_it_is_small_and_says_so(
    size: int, copied: bool, tmp_path: Path
) -> None:
    for part in ("figures/a.csv", "tables/runs.csv", "study.yaml", "index.html"):
        path = tmp_path / "results/mine" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "results/mine/index.html").write_bytes(b" " * size)
    done = make(tmp_path, "committed", "STUDIES=mine")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/committed/mine/index.html").exists() == copied
    assert ("results/mine/index.html is not copied" in done.stdout) != copied


@pytest.mark.parametrize("studies", ["", "STUDIES=absent"])
def test_make_committed_of_nothing_or_of_an_unfinished_study_changes_nothing(
    studies: str, tmp_path: Path
) -> None:
    kept = tmp_path / "results/committed/absent/study.yaml"
    kept.parent.mkdir(parents=True)
    kept.touch()
    done = make(tmp_path, "committed", *filter(None, [studies]))
    assert done.returncode and "committed: " in done.stdout + done.stderr
    assert kept.exists() and not (tmp_path / "asked").exists()


def rows(text: str) -> list[dict[str, str]]:
    """A Markdown table as a mapping for each row."""
    lines = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.strip().splitlines()
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tables_of_the_pages_are_those_of_the_committed_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    taken = TAKEN.findall(text)
    assert len(taken) == text.count("<!-- from "), "each stands right above its table"
    for source, table in taken:
        whole = (ROOT / source).read_text(encoding="utf-8")
        known = rows("\n".join(line for line in whole.splitlines() if line.startswith("|")))
        for row in rows(table):
            assert any(row.items() <= entry.items() for entry in known), row
