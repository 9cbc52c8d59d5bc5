"""The head of the page: how the runs ended, what came first, how it compares with independent learning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from rsm.analysis import selection
from rsm.analysis.page.main_table import place
from rsm.analysis.statistics import FEWEST, Estimate
from rsm.analysis.tables import HEADINGS, interval_text, number_text, points_text, readable
from rsm.analysis.verdicts import Verdict, compared


class Fact(NamedTuple):
    """An item of the head: what it is about, and what is the case, in lines."""

    about: str
    lines: list[str]
    remark: str = ""


_WORDS = {Verdict.HOLDS: "above", Verdict.FAILS: "below", Verdict.UNTOLD: "cannot be told"}


def facts(table: pd.DataFrame, counts: dict[str, int]) -> list[Fact]:
    """Facts of main.csv, which may have no rows; `counts` are the runs by status."""
    found = [Fact("Runs", [ended(counts)])]
    if table.empty:
        return found
    control = table["control"].astype(bool)
    names = dict(zip(table["configuration"], named(table), strict=True))
    learned = table[~control & table["return_iqm"].notna()]
    if len(learned):
        row = selection.records(learned.loc[[learned["return_iqm"].idxmax()]])[0]
        few = learned["finished"].min() < FEWEST
        found.append(
            Fact(
                "Highest final return",
                [
                    f"{names[row['configuration']]}: "
                    + points_text(
                        interval_text(row, "return", "{:.3f}", "_iqm"), row["return_points"]
                    )
                ],
                f"Fewer than {FEWEST} seeds do not rank configurations." if few else "",
            )
        )
    found += _against_independent(learned, names)
    levels = table[control & table["return_iqm"].notna()]
    if len(levels):
        texts = [
            f"{row['label']} {number_text(row['return_iqm'], '{:.3f}')}"
            for row in selection.records(levels)
        ]
        found.append(Fact("Controls, which do not learn", [", ".join(texts)]))
    return found


def ended(counts: dict[str, int]) -> str:
    """How the runs ended, in a sentence."""
    total, finished = sum(counts.values()), counts.get("finished", 0)
    if total and finished == total:
        return f"All {total} finished." if total > 1 else "The only run finished."
    words = [f"{counts[name]} {name}" for name in ("failed", "missing") if counts.get(name)]
    first = f"{finished} of {total} finished" if finished else f"None of {total} finished"
    return f"{first}: {', '.join(words)}."


def _against_independent(learned: pd.DataFrame, names: dict[str, str]) -> list[Fact]:
    """Configurations by what the interval of their difference to independent learning says."""
    groups: dict[Verdict, list[str]] = {}
    for row in selection.records(learned):
        estimate = Estimate(*(row[f"ahead_of_independent{end}"] for end in ("", "_low", "_high")))
        if np.isfinite(estimate.value):
            verdict = compared(estimate, int(row["finished"]), above=0)
            groups.setdefault(verdict, []).append(names[row["configuration"]])
    if not groups:
        return []
    lines = [
        f"{word}: {'; '.join(groups[verdict])}"
        for verdict, word in _WORDS.items()
        if verdict in groups
    ]
    return [Fact("Return against independent learning, seed by seed", lines)]


def named(table: pd.DataFrame) -> list[str]:
    """Names of configurations: the label, and of topology, P and K what tells those of one label apart."""
    shown = readable(table)[list(HEADINGS[:4])].astype(str)
    names = []
    for label, row in zip(table["label"], selection.records(shown), strict=True):
        alike = shown[shown["method"] == label]
        words = {name: row[name] if alike[name].nunique() > 1 else "–" for name in HEADINGS[1:4]}
        names.append(" · ".join(filter(None, [str(label), place({HEADINGS[0]: label} | words)])))
    return names
