"""Figure of `rsm compare`: differences between two studies or configurations, in pairs of a seed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsm.analysis.figures import style

COLOUR = "#0B56A4"
PANELS = {"final_return": "final return", "final_mean_speed": "final mean speed (m/s)"}
ROW = 0.24  # inches


def draw(data: pd.DataFrame) -> Figure:
    """A row per pair of configurations: IQM of the differences with its interval, every seed as a point."""
    whole = data[data["seed"].isna()]
    names = whole[["first", "second"]].drop_duplicates()
    rows = {tuple(pair): place for place, pair in enumerate(names.itertuples(index=False))}
    height = min(len(rows) * ROW + 0.9, style.TALLEST)
    figure = Figure(figsize=(style.PAGE, height))
    [axes] = figure.subplots(1, len(PANELS), squeeze=False, sharey=True)
    for (quantity, title), axis in zip(PANELS.items(), axes, strict=True):
        _draw_panel(axis, data[data["quantity"] == quantity], rows)
        axis.set_xlabel(f"difference of {title}")
    studies = [
        " and ".join(dict.fromkeys(name.partition("::")[0] for name in names[side]))
        for side in ("second", "first")
    ]
    axes[0].set_yticks(range(len(rows)), [_row_name(*pair) for pair in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(f"{studies[0]} minus {studies[1]}, runs of the same seed", fontsize=8)
    return figure


def _row_name(first: str, second: str) -> str:
    """The configuration that both sides share, or what is taken from what."""
    one, other = (name.partition("::")[2] for name in (first, second))
    return one if one == other else f"{other}\n− {one}"


def _draw_panel(axis: Axes, part: pd.DataFrame, rows: dict[tuple[str, ...], int]) -> None:
    places = pd.Series(
        [rows[pair] for pair in zip(part["first"], part["second"], strict=True)], index=part.index
    )
    seeds = part["seed"].notna()
    whole = part[~seeds]
    axis.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    axis.plot(
        part.loc[seeds, "difference"], places[seeds] + 0.22, linestyle="", marker="o", markersize=2.2,
        alpha=0.55, color=COLOUR, markeredgewidth=0,
    )  # fmt: skip
    axis.hlines(
        places[~seeds], whole["difference_low"], whole["difference_high"], color=COLOUR, linewidth=1
    )
    axis.plot(whole["difference"], places[~seeds], linestyle="", marker="D", color=COLOUR)
    axis.grid(visible=False, axis="y")
