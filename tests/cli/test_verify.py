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
        found = {key: (how["kind"], how["tolerance"]) for key, how in entry["numbers"].items()}
        assert found == tolerances(runs[name])


LEARNED = [name for name in SUBSET if re.search("independent|fmarl|rsm", name)]
(RSM,) = (name for name in SUBSET if "/rsm-" in name)
(FMARL,) = (name for name in SUBSET if "/fmarl-" in name)
# Measured once: the initial policies of `independent-seed0`, the run of `rsm` with every ζ halved, and the same
# run with replicas judged and counted but not mixed.
UNTRAINED = {"final_return": 0.0852, "final_mean_speed": 1.703}
HALVED = {"zeta_mean": 0.2427, "acceptance_rate": 0.0752, "spread": 2.546, "final_return": 0.2267}
UNMIXED = {"spread": 3.629}


def told(name, changes, monkeypatch, capsys):
    """Exit code and numbers that differ, where a run has the committed numbers except for `changes`."""
    numbers = load_expected()[name]["numbers"]
    content = {key: number["value"] for key, number in numbers.items()} | {"status": "finished"}
    monkeypatch.setattr(verification, "recompute", lambda config: content | changes)
    code = verify([name])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]
    return code, {line.split(": ")[1].split()[0] for line in lines}


@pytest.mark.parametrize("name", LEARNED)
def test_untrained_policies_differ(name, monkeypatch, capsys):
    assert told(name, {}, monkeypatch, capsys) == (0, set())
    code, differs = told(name, UNTRAINED, monkeypatch, capsys)
    assert code == 1 and differs


def test_nothing_mixed_differs(monkeypatch, capsys):
    nothing = {"acceptance_rate": 0.0, "zeta_mean": None}
    code, differs = told(RSM, nothing, monkeypatch, capsys)
    assert code == 1 and differs == set(nothing)


@pytest.mark.parametrize("name", [RSM, FMARL])
def test_mixing_that_is_counted_and_not_done_differs(name, monkeypatch, capsys):
    assert told(name, UNMIXED, monkeypatch, capsys) == (1, {"spread"})


def test_zeta_halved_differs(monkeypatch, capsys):
    code, differs = told(RSM, HALVED, monkeypatch, capsys)
    assert code == 1 and "zeta_mean" in differs


def test_half_of_the_replicas_judged_differs(monkeypatch, capsys):
    half = load_expected()[RSM]["numbers"]["judged"]["value"] / 2
    assert told(RSM, {"judged": half}, monkeypatch, capsys) == (1, {"judged"})


def test_spread_is_that_of_the_rounds_and_none_without_any(tiny):
    assert verification.recompute(tiny(method="independent"))["spread"] is None
    assert verification.recompute(tiny(method="fmarl"))["spread"] == pytest.approx(0, abs=1e-5)
    assert verification.recompute(tiny(method="rsm"))["spread"] > 1e-3


def test_study_that_lost_a_verified_run_is_named(tmp_path, monkeypatch):
    study = load_study(study_file("quick")).model_copy(update={"seeds": [7]})
    monkeypatch.setattr(verification, "load_study", lambda file: study)
    with pytest.raises(ConfigError, match=r"quick\.yaml: it no longer has the run human-seed0"):
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
