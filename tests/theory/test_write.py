"""Files of the theory study: figures from their CSV, tables, commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsm.analysis import figures
from rsm.config.study import load_study
from rsm.theory import FIGURES, PARTS, TABLES, exact, write
from rsm.theory.figures import module_name
from rsm.theory.traces import acceptance_curve, distance_table, gamma_table, training_table

ROOT = Path(__file__).parents[2]


def test_every_figure_says_what_it_is_called_and_every_table_what_it_shows():
    for part in PARTS:
        for name in FIGURES[part]:
            heading = figures.read_heading(module_name(name))
            assert heading.title and heading.category and heading.caption.is_file()
        assert set(TABLES[part]) <= set(write.CAPTIONS)


@pytest.fixture
def small(monkeypatch):
    """The exact experiments with few draws."""
    one, two = exact.theorem1_tables, exact.theorem2_tables
    monkeypatch.setattr(exact, "theorem1_tables", lambda generator: one(generator, 3000))
    monkeypatch.setattr(exact, "theorem2_tables", lambda generator: two(generator, 240))
    monkeypatch.setattr(exact, "SPREADS", (0.3, exact.SPREAD))


def test_exact_part_writes_its_files_and_the_same_ones_again(small, tmp_path):
    study = load_study(ROOT / "workflow/studies/theory.yaml")
    paths = write.write_part("exact", study, tmp_path / "one")
    names = {path.relative_to(tmp_path / "one").as_posix() for path in paths}
    assert names == {
        *(f"figures/{n}.{kind}" for n in FIGURES["exact"] for kind in ("csv", "pdf", "png")),
        *(f"tables/{n}.{kind}" for n in TABLES["exact"] for kind in ("csv", "md")),
    }
    for first, second in zip(
        paths, write.write_part("exact", study, tmp_path / "two"), strict=True
    ):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_estimator_and_training_figures_draw_from_their_csv(tmp_path):
    (tmp_path / "figures").mkdir()
    pd.DataFrame(
        {
            "policies": ["random", "random", "trained", "trained"] * 2,
            "kl": [1e-3, 1e-3, 0.9, 0.9] * 2,
            "estimator": ["direct"] * 4 + ["importance"] * 4,
            "samples": [50, 256] * 4,
            "standard_error": np.linspace(0.1, 9, 8),
            "sign_right": np.linspace(99, 45, 8),
        }
    ).to_csv(tmp_path / "figures/advantage_estimators.csv")
    pd.DataFrame(
        {"actor_updates": [0, 10], "accepted": [20.0, 0], "gained": [0.0, 1], "ratio": [1.0, 1]}
    ).to_csv(tmp_path / "figures/catching_up.csv")
    for name in FIGURES["estimators"]:
        for path in write.draw(name, tmp_path / f"figures/{name}.csv"):
            assert path.stat().st_size > 5000


def test_training_tables_and_figures_survive_a_study_in_which_nothing_is_accepted(tmp_path):
    rounds = 24
    base = {
        "variation": "", "rule": "theorem2", "share": "actor", "gamma": 0.99, "ratio": 1.0,
        "zeta_max": 0.8, "seed": 0, "zeta": 0.0, "advantage": -0.1, "epsilon": 0.1, "bound": np.nan,
        "accepted": False,
    }  # fmt: skip
    frame = pd.DataFrame([base] * rounds).assign(
        quadratic_form=np.geomspace(1e-3, 1, rounds),
        progress=np.linspace(0, 1, rounds),
        third=np.arange(rounds) * 3 // rounds,
    )
    table = training_table(frame)
    assert table["accepted"].tolist() == [0] and table["acceptance"].tolist() == [0]
    assert gamma_table(frame).empty and distance_table(frame)["slope"].isna().all()
    (tmp_path / "figures").mkdir()
    curve = tmp_path / "figures/acceptance.csv"
    acceptance_curve(frame).to_csv(curve)
    write.draw("acceptance", curve)
    scaling = tmp_path / "figures/zeta_scaling.csv"
    pd.concat(
        [
            gamma_table(frame).assign(panel="gamma"),
            distance_table(frame).assign(panel="distance"),
            table.rename(columns={"rule": "found_by"}).assign(panel="rule"),
        ]
    ).to_csv(scaling)
    write.draw("zeta_scaling", scaling)
