"""A committed study is drawn again from its CSVs alone; the module of a figure has its title."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rsm.analysis import FIGURES, figures
from rsm.analysis.load import Runs
from rsm.cli.parser import main


@pytest.fixture(scope="module")
def committed(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two figures of a study and nothing else."""
    folder = tmp_path_factory.mktemp("committed")
    for name in ("segments", "topologies"):
        figures.save(name, runs, folder / "figures")
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_figure_says_its_title_its_category_and_its_caption(name: str) -> None:
    heading, drawing = figures.heading(name), figures.module(name)
    assert heading[:2] == (drawing.TITLE, drawing.CATEGORY)
    assert heading.caption.stem == name and heading.caption.read_text(encoding="utf-8").strip()


def test_folder_is_drawn_again_without_its_runs(committed: Path, tmp_path: Path) -> None:
    assert main(["figures", "--from", str(committed), "--out", str(tmp_path / "new")]) == 0
    for name in ("segments", "topologies"):
        for kind in ("png", "pdf"):
            new = tmp_path / "new" / f"{name}.{kind}"
            assert new.read_bytes() == (committed / "figures" / new.name).read_bytes()


def test_pictures_go_beside_their_csv_where_no_other_place_is_named(committed: Path) -> None:
    picture = committed / "figures/segments.png"
    picture.unlink()
    assert main(["figures", "--from", str(committed), "--only", "segments"]) == 0
    assert picture.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "{empty}"], r"--from: .* it has no figures/\*\.csv"),
        (["--from", "{folder}", "--only", "zeta"], "'zeta' is not allowed: .*segments, topologies"),
        (["--study", "quick", "--out", "x"], "--out: is not allowed without --from"),
    ],
    ids=["empty", "unknown", "out"],
)
def test_mistake_is_one_line_and_draws_nothing(
    arguments: list[str], said: str, committed: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = sorted(committed.rglob("*"))
    filled = [word.format(empty=tmp_path, folder=committed) for word in arguments]
    assert main(["figures", *filled]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line
    assert sorted(committed.rglob("*")) == before and not list(tmp_path.iterdir())


def test_csv_of_a_figure_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/pie.csv").write_text("a\n1\n")
    assert main(["figures", "--from", str(tmp_path)]) == 2
    assert "pie.csv: no such figure is known: learning_curves" in capsys.readouterr().err


def test_csv_without_a_column_that_the_figure_has_now_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/segments.csv").write_text("label\nrsm\n")
    assert main(["figures", "--from", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "segments.csv: it has no column 'control': another version of rsm wrote it" in line


def test_figures_of_the_theory_are_drawn_again_by_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/catching_up.csv").write_text(
        "actor_updates,accepted,gained,ratio\n0,20,0,1\n10,0,1,1\n"
    )
    assert main(["figures", "--from", str(tmp_path)]) == 0
    assert (tmp_path / "figures/catching_up.pdf").stat().st_size > 5000
