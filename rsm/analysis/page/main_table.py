"""The main table as the page shows it: cells with numbers to sort by, the best of each column marked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis import selection, worlds
from rsm.analysis.figures.looks import looks
from rsm.analysis.page.columns import SENT, Column, column
from rsm.analysis.tables import HEADINGS, readable

_WHO = 4  # the first headings name the configuration: method, topology, P, K


class Cell(NamedTuple):
    """A number as text, its interval or points below it, and the number in full."""

    text: str
    detail: str
    value: str
    best: bool


class Row(NamedTuple):
    """A configuration: its label, where it ran, the colour that figures give it, and its cells."""

    label: str
    place: str
    color: str
    control: bool
    cells: list[Cell]


class Table(NamedTuple):
    """What is shown, the headings of columns left out because no configuration has a value, and the worlds."""

    columns: list[Column]
    rows: list[Row]
    empty: list[str]
    worlds: list[str]


def main_table(table: pd.DataFrame) -> Table:
    """The page's form of main.csv, which may have no rows."""
    if table.empty:
        return Table([], [], [], [])
    shown = readable(table)
    columns = [column(str(name)) for name in shown.columns[_WHO:]]
    filled = [known for known in columns if (shown[known.heading] != "–").any()]
    best = {known.heading: best_rows(table, shown, known) for known in filled}
    learned = looks(table.loc[~_controls(table), "label"])
    rows = []
    for number, (row, texts) in enumerate(
        zip(selection.records(table), selection.records(shown), strict=True)
    ):
        cells = [
            Cell(*parts(str(texts[known.heading])), full(row, known), number in best[known.heading])
            for known in filled
        ]
        color = learned[row["label"]].color if row["label"] in learned else "#777777"
        control = bool(_controls(table).iloc[number])
        rows.append(Row(str(row["label"]), place(texts), color, control, cells))
    empty = [known.heading for known in columns if known not in filled]
    return Table(filled, rows, empty, worlds.listed(table))


def _controls(table: pd.DataFrame) -> pd.Series:
    return table["control"].astype(bool)


def parts(text: str) -> tuple[str, str]:
    """A cell of `readable` as its number and what stands in brackets behind it."""
    at = min((i for i in (text.find(" ["), text.find(" (")) if i >= 0), default=len(text))
    return text[:at], text[at:].strip()


def place(texts: dict[str, Any]) -> str:
    """Topology, P and K of a row of `readable`, as far as it has them."""
    _, topology, segments, replicas = (str(texts[name]) for name in HEADINGS[:_WHO])
    words = [topology, f"P {segments}", f"K {replicas}"]
    return " · ".join(word for word in words if not word.endswith("–"))


def full(row: dict[str, Any], known: Column) -> str:
    """The number of a cell as it stands in main.csv; empty where there is none."""
    value = row.get(known.key)
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        return ""
    return repr(value)


def best_rows(table: pd.DataFrame, shown: pd.DataFrame, known: Column) -> set[int]:
    """Positions of the learning configurations whose number reads as the best of a world.

    None of a world where all read alike: what is the same for all, or stands alone, was not compared.
    """
    if not known.better or known.key not in table:
        return set()
    values = pd.to_numeric(table[known.key], errors="coerce").to_numpy(dtype=np.float64)
    counted = np.isfinite(values) & ~_controls(table).to_numpy()
    if known.key in SENT:
        counted &= values > 0
    texts = np.array([parts(str(text))[0] for text in shown[known.heading]])
    numbered = table.reset_index(drop=True)
    found: set[int] = set()
    for world in worlds.listed(table) or ("",):  # a table without worlds is one
        part = worlds.in_world(numbered, world) if world else numbered
        there = counted & numbered.index.isin(part.index)
        if len(set(texts[there])) > 1:
            top = int(np.where(there, known.better * values, -np.inf).argmax())
            found |= {int(i) for i in np.flatnonzero(there & (texts == texts[top]))}
    return found
