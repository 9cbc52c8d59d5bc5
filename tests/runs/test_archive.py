import hashlib
import subprocess
import zipfile

import pytest

from rsm.errors import ConfigError
from rsm.runs.archive import SUMS, checksums, opened, result_files, run_folder, write_archive


@pytest.fixture
def results(tmp_path):
    """What a study left, and what its jobs left beside it."""
    folder = tmp_path / "results" / "small"
    for name in (
        "study.yaml", "tables/main.csv", "runs/go-seed0/config.yaml", "runs/go-seed0/summary.json",
        "runs/go-seed0/progress.json", "runs/go-seed0/partial.zip", "runs/go-seed0/checkpoint.pt",
        "runs/go-seed0/.summary.json.x",
        "logs/go-seed0.log", "benchmarks/go-seed0.tsv",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    return folder


@pytest.fixture
def archive(results, tmp_path):
    out = tmp_path / "small.zip"
    write_archive(out, result_files(results), {"README.md": "read me"})
    return out


def test_archive_holds_results_and_texts_and_nothing_of_the_jobs(archive):
    with zipfile.ZipFile(archive) as found:
        files = {name for name in found.namelist() if not name.endswith("/")}
    run = {"runs/go-seed0/config.yaml", "runs/go-seed0/summary.json"}
    assert files == run | {"study.yaml", "tables/main.csv", "README.md", SUMS}


def test_sums_are_those_of_sha256sum(archive, tmp_path):
    with zipfile.ZipFile(archive) as found:
        found.extractall(tmp_path / "out")
    subprocess.run(["sha256sum", "--quiet", "-c", SUMS], cwd=tmp_path / "out", check=True)


def test_same_study_gives_the_same_bytes(archive, results, tmp_path):
    write_archive(tmp_path / "again.zip", result_files(results), {"README.md": "read me"})
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.glob("*.zip")}
    assert len(digests) == 1


def test_file_that_was_changed_added_or_taken_away_is_named(archive, tmp_path):
    with opened(archive, "--archive") as found:
        assert checksums(found) == (5, [])
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(forged, "w") as to:
        for name in source.namelist():
            if name != "study.yaml":
                to.writestr(name, b"changed" if name == "tables/main.csv" else source.read(name))
        to.writestr("tables/more.csv", b"")
    with opened(forged, "--archive") as found:
        assert checksums(found)[1] == ["study.yaml", "tables/main.csv", "tables/more.csv"]


def test_run_of_an_archive_is_a_folder_for_as_long_as_it_is_needed(archive, tmp_path):
    with run_folder(f"{archive}::go-seed0") as folder:
        assert sorted(path.name for path in tmp_path.__class__(folder).iterdir()) == [
            "config.yaml",
            "summary.json",
        ]
    assert not tmp_path.__class__(folder).exists()
    with run_folder("human") as name:
        assert name == "human"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{archive}::none", "'none' is not allowed: .* has 1 runs, such as go-seed0"),
        ("{archive}::", "'' is not allowed"),
        ("{archive}::../go-seed0", "is not allowed"),
        ("none.zip::go-seed0", "none.zip cannot be read: No such file"),
        (__file__ + "::go-seed0", "cannot be read: it is no whole zip file"),
    ],
)
def test_archive_or_run_that_is_not_there_is_told_in_one_line(archive, name, words):
    with (
        pytest.raises(ConfigError, match=f"--controller: .*{words}"),
        run_folder(name.format(archive=archive)),
    ):
        pass


def test_zip_without_sums_is_no_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as made:
        made.writestr("study.yaml", b"")
    with (
        opened(tmp_path / "other.zip", "--archive") as found,
        pytest.raises(ConfigError, match="no archive of a study: it has no SHA256SUMS"),
    ):
        checksums(found)
