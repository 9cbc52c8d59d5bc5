"""What return costs in bytes: who is on the front, who reaches fmarl, and the claim that follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rsm.analysis import pareto
from rsm.analysis.claims import findings
from rsm.analysis.figures import pareto as figure
from rsm.analysis.verdicts import Verdict

from .conftest import load_study_runs, redrawn, small_study, texts, write_study

CHEAPEST = "Some setting of RSM reaches FMARL's return with fewer bytes"


def test_front_is_of_those_that_nobody_beats():
    points = {
        "silent": (0.18, 0.0),
        "cheap": (0.20, 1.0),
        "as cheap, worse": (0.19, 1.0),
        "dear, worse": (0.20, 2.0),
        "dear, best": (0.22, 5.0),
        "its twin": (0.22, 5.0),
        "failed": (np.nan, 0.1),
    }
    rows = [(name, *values) for name, values in points.items()]
    scores = pd.DataFrame(rows, columns=["configuration", "return_iqm", "megabytes_iqm"])
    assert pareto.front(scores) == ["silent", "cheap", "dear, best", "its twin"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    grid = {
        "methods": ["independent", "fmarl", "rsm", "human"], "rules": ["theorem2"],
        "topologies": ["ring", "random:4"], "segments": [4],
        "encodings": ["float32", "int8", "topk:0.1"], "seeds": [0, 1, 2, 3, 4],
    }  # fmt: skip
    return load_study_runs(write_study(small_study(**grid), tmp_path_factory.mktemp("study")))


def test_configuration_is_named_by_what_sets_it_apart(study):
    names = set(pareto.points(study)["name"])
    assert {"independent", "fmarl (int8)", "rsm (topk:0.1, 4 random peers)"} <= names
    assert len(names) == 1 + 3 + 6


def test_table_has_bytes_and_return_against_fmarl_of_the_same_seed(study):
    table = pareto.table(study).set_index("name")
    runs = study.finished.set_index(["configuration", "seed"])
    own, fmarl = (runs.loc[name] for name in ("rsm-ring-p4-k3-int8", "fmarl"))
    row = table.loc["rsm (int8, ring)"]
    ratio = own["bytes_sent"] / fmarl["bytes_sent"]
    ahead = (own["final_return"] - fmarl["final_return"]).astype(float)
    assert ratio.min() <= row["bytes_over_fmarl"] <= ratio.max()
    assert row["ahead_of_fmarl"] == pytest.approx(ahead.sort_values().iloc[1:4].mean(), abs=2e-3)
    assert row["ahead_of_fmarl_low"] < row["ahead_of_fmarl"] < row["ahead_of_fmarl_high"]
    assert (row["reaches_fmarl"] == Verdict.HOLDS) == (row["ahead_of_fmarl_low"] > -0.01)
    silent, dear = (table.loc[name] for name in ("independent", "rsm (float32, 4 random peers)"))
    assert silent["return_at_equal_bytes"] == pytest.approx(silent["return_iqm"], abs=0.01)
    assert dear["bytes_over_fmarl"] > 1.2 and dear["return_at_equal_bytes"] < dear["return_iqm"]
    assert table.loc["fmarl (float32)", "reaches_fmarl"] == Verdict.NOT_RUN
    assert table.loc["independent", "front"] and table["megabytes_iqm"].is_monotonic_increasing
    text = pareto.markdown(table.reset_index(), "synthetic")
    assert "| rsm (int8, ring) " in text and "on the front" in text


def test_figure_names_every_configuration_and_marks_fmarl(study):
    data, drawn = redrawn("pareto", figure.data(study))
    words = texts(drawn)
    assert all(name in words for name in data["name"].dropna())
    [axis] = drawn.axes
    central = data[data["method"] == "fmarl"].iloc[0]
    levels = [line.get_ydata()[0] for line in axis.lines if len(line.get_ydata()) == 2]
    assert any(np.isclose(level, central["return_iqm"]) for level in levels)


def test_study_without_a_finished_run_has_a_table_and_a_figure(tmp_path):
    runs = small_study(seeds=[0])
    every = tuple(runs.runs())
    failed = load_study_runs(write_study(runs, tmp_path, failed=every))
    assert not pareto.points(failed)["front"].any()
    assert "no run has finished" in texts(redrawn("pareto", figure.data(failed))[1])
    assert "| rsm " in pareto.markdown(pareto.table(failed), "synthetic")


@pytest.mark.parametrize(
    ("reaches", "ratios", "expected", "value"),
    [
        ([Verdict.HOLDS, Verdict.HOLDS, Verdict.FAILS], [1.5, 0.8, 0.2], Verdict.HOLDS, 0.8),
        ([Verdict.HOLDS, Verdict.UNTOLD, Verdict.FAILS], [1.5, 0.8, 0.2], Verdict.FAILS, 1.5),
        ([Verdict.FAILS, Verdict.UNTOLD, Verdict.FAILS], [1.5, 0.8, 0.2], Verdict.UNTOLD, np.nan),
        ([Verdict.FAILS] * 3, [1.5, 0.8, 0.2], Verdict.FAILS, np.nan),
        ([Verdict.NOT_RUN] * 3, [np.nan] * 3, Verdict.NOT_RUN, np.nan),
    ],
)
def test_claim_is_of_the_cheapest_setting_that_reaches_fmarl(
    tmp_path: Path, reaches, ratios, expected, value
):
    table = pd.DataFrame({"method": "rsm", "reaches_fmarl": reaches, "bytes_over_fmarl": ratios})
    table = table.assign(
        bytes_over_fmarl_low=table["bytes_over_fmarl"] - 0.01,
        bytes_over_fmarl_high=table["bytes_over_fmarl"] + 0.01,
        seeds=5,
    )
    (tmp_path / "bytes" / "tables").mkdir(parents=True)
    table.to_csv(tmp_path / "bytes" / "tables" / "pareto.csv", index=False)
    [found] = [finding for finding in findings([tmp_path]) if finding.claim == CHEAPEST]
    assert found.verdict == expected
    assert found.value == pytest.approx(value, nan_ok=True)
