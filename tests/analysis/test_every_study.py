"""Every figure of every study, with some failed runs: complete, and within the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from rsm.analysis import FIGURES, barrier, facets, figures, pareto, selection, worlds
from rsm.analysis.figures import layout, style
from rsm.analysis.figures.looks import looks
from rsm.analysis.labels import without
from rsm.analysis.load import Runs
from rsm.config.loading import load_yaml
from rsm.config.study import Study, load_study

from .conftest import load_study_runs, redrawn, write_study

Drawn = Callable[[str], tuple[pd.DataFrame, Figure]]
STUDIES = Path(__file__).parents[2] / "workflow/studies"
SHORT = {
    "seeds": [0, 1],
    "run": {"training": {"episodes": 4}, "evaluation": {"every": 2}},
}
THINNED = {"paper": {"segments": [4]}}  # its 990 runs take minutes to make up


def short_study(name: str) -> Study:
    content = load_yaml(STUDIES / f"{name}.yaml")
    grid = content["grid"] | THINNED.get(name, {})
    return load_study(STUDIES / f"{name}.yaml", SHORT | {"grid": grid})


def failures(study: Study) -> tuple[str, ...]:
    """Every run of some labels, where the study has them, and one run of another."""
    runs = study.runs()
    gone = [run_id for run_id in runs if run_id.startswith(("segment-average", "rsm-certified"))]
    gone += [run_id for run_id in runs if run_id.startswith("rsm-") and run_id.endswith("seed1")][
        :1
    ]
    return tuple(dict.fromkeys(gone))


# Studies whose figures have no shape that another's have not: fewer methods on no further axis.
LIKE_OTHERS = {
    "central-figure-eight": "quick",
    "central-fleet": "fleet",
    "ci": "quick",
    "gate-fleet": "fleet",
    "gate-published": "published",
    "transfer-source": "transfer",
}
DRAWN = sorted({path.stem for path in STUDIES.glob("*.yaml")} - LIKE_OTHERS.keys())


@pytest.fixture(scope="module", params=DRAWN)
def study_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Synthetic runs of a study, of which some failed."""
    study = short_study(request.param)
    results = tmp_path_factory.mktemp(request.param)
    return load_study_runs(write_study(study, results, failed=failures(study)))


@pytest.fixture(scope="module")
def drawn(study_runs: Runs) -> Drawn:
    """Name of a figure → its data as read back from CSV and the figure, drawn once."""

    @cache
    def draw(name: str) -> tuple[pd.DataFrame, Figure]:
        return redrawn(name, figures.module(name).data(study_runs))

    return draw


def panels(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.axison and axis.get_label() != "<colorbar>"]


def texts(item: Figure | Axes) -> list[str]:
    return [text.get_text() for text in item.findobj(mpl.text.Text) if text.get_visible()]


def about(name: str, runs: Runs) -> pd.DataFrame:
    """The part of the index that a figure is about."""
    index = selection.learners(runs)
    if name == "segments":
        return index
    shown = selection.representative(index)
    apart = not runs.table("agents").empty
    match name:
        case "who_gains":
            return shown if apart else shown[:0]
        case "trust":
            return index[index["rule"].notna() & apart]
        case "differences":
            alone = selection.with_return(shown[shown["method"] == "independent"])
            own = [isinstance(world, str) for world in shown["world"]]
            there = [
                named and len(worlds.in_world(alone, world)) > 0
                for named, world in zip(own, shown["world"], strict=True)
            ]
            return shown[there]
        case "pareto":
            return facets.one_world(index)
        case "topologies" | "profiles":
            return facets.one_world(shown)
        case "barrier":
            return barrier.both_modes(runs)
        case "staleness":
            timed = barrier.both_modes(runs).index  # of a study of one mode rounds take no time
            return shown[shown["rule"].notna() & shown.index.isin(timed)]
        case "zeta":
            return shown[shown["rule"].notna()]
        case "exchange_heatmaps":
            shown = facets.one_world(shown[shown["share"].notna()])
            return facets.on_topology(shown, facets.topologies(shown)[0])
        case "space_time":
            return shown[shown["run_id"].isin(runs.with_trajectory)]
        case _:
            return shown


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_is_on_the_page_and_has_data_or_says_why_not(name: str, drawn: Drawn) -> None:
    _, figure = drawn(name)
    with mpl.rc_context(fname=style.SHEET):
        if any(axis.get_aspect() != "auto" for axis in figure.axes):
            figure.draw_without_rendering()  # a second pass settles panels of fixed aspect
        box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert height <= style.TALLEST + 1e-9
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02
    for axis in panels(figure):
        filled = layout.holds_data(axis) or any(
            isinstance(c, LineCollection) for c in axis.collections
        )
        assert filled or axis.texts, f"{axis.get_title(loc='left')!r} is empty"
    labels = [axis.xaxis.label for axis in figure.axes if axis.get_xlabel()]
    boxes = [label.get_window_extent().padded(2) for label in labels]  # pixels
    for label, box in zip(labels, boxes, strict=True):
        assert sum(box.overlaps(other) for other in boxes) == 1, label.get_text()


def test_no_title_runs_into_a_colour_bar(drawn: Drawn) -> None:
    _, figure = drawn("exchange_heatmaps")
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    for axis in panels(figure):
        for text in axis.findobj(mpl.text.Text):
            if text.get_text() and text.get_text() == axis.get_title(loc="left"):
                box = text.get_window_extent()
                assert not any(box.overlaps(bar.get_window_extent()) for bar in bars), text


@pytest.mark.parametrize("name", FIGURES)
def test_no_method_is_lost_and_what_failed_is_said(
    name: str, drawn: Drawn, study_runs: Runs
) -> None:
    _, figure = drawn(name)
    written = [" ".join(text.split()) for text in texts(figure)]  # a narrow panel breaks lines
    asked = selection.counts(about(name, study_runs))
    if name == "pareto":  # which names what sets a configuration apart
        asked["label"] = asked["configuration"].map(pareto.names(asked))
    words = [*facets.shares(study_runs.index), *worlds.listed(study_runs.index)]
    for label in asked["label"].unique():
        names = (label, *(without(label, word) for word in words))
        assert any(word in line for word in names for line in written), label
    if asked["failed"].any():
        assert any(word in line for word in ("failed", selection.NONE) for line in written)


def test_each_method_is_compared_with_the_references_that_finished(
    drawn: Drawn, study_runs: Runs
) -> None:
    data, figure = drawn("profiles")
    rows = data[data["panel"] == "improvement"]
    finished = set(selection.learners(study_runs).query("status == 'finished'")["method"])
    for method in finished & set(selection.REFERENCES):
        known = rows[(rows["reference"] == method) & rows["value"].notna()]
        # One that has several labels, such as beginnings, may be compared with its own others too.
        compared = {label.split(" ")[0] for label in known["label"]}
        assert compared - {method} == finished - {method}
    if finished >= set(selection.REFERENCES):
        assert "nothing to compare" not in texts(figure)
    heads = [axis.get_title(loc="left") for axis in panels(figure)]
    for reference, part in rows.dropna(subset="against").groupby("reference"):
        against = part["against"].unique()
        named = all(heads.count(f"over {label}") == 1 for label in against)
        assert named or (len(against) > 1 and f"over {reference}" in heads)


@pytest.mark.parametrize("name", ["segments", "topologies"])
def test_every_run_stands_nearest_to_its_own_interval(name: str, drawn: Drawn) -> None:
    _, figure = drawn(name)
    for axis in panels(figure):
        points = [line for line in axis.lines if line.get_linestyle() == "None"]
        marked = {
            float(x): (line.get_color(), line.get_marker())
            for line in points
            if not line.get_alpha()
            for x in line.get_xdata()
        }
        for line in points:
            for x in line.get_xdata() if line.get_alpha() else ():
                nearest = min(marked, key=lambda place, x=x: abs(place - x))
                assert marked[nearest] == (line.get_color(), line.get_marker())


def test_labels_of_a_panel_differ_in_colour_line_or_marker(study_runs: Runs) -> None:
    learned = selection.learners(study_runs)
    labels = pd.concat([facet.part for facet in facets.panels(learned)])["label"]
    found = looks(labels).values()
    assert len({(look.color, look.dash, look.marker) for look in found}) == len(found)


def test_points_of_the_pareto_figure_differ_and_a_rule_looks_as_elsewhere(drawn: Drawn) -> None:
    data, figure = drawn("pareto")
    legend = {
        text.get_text().partition(" [")[0]: handle
        for legend in figure.legends
        for text, handle in zip(legend.texts, legend.legend_handles, strict=True)
    }
    seen = {
        name: (handle.get_color(), handle.get_marker(), handle.get_fillstyle())
        for name, handle in legend.items()
    }
    assert len(set(seen.values())) == len(seen)
    first = data[~data["control"].astype(bool)].drop_duplicates("label")
    elsewhere = looks(first["label"])
    for label, name in zip(first["label"], first["name"], strict=True):
        look = elsewhere[label]
        if look == looks([label])[label]:  # that of its method and rule
            assert seen[name] == (look.color, look.marker, look.filling), label
