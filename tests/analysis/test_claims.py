"""The claims table: its verdicts by hand, its numbers from tables, and README's copy of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rsm.analysis import FIGURES
from rsm.analysis.claims import CLAIMS, VARIANTS, Finding, findings, one_configuration
from rsm.analysis.claims_pages import BEGIN, END, number, readable, write_claims
from rsm.analysis.statistics import UNKNOWN, Estimate
from rsm.analysis.verdicts import Verdict, compared, never
from rsm.cli.parser import main
from rsm.config.axes import AXES
from rsm.config.loading import load_yaml
from rsm.errors import ConfigError
from rsm.theory import FIGURES as THEORY

ROOT = Path(__file__).parents[2]
REACHES, BEATS = "RSM reaches centralised FMARL", "RSM beats independent learning"


@pytest.mark.parametrize(
    ("low", "high", "limit", "expected"),
    [
        (0.01, 0.03, {"above": 0}, Verdict.HOLDS),
        (-0.01, 0.03, {"above": 0}, Verdict.UNTOLD),
        (-0.03, -0.01, {"above": 0}, Verdict.FAILS),
        (-0.005, 0.01, {"above": -0.01}, Verdict.HOLDS),
        (0.0, 0.0, {"above": 0}, Verdict.FAILS),
        (0.4, 0.6, {"below": 1}, Verdict.HOLDS),
        (0.9, 1.1, {"below": 1}, Verdict.UNTOLD),
        (1.0, 1.0, {"below": 1}, Verdict.FAILS),
    ],
)
def test_verdict_is_on_which_side_of_the_limit_the_whole_interval_is(
    low: float, high: float, limit: dict[str, float], expected: Verdict
) -> None:
    assert compared(Estimate((low + high) / 2, low, high), 5, **limit) == expected


def test_below_five_seeds_it_cannot_be_told_however_clear_it_looks() -> None:
    assert compared(Estimate(1, 0.9, 1.1), 4, above=0) == Verdict.UNTOLD
    assert compared(Estimate(1, np.nan, np.nan), 5, above=0) == Verdict.UNTOLD
    assert compared(UNKNOWN, 0, above=0) == Verdict.NOT_RUN


def test_verdict_needs_one_limit() -> None:
    for limits in ({}, {"above": 0, "below": 1}):
        with pytest.raises(ValueError, match="one limit"):
            compared(Estimate(1, 0, 2), 5, **limits)


def test_what_shall_never_happen_fails_with_one_case() -> None:
    assert never(0, 60_000) == Verdict.HOLDS
    assert never(1, 60_000) == Verdict.FAILS
    assert never(0, 0) == Verdict.NOT_RUN


def runs_of(method: str, returns: list[float], **columns: Any) -> pd.DataFrame:
    """Rows of runs.csv, one per seed, with the published values of the axes that are not given."""
    values: dict[str, Any] = {axis.name: None for axis in AXES}
    if method == "rsm":
        values |= {"rule": "theorem2", "judge": "own", "segments": 4, "replicas": 3}
        values |= {"topology": "radius:90", "share": "actor", "loss_rate": 0.0}
    values |= columns
    name = "-".join([method, *(f"{value}" for value in values.values())])
    return pd.DataFrame(
        {
            "method": method, "configuration": name, "seed": range(len(returns)),
            "status": "finished", "final_return": returns, "bytes_sent": values.pop("bytes", 0),
            "heaviest_share": values.pop("heaviest", 0.2), **values,
        }
    )  # fmt: skip


def study(results: Path, name: str, *parts: pd.DataFrame, table: str = "runs") -> Path:
    """`<results>/<name>/tables/<table>.csv`; returns `results`."""
    folder = results / name / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_csv(folder / f"{table}.csv", index=False)
    return results


def published(results: Path, lead: float = 0.02, seeds: int = 5) -> Path:
    """A study in which rsm is ahead of everybody by `lead`, code `aug` behind, code `jul` of three seeds."""
    level = np.linspace(0.2, 0.3, seeds)
    central = runs_of("fmarl", list(level), bytes=100, heaviest=1.0, share="actor")
    return study(
        results, "published", central,
        runs_of("independent", list(level)), runs_of("average", list(level), bytes=400),
        runs_of("rsm", list(level + lead), bytes=150),
        runs_of("rsm", list(level - 0.05), bytes=150, published_code="aug"),
        runs_of("rsm", list(level[:3] + lead), bytes=150, published_code="jul"),
        runs_of("rsm", [9.0] * seeds, bytes=150, rule="coin"),
        runs_of("rsm", [9.0] * seeds, bytes=150, judge="peers"),
    )  # fmt: skip


def verdicts(found: list[Finding], claim: str) -> dict[str, str]:
    return {row.variant: row.verdict for row in found if row.claim.startswith(claim)}


def test_variants_are_found_by_their_axes_and_judged_alike(tmp_path: Path) -> None:
    found = findings([published(tmp_path)])
    expected = {"as written": "holds", "code aug": "does not hold", "code jul": "cannot be told"}
    assert verdicts(found, REACHES) == verdicts(found, BEATS) == expected
    [row] = [row for row in found if row.claim == REACHES and row.variant == "as written"]
    # In pairs the lead is the same on every seed, though seeds lie five times as far apart.
    assert [row.value, row.low, row.high] == pytest.approx([0.02] * 3)
    assert row.seeds == 5 and row.points == ""


def test_points_stand_where_seeds_are_too_few(tmp_path: Path) -> None:
    found = findings([published(tmp_path)])
    [row] = [row for row in found if row.claim == REACHES and row.variant == "code jul"]
    assert row.points.split() == ["0.02"] * 3 and np.isnan(row.low)
    text = readable(found).set_index("claim").loc[REACHES]
    other = text["as coded, or by another rule"]
    assert "jul: **cannot be told**: 0.020 (0.020, 0.020, 0.020)" in other
    assert text["as written"] == "**holds**: 0.020 [0.020, 0.020]"


def test_bound_near_the_limit_is_not_written_as_the_limit() -> None:
    blank = dict.fromkeys(Finding._fields, None) | {"verdict": "holds", "points": ""}
    row = Finding(**blank | {"value": 0.0087, "low": 0.0000433, "high": 0.0196})  # type: ignore[arg-type]
    assert number(row) == "0.009 [0.00004, 0.020]"
    below = row._replace(value=0.0, low=-0.00034, high=0.0003)
    assert number(below) == "0.000 [−0.0003, 0.0003]"


def test_reaching_has_a_margin_and_beating_has_none(tmp_path: Path) -> None:
    found = findings([published(tmp_path, lead=-0.005)])
    assert verdicts(found, REACHES)["as written"] == "holds"
    assert verdicts(found, BEATS)["as written"] == "does not hold"


def test_bytes_are_those_of_the_ledger(tmp_path: Path) -> None:
    found = findings([published(tmp_path)])
    saving = [row for row in found if "save" in row.claim and row.variant == "as written"]
    said = {row.number: (row.verdict, row.value) for row in saving}
    assert said["bytes sent over those of `average`"] == ("holds", 0.375)
    assert said["bytes sent over those of `fmarl`"] == ("does not hold", 1.5)
    assert said["bytes sent over those with P = 1"][0] == "not run"
    assert verdicts(found, "RSM needs no server")["as written"] == "holds"


def test_theorems_are_counted_over_their_rows(tmp_path: Path) -> None:
    draws = pd.DataFrame({"scale": [1.0, 0.5], "draws": 60_000, "violated": [0, 7]})
    study(tmp_path, "theory", draws, table="theorem1")
    steps = pd.DataFrame(
        {
            "rule": ["theorem2", "theorem2", "certified"], "spread": [0.3, 10, 0.3],
            "accepted": [100, 100, 100], "lowered": [2, 28, 0],
        }
    )  # fmt: skip
    study(tmp_path, "theory", steps, table="theorem2_spreads")
    table = readable(findings([tmp_path])).set_index("claim")["as written"]
    assert table.filter(like="Theorem 1").tolist() == ["**holds**: 0 of 60000"]
    lowered = "**does not hold**: 30 of 200 (2 % to 28 % by setting)"
    assert table.filter(like="Theorem 2").tolist() == [lowered]
    assert table.filter(like="certified").tolist() == ["**holds**: 0 of 100"]


def test_gate_is_held_against_a_coin_and_against_no_gain(tmp_path: Path) -> None:
    gate = pd.DataFrame(
        {
            "judge": ["own", "aug", "own", "peers"],
            "replicas_counted": ["all", "all", "clear", "all"], "replicas": 320,
            "runs": 5, "runs_accepting": [1, 5, 5, 5],
            "area": [0.5, 0.7, 0.9, 0.8], "area_low": [0.45, 0.66, 0.8, 0.7], "area_high": 0.95,
            "gain_accepted": [0.1, -0.1, 0.3, 0.1], "gain_accepted_low": [0.05, -0.2, 0.2, 0.05],
            "gain_accepted_high": [0.15, -0.05, 0.4, 0.15],
        }
    )  # fmt: skip
    study(tmp_path, "gate-published", runs_of("fmarl", [0.2]))
    found = findings([study(tmp_path, "gate-published", gate, table="gate")])
    ranks, better = (
        "A⁺ ranks better replicas above worse ones (p",
        "A replica that the gate accepts is better (p",
    )
    expected = {
        "as written": "cannot be told", "code aug": "holds", "code jul": "not run",
        "judged by peers": "holds",
    }  # fmt: skip
    assert verdicts(found, ranks) == expected
    assert verdicts(found, better) == expected | {"code aug": "does not hold"}
    [row] = [r for r in found if r.claim.startswith(better) and r.variant == "as written"]
    assert (row.seeds, row.value) == (1, 0.1) and np.isnan(row.low), "one run accepted a replica"
    study(tmp_path, "gate-published", gate.assign(runs=4), table="gate")
    found = findings([tmp_path])
    assert set(verdicts(found, ranks).values()) == {"cannot be told", "not run"}
    [row] = [r for r in found if r.claim.startswith(ranks) and r.variant == "code aug"]
    assert (row.value, row.seeds) == (0.7, 4) and np.isnan(row.low), "no interval, as of other rows"


def test_gate_of_a_version_that_counted_no_runs_cannot_be_told(tmp_path: Path) -> None:
    old = {
        "judge": ["own"],
        "replicas_counted": "all",
        "area": 0.7,
        "area_low": 0.6,
        "area_high": 0.8,
    }
    gate = pd.DataFrame(old | {"gain_accepted": np.nan})
    found = findings([study(tmp_path, "gate-fleet", gate, table="gate")])
    told = [row for row in found if row.study == "gate-fleet" and row.variant == "as written"]
    assert [row.verdict for row in told] == ["cannot be told"] * 2
    assert [number(row) for row in told] == ["–", "0.700"]


def test_gates_of_two_judges_are_compared_and_readme_says_so(tmp_path: Path) -> None:
    level = np.linspace(0.2, 0.3, 5)
    rule = {"rule": "trust-region"}
    study(
        tmp_path, "fleet", runs_of("rsm", list(level), **rule),
        runs_of("rsm", list(level + 0.02), judge="peers", **rule),
        runs_of("rsm", list(level + 0.03), rule="coin"), runs_of("rsm", list(level - 1)),
    )  # fmt: skip
    found = findings([tmp_path])
    ours = {
        row.claim: row
        for row in found
        if row.claim.startswith("Ours: ") and row.variant == "trust-region"
    }
    own, coin = (row for claim, row in ours.items() if claim.endswith("(equal agents)"))
    assert (own.verdict, coin.verdict) == ("holds", "does not hold")
    assert (own.value, coin.value) == pytest.approx((0.02, -0.01))
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    write_claims([tmp_path], tmp_path, readme)
    [line] = [line for line in readme.read_text().splitlines() if "judge: peers" in line]
    assert (
        "as judge? `fleet`: trust-region **holds**: 0.020 [0.020, 0.020]; `unequal`: not run"
        in line
    )
    assert line.endswith("`attack`: not run.") and not line.startswith("|")


def test_study_that_is_not_there_is_not_run_and_its_claims_stay(tmp_path: Path) -> None:
    found = findings([tmp_path])
    assert {row.verdict for row in found} == {"not run"}
    claims = [claim["claim"] for claim in load_yaml(CLAIMS)["claims"]]
    assert readable(found)["claim"].tolist() == claims


def test_runs_that_failed_or_are_missing_are_no_pairs(tmp_path: Path) -> None:
    published(tmp_path)
    path = tmp_path / "published/tables/runs.csv"
    runs = pd.read_csv(path)
    gone = (runs["method"] == "fmarl") & (runs["seed"] == 4)
    runs.loc[gone, ["status", "final_return"]] = ["failed", None]
    runs.to_csv(path, index=False)
    [row] = [r for r in findings([tmp_path]) if r.claim == REACHES and r.variant == "as written"]
    assert (row.seeds, row.verdict) == (4, "cannot be told")


def test_configuration_has_the_published_values_unless_it_is_told_others() -> None:
    runs = pd.concat(
        [
            runs_of("rsm", [1.0], segments=1), runs_of("rsm", [2.0]),
            runs_of("rsm", [3.0], topology="ring"), runs_of("rsm", [4.0], share="actor+critic"),
        ]
    )  # fmt: skip
    written = VARIANTS["as written"]
    assert one_configuration(runs, "rsm", written)["final_return"].tolist() == [2.0]
    assert one_configuration(runs, "rsm", {"segments": 1})["final_return"].tolist() == [1.0]
    ring = runs[runs["topology"] == "ring"]
    assert one_configuration(ring, "rsm", written)["final_return"].tolist() == [3.0]
    assert one_configuration(runs, "fmarl", {}).empty
    runs.loc[runs["topology"] == "ring", "status"] = "failed"
    assert one_configuration(runs, "rsm", {"topology": "ring"}).empty
    first, second = (
        runs_of("rsm", [value], configuration=name) for value, name in ((5.0, "x"), (6.0, "y"))
    )
    gone = pd.concat([first.assign(status="failed"), second])
    assert one_configuration(gone, "rsm", written).empty, "the second does not stand for the first"


def test_claims_name_figures_and_studies_in_one_word() -> None:
    known = {*FIGURES, *(name for part in THEORY.values() for name in part), "gate"}
    for claim in load_yaml(CLAIMS)["claims"]:
        assert claim["figure"] in known
        assert len({"compare", "never", "gate", "cheapest"} & set(claim)) == 1


def test_first_folder_that_has_the_study_counts(tmp_path: Path) -> None:
    first, second = published(tmp_path / "a", lead=0.02), published(tmp_path / "b", lead=-0.1)
    assert verdicts(findings([first, second]), REACHES)["as written"] == "holds"
    assert verdicts(findings([second, first]), REACHES)["as written"] == "does not hold"


def test_broken_table_is_named(tmp_path: Path) -> None:
    published(tmp_path)
    (tmp_path / "published/tables/runs.csv").write_text("method,status\nrsm,finished\n")
    with pytest.raises(ConfigError, match="published/tables: a table has no column"):
        findings([tmp_path])


def test_pages_are_written_and_the_block_of_a_page_is_replaced(tmp_path: Path) -> None:
    results = published(tmp_path / "results")
    picture = results / "published/figures/learning_curves.png"
    picture.parent.mkdir()
    picture.touch()
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{BEGIN}\nstale row\n{END}\n\nafter\n")
    arguments = ["--results", str(results), "--out", str(results), "--readme", str(readme)]
    assert main(["claims", *arguments]) == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "stale" not in text
    assert "[learning_curves](results/published/figures/learning_curves.png)" in text
    table = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 8 and {len(row) for row in table} == {3}, "a short table"
    [reaches] = [verdict for claim, verdict, _ in table if REACHES in claim]
    assert "as written: **holds**" in reaches and "<br>code aug: " in reaches
    page = (results / "claims.md").read_text()
    assert "[learning_curves](published/figures/learning_curves.png)" in page
    assert (
        "whole 95 % interval" in page and "cannot be told" in (results / "claims.html").read_text()
    )
    assert not pd.read_csv(results / "claims.csv").empty
    assert main(["claims", *arguments]) == 0 and readme.read_text() == text


def test_page_without_the_marks_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{END} {BEGIN}")
    out = tmp_path / "out"
    assert (
        main(["claims", "--results", str(tmp_path), "--out", str(out), "--readme", str(page)]) == 2
    )
    assert "README.md is not allowed: a page with the lines" in capsys.readouterr().err
    assert not out.exists()


def test_block_of_the_readme_is_what_the_command_writes(tmp_path: Path) -> None:
    committed = ROOT / "results/committed"
    copy = ROOT / "README.md"
    block = copy.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    written = tmp_path / "README.md"
    written.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    write_claims([committed], tmp_path, written)
    new = written.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    there = Path(os.path.relpath(committed, tmp_path)).as_posix()
    assert block == new.replace(there, "results/committed")
    for name in ("claims.csv", "claims.html"):
        assert (committed / name).read_bytes() == (tmp_path / name).read_bytes()
