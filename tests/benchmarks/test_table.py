"""The table of the benchmarks has its rows; speed is not tested."""

import importlib
import json

import pytest

from benchmarks import __main__ as table
from benchmarks import environment, exchange, growth, learning, rounds
from benchmarks.measure import Row, medians


@pytest.fixture
def no_clock(monkeypatch):
    """Every part is run once and takes one second."""

    def once(parts, repeats, warm=1):
        for part in parts.values():
            part()
        return dict.fromkeys(parts, 1.0)

    for module in (exchange, growth, learning, rounds):
        monkeypatch.setattr(module, "medians", once)
    monkeypatch.setattr(environment, "STEPS", 3)
    monkeypatch.setattr(environment, "PLAIN_STEPS", 2)
    monkeypatch.setattr(environment, "REPEATS", 1)
    monkeypatch.setattr(growth, "AGENTS", (9, 12))


@pytest.mark.parametrize("group", ["environment", "exchange", "growth", "rounds"])
def test_group_gives_rows_that_reach_the_table(group, no_clock):
    rows = table.measured(group)
    assert rows and all(isinstance(row, Row) for row in rows)
    assert json.loads(json.dumps(rows))


def test_acting_updating_and_judging_are_measured_whatever_the_clock_says(no_clock):
    rows = [learning.acting(), *learning.update(64, 1), *learning.judging(), learning.jury()]
    assert all(row.measured and row.target for row in rows)


def test_every_group_can_be_measured():
    for group in table.GROUPS:
        assert callable(importlib.import_module(f"benchmarks.{group}").rows)


def test_group_that_fails_is_a_missed_row(monkeypatch):
    monkeypatch.setattr(table.sys, "executable", "/bin/false")
    (row,) = table.in_own_process("learning")
    assert not row.met and "failed" in row.measured


def test_unknown_group_is_refused(capsys):
    assert table.main(["speed"]) == 2
    assert "allowed" in capsys.readouterr().err


def test_medians_are_of_each_part():
    calls = []
    seconds = medians({"one": lambda: calls.append(1), "two": lambda: calls.append(2)}, 3, warm=1)
    assert set(seconds) == {"one", "two"} and calls == [1, 2] * 4


def test_page_has_every_row_and_the_machine():
    row = Row("part", "1.0 ×", "≤ 2 ×", True, {})
    facts = {"cpu": "a processor", "cores": 2, "load": 0.0, "torch": "2"}
    content = {"machine": facts, "rows": [row._asdict()], "seconds": 60.0}
    text = table.page(content)
    assert "a processor" in text and "| part | 1.0 × | ≤ 2 × | met |" in text
