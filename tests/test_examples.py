"""The scripts in examples/ run as they are, on shorter runs, and stay short."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def script(name: str) -> Callable[..., Any]:
    """The `main` of an example."""
    (path,) = (path for path in EXAMPLES if path.stem == name)
    return runpy.run_path(str(path))["main"]


def test_examples_are_three_short_scripts() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES}
    assert len(lengths) == 3 and max(lengths.values()) <= 60, lengths


@pytest.mark.slow
def test_two_methods_are_trained_and_drawn(tmp_path: Path) -> None:
    scores = script("train_two_methods")(tmp_path / "two-methods", episodes=4)
    assert {name: len(values) for name, values in scores.items()} == {"independent": 2, "rsm": 2}
    assert all(0 < value < 1 for values in scores.values() for value in values)
    paths = script("draw_figure")(tmp_path / "two-methods")
    assert {path.name for path in paths} == {
        *(f"learning_curves.{suffix}" for suffix in ("csv", "pdf", "png")),
        "own.png",
    }
    assert all(path.stat().st_size > 0 for path in paths)


@pytest.mark.slow
def test_every_agent_judges_a_replica_by_every_rule() -> None:
    verdicts = script("judge_replica")(episodes=4)
    assert set(verdicts) == {"theorem2", "certified", "trust-region"}
    for verdict in verdicts.values():
        assert verdict.zeta.shape == (9,) and not verdict.identical.any()
        assert (verdict.accepted <= (verdict.advantage > 0)).all(), "never without a promised gain"
        assert (verdict.quadratic_form > 0).all()
