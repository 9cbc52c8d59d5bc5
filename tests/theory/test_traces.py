"""Statistics of ζ traces, and the runs that the theory study adds to its grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsm.config.catalogue import RULES
from rsm.config.study import Study, load_study, merge
from rsm.errors import ConfigError
from rsm.runs.files import write_table
from rsm.theory import traces
from rsm.theory.figures import palette
from rsm.theory.theorem2 import GATED
from rsm.theory.variations import variations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch) -> Study:
    monkeypatch.chdir(ROOT)
    return load_study(ROOT / "workflow/studies/theory.yaml")


def trace_rows(gamma: float, rounds: int = 30) -> list[dict]:
    """Every second replica is accepted in the first third, none later; ζ by Theorem 2 at A⁺ = 0.01 ε."""
    rows = []
    for number in range(1, rounds + 1):
        for replica in (1, 2):
            form = 10.0 ** (-3 + 3 * number / rounds)
            accepted = replica == 1 and number <= rounds // 3
            bound = (1 - gamma) / np.sqrt(gamma) * np.sqrt(0.01 / form)
            rows.append(
                {
                    "round": number,
                    "env_steps": 100 * number,
                    "agent": 0,
                    "replica": replica,
                    "sources": [1],
                    "advantage": 0.01 if accepted else -0.01,
                    "epsilon": 1.0,
                    "quadratic_form": form,
                    "constant": 2 * gamma / (1 - gamma) ** 2,
                    "bound": bound if accepted else np.nan,
                    "zeta": min(bound, 0.8) if accepted else 0.0,
                    "outcome": "accepted" if accepted else "rejected",
                    "lost_segments": 0,
                }
            )
    return rows


def columns(rows: list[dict]) -> list[dict]:
    """Rows with whatever columns the records hold by now."""
    from rsm.runs.schema import TABLES

    return [{name: row.get(name) for name in TABLES["zeta"]} for row in rows]


@pytest.fixture
def loaded(study, tmp_path) -> pd.DataFrame:
    for name, config in study.runs().items():
        write_table(tmp_path / "runs" / name, "zeta", columns(trace_rows(config.sac.gamma)))
    for name, config in variations(study).items():
        write_table(tmp_path / "variations" / name, "zeta", columns(trace_rows(config.sac.gamma)))
    return traces.load_traces(study, tmp_path)


def test_study_has_every_gated_rule_both_shares_and_three_more_discounts_and_ratios(study):
    runs = study.runs().values()
    seen = {(config.mixing.rule, config.communication.share) for config in runs}
    assert seen == {(name, share) for name in GATED for share in ("actor", "actor+critic")}
    varied = variations(study)
    assert {config.sac.gamma for config in varied.values()} == {0.5, 0.9, 0.95, 0.99}
    ratios = {round(config.sac.actor_lr / config.sac.critic_lr, 6) for config in varied.values()}
    assert ratios == {0.1, 0.3, 1, 3}


def test_variation_changes_what_it_names_and_nothing_else(study):
    varied = variations(study)["gamma-0.9-seed1"]
    expected = merge(study.run.model_dump(), {"sac": {"gamma": 0.9}})
    assert varied.model_dump() == expected | {"method": "rsm", "seed": 1, "varied": ()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast: {sac: {gama: 0.5}}", r"fast: sac\.gama: unknown key"),
        ("fast: {sac: {gamma: 2}}", r"sac\.gamma: 2"),
        ("Fast!: {sac: {gamma: 0.5}}", r"'Fast!'.* a name in small letters"),
        ("fast: 3", r"'fast': 3 is not allowed"),
    ],
)
def test_mistake_in_the_variations_is_named(text, message, study, tmp_path, monkeypatch):
    (tmp_path / "theory").mkdir()
    (tmp_path / "theory/variations.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("rsm.theory.variations.studies", lambda: tmp_path)
    with pytest.raises(ConfigError, match=message):
        variations(study)


def test_shares_are_counted_over_thirds_of_the_rounds(loaded, study):
    table = traces.training_table(loaded)
    assert len(table) == 10 + len(variations(study)) // len(study.seeds)
    assert (table["acceptance_first_third"] == 50).all()
    assert (table["acceptance_last_third"] == 0).all()
    assert table["acceptance"].to_numpy() == pytest.approx(50 / 3)
    assert (table["judged"] == 2 * 60).all()


def test_cap_binds_where_the_bound_exceeds_it(loaded):
    table = traces.training_table(loaded).set_index("variation")
    # At γ = 0.5 the bound is 0.707 · sqrt(0.01/q): above 0.8 for q < 0.0078, which is a 9th of the rounds.
    early = [row for row in trace_rows(0.5) if row["outcome"] == "accepted"]
    expected = 100 * np.mean([row["bound"] > 0.8 for row in early])
    assert 0 < expected < 100
    assert table.loc["gamma-0.5", "at_cap"] == pytest.approx(expected)
    assert table.loc["gamma-0.5", "bound_above_cap"] == pytest.approx(expected)
    assert table.loc["ratio-3", "at_cap"] == 0


def test_zeta_falls_with_the_discount_factor_and_with_the_root_of_q(loaded):
    gamma = traces.gamma_table(loaded)
    below = gamma[gamma["gamma"] > 0.5]
    product = below["discount_factor"] * below["evidence_median"]
    # Medians of an even number of values lie between two of them: the product does so only nearly.
    assert below["zeta_median"].to_numpy() == pytest.approx(product.to_numpy(), rel=1e-6)
    distance = traces.distance_table(loaded)
    assert distance["slope"].to_numpy() == pytest.approx(-0.5, abs=1e-6)
    assert distance["judged"].sum() == 120


def test_new_way_of_finding_zeta_has_a_look_of_its_own_in_the_figures():
    shown = [palette.of_rule(name) for name in (*RULES, "mine")]
    assert len({style["color"] for style in shown}) == len(shown)


def test_missing_run_is_named(study, tmp_path):
    with pytest.raises(ConfigError, match=r"rsm-radius90.*zeta\.parquet cannot be read"):
        traces.load_traces(study, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[:-7], lambda _: b"PAR1" * 9, lambda _: b"", lambda whole: whole[:-900] + whole[-8:]],
    ids=["cut short", "no table", "empty", "hole"],
)  # fmt: skip
def test_damaged_table_is_one_line(study, tmp_path, damage):
    name = next(iter(study.runs()))
    write_table(tmp_path / "runs" / name, "zeta", columns(trace_rows(0.99)))
    file = tmp_path / "runs" / name / "zeta.parquet"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ConfigError, match=r"zeta\.parquet cannot be read: it is not the table"):
        traces.load_traces(study, tmp_path)


def test_table_without_the_columns_is_one_line(study, tmp_path):
    name = next(iter(study.runs()))
    path = tmp_path / "runs" / name / "zeta.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"round": [1]}).to_parquet(path)
    with pytest.raises(ConfigError, match=r"zeta\.parquet cannot be read: it is not the table"):
        traces.load_traces(study, tmp_path)
