import json
import re
from pathlib import Path

import pytest

from rsm.cli import verify as verification
from rsm.cli.verify import (
    EXPECTED,
    SUBSET,
    agrees,
    load_expected,
    subset,
    tolerances,
    verify,
)
from rsm.config.study import load_study, study_file
from rsm.errors import ConfigError, RunError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_committed_numbers_belong_to_the_study_as_it_is():
    runs, expected = subset(), load_expected()
    assert tuple(expected) == SUBSET
    for name, entry in expected.items():
        assert entry["settings_hash"] == runs[name].settings_hash
        study = name.split("/")[0]
        found = {key: (how["kind"], how["tolerance"]) for key, how in entry["numbers"].items()}
        assert found == tolerances(study, runs[name])


def test_what_a_gate_judges_and_accepts_is_compared_too():
    numbers = load_expected()["quick/rsm-trust-region-radius90-p4-k3-seed0"]["numbers"]
    rate = numbers["acceptance_rate"]
    assert agrees(rate["value"] + 0.01, rate) and not agrees(rate["value"] + 0.05, rate)
    assert not agrees(0.5 * numbers["judged"]["value"], numbers["judged"])


def test_study_that_lost_a_verified_run_is_named(tmp_path, monkeypatch):
    study = load_study(study_file("quick")).model_copy(update={"seeds": [7]})
    monkeypatch.setattr(verification, "load_study", lambda file: study)
    with pytest.raises(ConfigError, match=r"quick\.yaml: it has no run human-seed0 any more"):
        verify(["quick/go-seed0"])


@pytest.mark.parametrize(
    ("kind", "value", "good"),
    [
        ("relative", 1.09, True),
        ("relative", 1.11, False),
        ("absolute", 0.95, True),
        ("absolute", 0.85, False),
    ],
)
def test_tolerance_is_relative_or_absolute_as_stated(kind, value, good):
    assert agrees(value, {"value": 1.0, "kind": kind, "tolerance": 0.1}) == good


def test_recomputed_control_agrees_and_a_wrong_number_is_noticed(tmp_path, monkeypatch, capsys):
    assert verify(["quick/go-seed0"]) == 0
    expected = load_expected()
    expected["quick/go-seed0"]["numbers"]["final_return"]["value"] *= 1.5
    wrong = tmp_path / "expected.json"
    wrong.write_text(json.dumps(expected))
    monkeypatch.setattr(verification, "EXPECTED", wrong)
    capsys.readouterr()
    assert verify(["quick/go-seed0"]) == 1
    assert "DIFFERS quick/go-seed0: final_return" in capsys.readouterr().out


def test_run_that_fails_differs_and_is_never_recorded(tmp_path, monkeypatch, capsys):
    failed = {"status": "failed", "reason": "reward of agent 2 is nan"}
    monkeypatch.setattr(verification, "recompute", lambda config: failed)
    assert verify(["quick/go-seed0"]) == 1
    assert "DIFFERS quick/go-seed0: the run failed: reward of agent 2" in capsys.readouterr().out
    monkeypatch.setattr(verification, "EXPECTED", tmp_path / "expected.json")
    with pytest.raises(RunError, match="nothing is recorded: reward of agent 2"):
        verify(record=True)
    assert not (tmp_path / "expected.json").exists()


def test_study_that_changed_since_is_refused(tmp_path, monkeypatch):
    expected = load_expected()
    expected["quick/go-seed0"]["settings_hash"] = "0" * 12
    changed = tmp_path / "expected.json"
    changed.write_text(json.dumps(expected))
    monkeypatch.setattr(verification, "EXPECTED", changed)
    with pytest.raises(ConfigError, match="rsm verify --record"):
        verify(["quick/go-seed0"])


def test_file_of_committed_numbers_is_where_the_readme_says():
    said = re.findall(r"`(results/[\w./-]+\.json)`", (ROOT / "README.md").read_text("utf-8"))
    assert str(EXPECTED) in said
    assert all((ROOT / path).is_file() for path in said)
