"""The page of a study: what it shows is what lies in its folder, and nothing is fetched."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rsm.analysis import figures
from rsm.analysis.aggregate import write_figures, write_tables
from rsm.analysis.page.columns import column, complete
from rsm.analysis.page.main_table import main_table
from rsm.analysis.page.reading import questions
from rsm.analysis.page.settings import changed
from rsm.analysis.page.write import write_page
from rsm.config.study import load_study, parse_study, studies
from rsm.errors import ConfigError

from .conftest import small_study, write_study

HOSTILE = "</script><b>&amp; `code`"
REASON = "loss is <nan> & worse"


class Page(HTMLParser):
    """What a browser would make of a page: its tables, pictures, sources, and what a reader sees as text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[dict[str, str | None]]] = []
        self.pictures: dict[str, str] = {}
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.within = tag if tag in ("script", "style") else self.within
        self.addresses += [
            own[name] or "" for name in ("src", "href", "srcset", "data") if name in own
        ]
        if tag in ("td", "th", "dd"):
            self.words.append(" ")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and "data-value" in own:
            self.rows[-1].append(own)
        if tag == "img":
            self.pictures[own["data-name"] or ""] = own["src"] or ""

    def handle_endtag(self, tag: str) -> None:
        self.within = "" if tag == self.within else self.within

    def handle_data(self, data: str) -> None:
        (self.scripts if self.within else self.words).append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def headings(*names: str) -> dict[str, figures.Heading]:
    return {name: figures.heading(name) for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with tables and two figures, one of them unknown to rsm; one run failed and one is missing."""
    study = small_study(
        methods=["independent", "average", "fmarl", "rsm", "go"],
        segments=[4],
        seeds=[0, 1, 2, 3, 4, 5],
    )
    study = study.model_copy(update={"description": HOSTILE})
    results = write_study(study, tmp_path_factory.mktemp("page"))
    summary = results / "runs/fmarl-seed5/summary.json"
    content = json.loads(summary.read_text()) | {"status": "failed", "reason": REASON}
    summary.write_text(json.dumps(content))
    shutil.rmtree(results / "runs/go-seed0")
    (results / "logs").mkdir()
    (results / "logs/go-seed0.log").write_text("rsm: no room left\n")
    write_tables(study, results)
    write_figures(study, results, ["learning_curves"])
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(results / "figures/of_others.png")
    write_page(study, results, headings("learning_curves", "zeta"), None)
    return results


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_numbers_of_the_table_are_those_of_main_csv(folder: Path, page: Page) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    heads = re.findall(r'data-better="[^"]*" data-tip="[^"]*">([^<]+)<', text)
    table = pd.read_csv(folder / "tables/main.csv")
    shown = [row for row in page.rows if row]
    assert len(shown) == len(table) and len(heads) > 10
    for row, expected in zip(shown, table.to_dict("records"), strict=True):
        for head, cell in zip(heads, row[1:], strict=True):
            value, known = cell["data-value"], expected[column(head).key]
            assert np.isnan(known) if value == "" else float(value or "") == known, head


def test_best_of_the_learning_configurations_is_marked_and_controls_are_not(
    folder: Path, page: Page
) -> None:
    table = pd.read_csv(folder / "tables/main.csv")
    text = (folder / "index.html").read_text(encoding="utf-8")
    heads = re.findall(r'data-better="[^"]*" data-tip="[^"]*">([^<]+)<', text)
    at = 1 + heads.index("return")
    marked = [
        row for row in page.rows if row and (row[at].get("data-tip") or "").startswith("Best")
    ]
    best = table[~table["control"]]["return_iqm"].max()
    assert [float(row[at]["data-value"] or "") for row in marked] == [best]


def test_best_is_the_best_of_its_world(folder: Path) -> None:
    """Numbers of two worlds are not compared: where learning is easier, all would be the best."""
    table = complete(pd.read_csv(folder / "tables/main.csv"))
    learned = table[~table["control"]]
    easier = learned.assign(world="an easier world", return_iqm=learned["return_iqm"] + 1)
    both = main_table(pd.concat([learned, easier, table[table["control"]]], ignore_index=True))
    assert both.worlds == ["equal agents", "an easier world"]
    at = [known.heading for known in both.columns].index("return")
    best = [float(row.cells[at].value) for row in both.rows if row.cells[at].best]
    assert best == [learned["return_iqm"].max(), easier["return_iqm"].max()]


def test_every_figure_of_the_folder_is_in_the_page_pixel_for_pixel(
    folder: Path, page: Page
) -> None:
    files = {path.stem: path for path in (folder / "figures").glob("*.png")}
    assert set(page.pictures) == set(files) == {"learning_curves", "of_others"}
    for name, source in page.pictures.items():
        content = base64.b64decode(source.partition("base64,")[2])
        embedded = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert np.array_equal(embedded, np.asarray(Image.open(files[name]).convert("RGB")))
    assert "Return and mean speed at the evaluations" in page.text, "the caption is in view"


def test_curves_are_those_of_the_figure(folder: Path, page: Page) -> None:
    data = json.loads(next(text for text in page.scripts if text.startswith('{"panels"')))
    drawn = {(p["name"], line["label"]): line for p in data["panels"] for line in p["lines"]}
    table = pd.read_csv(folder / "figures/learning_curves.csv")
    ring = table[(table["topology"] == "ring") & (table["label"] == "rsm (trust-region)")]
    line = drawn["ring", "rsm (trust-region)"]
    assert line["return"] == pytest.approx(ring["return"].tolist(), rel=1e-5)
    assert line["mean_speed_low"] == pytest.approx(ring["mean_speed_low"].tolist(), rel=1e-5)
    assert line["bytes_sent"] == pytest.approx(ring["bytes_sent"].tolist(), rel=1e-5)
    assert [level["label"] for level in data["levels"]] == ["go"]


def test_nothing_is_fetched(folder: Path, page: Page) -> None:
    """Beside pictures within the page only files of the folder and places of the page are named."""
    named = [address for address in page.addresses if not address.startswith("data:")]
    assert named and all(
        re.fullmatch(r"#[\w-]+|(figures|tables)/[\w.]+|report\.html", x) for x in named
    )
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert """content="default-src 'none'; img-src data: blob:;""" in text, "nor could a script"
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_run_that_failed_or_is_missing_is_listed_with_its_reason(page: Page) -> None:
    assert f"fmarl-seed5 failed {REASON}" in page.text
    assert "go-seed0 missing no room left" in page.text
    assert "1 failed, 1 missing" in page.text


def test_text_of_a_study_is_text_and_nothing_else(folder: Path, page: Page) -> None:
    assert "</script><b>&amp; code" in page.text
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in text and REASON not in text
    assert text.count("</script>") == text.count("<script")


def test_every_link_within_the_page_has_its_place(folder: Path, page: Page) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    places = set(re.findall(r' id="([^"]+)"', text))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= places


def test_study_of_which_all_runs_failed_has_a_page_that_says_so(make: Callable[..., Path]) -> None:
    grid = {"methods": ["fmarl", "go"], "topologies": ["ring"], "segments": [4], "seeds": [0]}
    results = make(failed=("fmarl-seed0", "go-seed0"), **grid)
    study = load_study(results / "study.yaml")
    write_tables(study, results)
    write_figures(study, results, ["learning_curves"])
    write_page(study, results, headings("learning_curves"), None)
    text = Page((results / "index.html").read_text(encoding="utf-8")).text
    assert "No run of this study finished" in text and "None of 2 finished: 2 failed." in text
    assert "go-seed0 failed SUMO stopped" in text


def test_study_of_which_nothing_is_there_has_a_page_that_says_so(tmp_path: Path) -> None:
    study = small_study(methods=["fmarl"], seeds=[0])
    write_page(study, tmp_path, headings("learning_curves"), tmp_path / "absent.yaml")
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "None of 1 finished: 1 missing." in page.text
    assert "fmarl-seed0 missing not run to its end" in page.text
    assert "There is no main table" in page.text and "There are no figures" in page.text


def test_picture_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/zeta.png").write_text("x")
    with pytest.raises(ConfigError, match=r"zeta\.png: cannot be read"):
        write_page(small_study(methods=["fmarl"], seeds=[0]), tmp_path, headings("zeta"), None)


@pytest.mark.parametrize("path", sorted(studies().glob("*.yaml")), ids=lambda path: path.stem)
def test_questions_of_a_study_are_those_of_its_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = questions(path)
    assert bool(found) == ("# Questions" in text)
    numbers = re.findall(r"^# (\d+)\. ", text, re.MULTILINE)
    assert len(found) == max(1, len(numbers)) if found else not numbers
    assert not any(item.startswith(("#", " ")) or item.endswith(",") for item in found)


def test_question_of_several_lines_is_one(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "name: own\n# Questions, written before:\n# 1. Is it\n#    so?\n# 2. Or not?\n# Left out: it.\n"
    )
    assert questions(file) == ["Is it so?", "Or not?"]


def test_settings_that_are_shown_are_those_that_differ() -> None:
    run = {"sac": {"tau": 0.02, "hidden": [8, 8]}, "mixing": {"states": 32}}
    content = {
        "name": "own",
        "description": "",
        "seeds": [0],
        "grid": {"methods": ["rsm"]},
        "run": run,
    }
    found = {item.key: (item.value, item.default) for item in changed(parse_study(content, "own"))}
    assert set(found) == {"sac.tau", "sac.hidden", "mixing.states"}
    assert found["sac.hidden"][0] == "8, 8" and found["sac.tau"][0] == "0.02"
