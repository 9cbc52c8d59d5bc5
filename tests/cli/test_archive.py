"""A tiny real study as one file: what it holds, held against itself, and driven from."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from rsm.cli.parser import main
from rsm.config.loading import dump_yaml
from rsm.config.study import parse_study
from rsm.training.run import train

rocrate = pytest.importorskip("rocrate", reason="rocrate is not installed: make setup")
VALIDATOR = os.environ.get("RSM_ROC_VALIDATOR", "")  # Python of an environment with roc-validator


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a finished study of two runs, and its archive."""
    from tests.conftest import TINY

    content = {"name": "small", "description": "Two runs.", "seeds": [0], "run": TINY}
    study = parse_study(content | {"grid": {"methods": ["independent", "go"]}}, "small")
    folder = tmp_path_factory.mktemp("archive")
    results = folder / "results/small"
    for run_id, config in study.runs().items():
        train(config, results / "runs" / run_id)
    (results / "study.yaml").write_text(dump_yaml(study))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["tables", "--study", "small"]) == 0
        assert main(["archive", "--study", "small"]) == 0
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def test_archive_agrees_with_itself_on_another_machine(here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "--archive", str(here / "results/small.zip")]) == 0
    said = capsys.readouterr().out
    assert "agrees  tables/main.csv: 2 rows" in said and "DIFFERS" not in said
    assert "independent-seed0: last evaluation repeated" in said
    assert "(to the last digit)" in said, "it is the machine that trained"


def test_number_that_was_changed_in_an_archive_is_found(here, tmp_path, capsys):
    """Also where somebody writes a new checksum: the tables are not those of the runs."""
    from rsm.runs.archive import SUMS, write_archive

    with zipfile.ZipFile(here / "results/small.zip") as archive:
        archive.extractall(tmp_path / "out")
    table = tmp_path / "out/tables/runs.csv"
    table.write_text(table.read_text().replace("finished", "failed", 1))
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.name != SUMS
    }
    write_archive(tmp_path / "forged.zip", files, {})
    assert main(["verify", "--archive", str(tmp_path / "forged.zip"), "--only", "go-seed0"]) == 1
    assert "DIFFERS tables/runs.csv" in capsys.readouterr().out


def test_policies_of_an_archive_drive_as_those_of_the_run_folder(here, capsys):
    def report(controller):
        assert main(["evaluate", "--controller", controller, "--episodes", "1", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    packed = report("results/small.zip::independent-seed0")
    assert packed["controller"] == "results/small.zip::independent-seed0"
    assert packed["return"] == report("results/small/runs/independent-seed0")["return"]


def test_metadata_say_what_was_run_from_what_and_what_came_of_it(here):
    with zipfile.ZipFile("results/small.zip") as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
        names = set(archive.namelist())
    known = {entity["@id"]: entity for entity in graph}
    root = known["./"]
    assert known[root["mainEntity"]["@id"]]["@type"][-1] == "ComputationalWorkflow"
    action = known[root["mentions"]["@id"]]
    assert action["object"] == {"@id": "study.yaml"} and action["instrument"] == root["mainEntity"]
    made = {entity["@id"] for entity in action["result"]}
    assert {"tables/main.csv", "runs/independent-seed0/"} <= made <= names
    assert {part["@id"] for part in root["hasPart"]} <= names


@pytest.mark.skipif(not VALIDATOR, reason="RSM_ROC_VALIDATOR names no Python with roc-validator")
def test_archive_is_a_workflow_run_crate(here):
    context = Path(rocrate.__file__).with_name("data") / "ro-crate.jsonld"
    script = Path(__file__).with_name("validate_crate.py")
    done = subprocess.run(
        [VALIDATOR, str(script), str(context), "results/small.zip"],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["archive", "--study", "ci"], "results/ci/study.yaml is not there: run the study first"),
        (["archive", "--study", "small", "--out", "x.tar"], "it must end in .zip"),
        (["verify", "--archive", "none.zip"], "none.zip cannot be read"),
        (["verify", "--archive", "x.zip", "--record"], "--record: is not allowed with --archive"),
        (["verify", "--archive", "results/small.zip", "--only", "a"], "'a' is not allowed"),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(here, arguments, words, capsys):
    assert main(arguments) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert words in line
