"""A legend names what sets configurations apart, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from rsm.analysis.labels import labels, topology_label, without
from rsm.config.study import parse_study


def study_labels(**grid: Any) -> set[str]:
    content = {"name": "s", "description": "", "seeds": [0, 1], "grid": grid}
    return set(labels(parse_study(content, "test").runs().values()).values())


def test_a_study_of_published_settings_names_methods_only() -> None:
    assert study_labels(methods=["rsm", "fmarl", "human"]) == {"rsm", "fmarl", "human"}


def test_topology_and_segments_stay_out_of_the_label() -> None:
    assert study_labels(methods=["rsm"], topologies=["ring", "star"], segments=[1, 2]) == {"rsm"}


def test_ways_of_finding_zeta_are_named_where_they_vary() -> None:
    found = study_labels(methods=["rsm"], rules=["theorem2", "trust-region"])
    assert found == {"rsm (theorem2)", "rsm (trust-region)"}


def test_an_unpublished_way_of_finding_zeta_is_named_even_alone() -> None:
    assert study_labels(methods=["rsm"], rules=["trust-region"]) == {"rsm (trust-region)"}


def test_other_settings_are_named_where_they_vary() -> None:
    found = study_labels(methods=["average", "independent"], loss_rates=[0.0, 0.25])
    assert found == {"average (0 % loss)", "average (25 % loss)", "independent"}
    found = study_labels(methods=["rsm"], replicas=[1, 3], share=["actor", "actor+critic"])
    assert "rsm (K = 1, actor+critic)" in found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        (["fmarl", "rsm-ring-p4-k3"], {"from scratch", "from fmarl", "from rsm"}),
        (["segment-average-ring", "average-ring"], {"from scratch", "from segment-average", "from average"}),
        (["rsm-ring", "rsm-star"], {"from scratch", "from rsm-ring", "from rsm-star"}),
        (["mine"], {"from scratch", "from mine"}),
    ],
)  # fmt: skip
def test_starts_are_named_by_their_method_where_that_tells_them_apart(
    starts: list[str], expected: set[str]
) -> None:
    runs = [None, *(f"results/s/runs/{name}-seed{{seed}}" for name in starts)]
    found = study_labels(methods=["independent"], **{"init_from.run": runs})
    assert found == {f"independent ({text})" for text in expected}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("radius:90", "radius 90 m"),
        ("ring", "ring"),
        ("regular:4", "4-regular"),
        ("erdos-renyi:0.3", "Erdős–Rényi 0.3"),
        ("small-world:4:0.1", "small world (4, 0.1)"),
        ("complete", "complete"),
    ],
)
def test_topologies_read_as_words(text: str, label: str) -> None:
    assert topology_label(text) == label


def test_a_word_leaves_a_label_and_takes_empty_brackets_with_it() -> None:
    assert without("rsm (theorem2, actor)", "actor") == "rsm (theorem2)"
    assert without("average (actor+critic)", "actor+critic") == "average"
    assert without("average (actor+critic)", "actor") == "average (actor+critic)"
    assert without("independent", "actor") == "independent"


def test_what_is_unusual_is_named_even_where_all_runs_have_it() -> None:
    found = study_labels(methods=["average"], share=["actor+critic"], loss_rates=[0.5])
    assert found == {"average (actor+critic, 50 % loss)"}


def test_judge_is_named_where_it_is_not_the_receiver() -> None:
    assert study_labels(methods=["rsm"], judges=["peers"]) == {"rsm (judged by peers)"}
