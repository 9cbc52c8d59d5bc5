"""Figure 6: who sent parameters to whom, and whose replicas were accepted."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from rsm.analysis import facets, selection
from rsm.analysis.figures import style
from rsm.analysis.groups import agents_table
from rsm.analysis.labels import topology_label, without
from rsm.analysis.load import Runs
from rsm.runs.schema import SERVER

TITLE, CATEGORY = "Who sent to whom", "Communication"

_COLUMNS = (
    "sender", "receiver", "payload_megabytes", "judged", "accepted", "sender_kind", "only_world",
)  # fmt: skip
_SIGNS = {"attackers": "×", "newcomers": "n", "slow": "s"}  # behind the number of an agent
MOST = 5  # panels in a row
LETTERS = 100  # of their titles, side by side in a row


def data(runs: Runs) -> pd.DataFrame:
    """One configuration per method that exchanges: one P, the first world and the first topology of the study.

    Columns: those of `selection.counts`, sender, receiver (−1 the server), payload_megabytes (mean over
    seeds), judged and accepted (sums over seeds; of replicas for which a segment was asked of the sender),
    sender_kind (`rsm.analysis.groups.KINDS`) where agents are told apart, and only_world, where the study has
    several. A configuration without traffic has one row without sender.
    """
    every = selection.representative(selection.learners(runs))
    learners = facets.one_world(every)
    chosen = learners[learners["share"].notna()]
    chosen = facets.on_topology(chosen, facets.topologies(chosen)[0])
    agents = agents_table(runs, chosen).drop_duplicates("agent").set_index("agent")["kind"]
    frames = []
    for row in selection.records(selection.counts(chosen)):
        part = chosen[chosen["configuration"] == row["configuration"]]
        finished = max(int((part["status"] == "finished").sum()), 1)
        columns = ["sender", "receiver", "payload_bytes", "judged", "accepted"]
        pairs = runs.table("exchange", part, columns).groupby(["sender", "receiver"])
        frame = pairs[columns[2:]].sum().reset_index()
        frame["payload_megabytes"] = frame.pop("payload_bytes").astype(float) / 1e6 / finished
        frame["sender_kind"] = frame["sender"].map(agents.to_dict())
        if frame.empty:
            frame = pd.DataFrame([{"payload_megabytes": np.nan}])
        frames.append(pd.DataFrame([row] * len(frame)).join(frame))
    return facets.gathered(frames, _COLUMNS).assign(only_world=facets.only_world(every))


def draw(data: pd.DataFrame) -> Figure:
    """First the payload of every configuration on one colour scale, then accepted shares on another."""
    if data.empty:
        return style.empty("no method of this study exchanges parameters")
    labels = list(dict.fromkeys(data["label"]))
    regulated = [name for name in labels if _part(data, name)["judged"].fillna(0).sum() > 0]
    incomplete = any(selection.gaps(data).values())
    columns, rows, height = _layout(len(labels), len(regulated), 0.76 if incomplete else 0.65)
    figure = Figure(figsize=(style.PAGE, height))
    grid = figure.subplots(sum(rows), columns, squeeze=False)
    nodes = sorted(set(data["sender"].dropna()) | set(data["receiver"].dropna()))
    nodes = [node for node in nodes if node != SERVER] + [node for node in nodes if node == SERVER]
    kinds_of = dict(zip(data["sender"], data["sender_kind"], strict=True))
    names_of = {node: _name(node, kinds_of.get(node)) for node in nodes}
    most = data["payload_megabytes"].max()
    share = max((_part(data, name)["accepted_share"].max() for name in regulated), default=0.0)
    kinds = (
        (labels, grid[: rows[0]], "payload_megabytes", "payload (MB)", most if most > 0 else 1),
        (regulated, grid[rows[0] :], "accepted_share", "replicas accepted (%)", share or 1),
    )
    for names, block, column, unit, top in kinds:
        image = None
        for position, axis in enumerate(block.flat):
            if position >= len(names):
                axis.set_axis_off()
                continue
            part = _part(data, names[position])
            image = _draw_panel(axis, part, column, names_of, top, LETTERS // columns)
        if image is not None:
            bar = figure.colorbar(
                image, ax=block.ravel().tolist(), pad=0.01, aspect=14 * len(block)
            )
            bar.set_label(unit)
            bar.outline.set_visible(False)
    signs = {"S": "the central server", "×": "an attacker", "n": "a newcomer", "s": "a slow agent"}
    told = [f"{sign}: {word}" for sign, word in signs.items() if sign in "".join(names_of.values())]
    words = [facets.named_world(data), "; ".join(["Numbers: agents", *told]) if told else ""]
    if any(words):
        figure.suptitle(
            ". ".join(filter(None, words)), x=0.01, ha="left", fontsize=6.5, color=style.GREY
        )
    return figure


def _name(node: float, kind: Any) -> str:
    return "S" if node == SERVER else f"{node:.0f}{_SIGNS.get(kind, '')}"


def _layout(configurations: int, regulated: int, text: float) -> tuple[int, list[int], float]:
    """Panels in a row, rows of either kind of panel, and the height of them all in inches, of which
    `text` around each panel: at most MOST in a row, but for a page that would be too tall."""
    columns = max(3, -(-configurations // -(-configurations // MOST)))
    while True:
        rows = [-(-count // columns) for count in (configurations, regulated)]
        height = sum(rows) * (text + 5.6 / columns)
        if height <= style.TALLEST:
            return columns, rows, height
        columns += 1


def _part(data: pd.DataFrame, label: str) -> pd.DataFrame:
    part = data[data["label"] == label]
    with np.errstate(invalid="ignore"):
        share = 100 * part["accepted"] / part["judged"].where(part["judged"] > 0)
    return part.assign(accepted_share=share)


def _draw_panel(
    axis: Axes, part: pd.DataFrame, column: str, nodes: dict[float, str], top: float, letters: int
) -> AxesImage:
    """Draw a node × node matrix, white where nothing was exchanged, of `nodes` and their names, with
    titles broken after at most `letters`; returns the image."""
    place = {node: number for number, node in enumerate(nodes)}
    matrix = np.full((max(len(nodes), 1),) * 2, np.nan)
    for row in part.dropna(subset=["sender"]).to_dict("records"):
        matrix[place[row["sender"]], place[row["receiver"]]] = row[column]
    image = axis.imshow(matrix, cmap="cividis_r", vmin=0, vmax=top, interpolation="nearest")
    names = list(nodes.values())
    every = max(1, -(-len(names) // 15))
    axis.set_xticks(range(0, len(names), every), names[::every])
    axis.set_yticks(range(0, len(names), every), names[::every])
    axis.tick_params(labelsize=5.5, length=1.5)
    axis.grid(visible=False)
    axis.set_xlabel("receiver", labelpad=1)
    axis.set_ylabel("sender", labelpad=1)
    first = part.iloc[0]
    where = [topology_label(first["topology"])] if isinstance(first["topology"], str) else []
    where += [f"P = {first['segments']:g}"] if np.isfinite(first["segments"]) else []
    # The share, where labels name it, gets a line of its own: a panel is narrow.
    label = without(first["label"], first["share"])
    lines = [fill(label, letters, break_on_hyphens=False)]
    lines += [first["share"]] if label != first["label"] else []
    axis.set_title("\n".join([*lines, ", ".join(where)]), fontsize=6.5)
    gap = selection.gap(first)
    if column == "accepted_share" and not part["accepted"].sum():
        axis.set_xlabel(
            "\n".join(["receiver", "no replica accepted", *filter(None, [gap])]), labelpad=1
        )
    elif np.isnan(matrix).all():
        style.note(axis, gap if gap == selection.NONE else "nothing sent")
    elif gap:
        axis.set_xlabel(f"receiver\n{gap}", labelpad=1)
    return image
