"""Which runs stand in one panel, and which are compared with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rsm.analysis import facets, selection
from rsm.analysis.load import Runs

from .conftest import load_study_runs, small_study, write_study


def finished(*rows: tuple[str, str | None, float]) -> pd.DataFrame:
    """Runs whose seeds count up from 0 within a label and topology."""
    frame = pd.DataFrame(rows, columns=["label", "topology", "final_return"])
    return frame.assign(seed=frame.groupby(["label", "topology"], dropna=False).cumcount())


def shared_runs(folder: Path, failed: tuple[str, ...] = (), **grid: Any) -> Runs:
    """A synthetic study that varies what is shared."""
    wanted = {"topologies": ["ring"], "segments": [4], "rules": ["theorem2"]}
    study = small_study(**wanted | {"share": ["actor", "actor+critic"]} | grid, episodes=10)
    return load_study_runs(write_study(study, folder, failed=failed))


def test_runs_are_paired_on_the_topologies_that_both_have() -> None:
    runs = finished(
        ("rsm", "ring", 0.1), ("rsm", "star", 0.2), ("rsm", "ring", 0.3), ("average", "star", 0.4),
        ("average", "complete", 0.5),
    )  # fmt: skip
    x, y, _ = selection.paired(runs, "rsm", "average")
    assert [side.tolist() for side in (*x, *y)] == [[0.2], [0.4]]


def test_strata_of_both_sides_come_in_the_same_order() -> None:
    runs = finished(("a", "ring", 1), ("a", "star", 2), ("b", "star", 3), ("b", "ring", 4))
    x, y, _ = selection.paired(runs, "a", "b")
    assert [side.tolist() for side in x] == [[1], [2]]
    assert [side.tolist() for side in y] == [[4], [3]]


def test_a_method_without_a_topology_is_one_stratum_against_every_topology_of_the_other() -> None:
    runs = finished(
        ("rsm", "ring", 0.1), ("rsm", "ring", 0.2), ("rsm", "star", 0.3), ("rsm", "star", 0.4),
        ("fmarl", None, 0.5), ("fmarl", None, 0.6),
    )  # fmt: skip
    x, y, pairs = selection.paired(runs, "rsm", "fmarl")
    assert [side.tolist() for side in x] == [[0.1, 0.2], [0.3, 0.4]] and pairs
    assert [side.tolist() for side in y] == [[0.5, 0.6]]
    other = selection.paired(runs, "fmarl", "rsm")
    assert [side.tolist() for side in other[0]] == [[0.5, 0.6]]


def test_comparison_is_of_the_seeds_that_both_have_in_their_order() -> None:
    runs = finished(*[("rsm", "ring", value) for value in (0.1, 0.2, 0.3)], ("fmarl", None, 0.7))
    runs["seed"] = [2, 0, 1, 2]
    x, y, pairs = selection.paired(runs, "rsm", "fmarl")
    assert pairs and [x[0].tolist(), y[0].tolist()] == [[0.1], [0.7]]
    runs["seed"] = [2, 0, 1, 3]
    x, y, pairs = selection.paired(runs, "rsm", "fmarl")
    assert not pairs and [len(x[0]), len(y[0])] == [3, 1]


def test_methods_without_a_common_topology_or_without_runs_do_not_pair() -> None:
    runs = finished(("rsm", "ring", 0.1), ("average", "star", 0.2))
    assert selection.paired(runs, "rsm", "average") == ([], [], False)
    assert selection.paired(runs, "rsm", "fmarl") == ([], [], False)


def test_the_reference_shares_what_the_compared_method_does(tmp_path: Path) -> None:
    index = shared_runs(tmp_path, methods=["independent", "fmarl", "average"]).index
    for share in ("actor", "actor+critic"):
        part = index[index["label"] == f"average ({share})"]
        assert set(selection.reference(part, index, "fmarl")["label"]) == {f"fmarl ({share})"}
    alone = index[index["method"] == "independent"]
    assert set(selection.reference(alone, index, "fmarl")["label"]) == {"fmarl (actor)"}
    assert selection.reference(alone, index, "rsm").empty


def test_a_reference_that_failed_is_not_replaced_by_another(tmp_path: Path) -> None:
    gone = tuple(f"fmarl-actor+critic-seed{seed}" for seed in range(3))
    index = shared_runs(tmp_path, gone, methods=["fmarl", "average"]).index
    part = index[index["label"] == "average (actor+critic)"]
    assert selection.reference(part, index, "fmarl").empty


def test_there_is_no_panel_for_a_share_that_a_topology_was_not_run_with() -> None:
    frame = pd.DataFrame(
        {
            "label": ["independent", "fmarl (a)", "fmarl (b)", "rsm (a)", "rsm (b)", "rsm (a)"],
            "topology": [None, None, None, "ring", "ring", "star"],
            "share": [None, "a", "b", "a", "b", "a"],
        }
    )
    found = {facet[:2]: facet.part["label"].tolist() for facet in facets.panels(frame)}
    expected = ["independent", "fmarl", "rsm"]
    assert found == dict.fromkeys([("ring", "a"), ("ring", "b"), ("star", "a")], expected)


def test_what_only_a_method_without_topology_shares_keeps_a_panel() -> None:
    frame = pd.DataFrame(
        {"label": ["fmarl (b)", "rsm"], "topology": [None, "ring"], "share": ["b", "a"]}
    )
    found = {facet[:2]: facet.part["label"].tolist() for facet in facets.panels(frame)}
    assert found == {("ring", "a"): ["rsm"], (None, "b"): ["fmarl"]}


def test_what_is_missing_is_counted_over_the_configurations_of_a_label() -> None:
    states = {"configuration": list("abca"), "label": ["rsm", "rsm", "fmarl", "rsm"]}
    counts = {"seeds": [2, 2, 2, 2], "failed": [1, 0, 1, 1], "missing": [0, 1, 1, 0]}
    assert selection.gaps(pd.DataFrame(states | counts)) == {
        "rsm": "1 of 4 failed, 1 of 4 missing",
        "fmarl": "no run finished",
    }


def test_an_estimate_of_nothing_is_unknown() -> None:
    assert all(np.isnan(selection.estimate(pd.Series([np.nan, np.nan]))))
