"""Every figure from many kinds of studies: whole, honest about gaps, the same bytes twice."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rsm.analysis import FIGURES, facets, figures
from rsm.analysis.figures import learning_curves, level_lines, marks, style, zeta
from rsm.analysis.figures.looks import looks, luminance
from rsm.analysis.load import Runs
from rsm.config.catalogue import METHODS
from rsm.errors import ConfigError

from .conftest import load_study_runs, redrawn, small_study, texts, write_study


def drawn(name: str, runs: Runs) -> tuple[pd.DataFrame, Figure]:
    """The data of a figure as read back from CSV, and the figure laid out."""
    return redrawn(name, figures.module(name).data(runs))


@pytest.mark.parametrize("name", FIGURES)
def test_panels_name_their_axes_and_no_text_leaves_the_page(name: str, runs: Runs) -> None:
    _, figure = drawn(name, runs)
    assert figure.get_figwidth() in (style.PAGE, style.COLUMN)
    labels = [axis.get_xlabel() or axis.get_ylabel() for axis in figure.axes if axis.axison]
    assert sum(map(bool, labels)) >= len(labels) / 2  # shared axes are named once
    with mpl.rc_context(fname=style.SHEET):
        figure.draw_without_rendering()  # a second pass settles panels of fixed aspect
        box = figure.get_tightbbox()
    assert box.x0 >= -0.02
    assert box.x1 <= figure.get_figwidth() + 0.02


@pytest.mark.parametrize("name", ["learning_curves", "return_vs_bytes", "segments", "topologies"])
def test_a_legend_lies_below_the_panels(name: str, runs: Runs) -> None:
    _, figure = drawn(name, runs)
    [legend] = figure.legends
    top = legend.get_window_extent().y1
    assert all(axis.get_tightbbox().y0 >= top for axis in figure.axes)
    assert "rsm (trust-region)" in {item.get_text() for item in legend.get_texts()}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_bars_of_intervals_are_within_the_panel(scale: str) -> None:
    rows = pd.DataFrame({"x": [1.0, 10.0, 100.0], "y": 5.0, "y_low": 1.0, "y_high": 90.0})
    axis = Figure().subplots()
    axis.set_yscale(scale)
    marks.curve(axis, rows["x"], rows, "y", looks(pd.Series(["rsm"]))["rsm"], (0, 2), most=1)
    low, high = axis.get_ylim()
    assert low < 1 and high > 90


@pytest.mark.parametrize("name", ["learning_curves", "return_vs_bytes", "segments", "topologies"])
def test_controls_are_named_levels(name: str, runs: Runs) -> None:
    data, figure = drawn(name, runs)
    assert set(data.loc[data["control"], "label"]) == {"human", "go", "platoon"}
    for level in ("human", "go", "platoon"):
        assert level in texts(figure)


def test_profiles_have_no_panel_for_a_reference_that_the_study_does_not_ask_for(runs: Runs) -> None:
    data, figure = drawn("profiles", runs)
    rows = len(figure.axes) // 3
    assert len(figure.axes) == 3 * rows and "over average" in texts(figure)
    without = redrawn("profiles", data[data["label"] != "average"])[1]
    assert len(without.axes) == 2 * rows and "over average" not in texts(without)


def test_controls_stand_beside_the_profiles_and_a_far_one_does_not_flatten_them(runs: Runs) -> None:
    data, near = drawn("profiles", runs)
    levels = data[data["panel"] == "level"]
    assert set(levels["label"]) == {"human", "go", "platoon"}
    for name, value in zip(levels["label"], levels["value"], strict=True):
        assert f"{name} {value:.3f}" in texts(near)
    data.loc[(data["panel"] == "level") & (data["label"] == "platoon"), "value"] = 9.87
    far = redrawn("profiles", data)[1]
    assert far.axes[0].get_xlim()[1] <= near.axes[0].get_xlim()[1] < 9.87
    assert "platoon 9.870 →" in texts(far)


@pytest.mark.parametrize("name", ["learning_curves", "return_vs_bytes", "topologies"])
def test_a_control_far_from_the_methods_is_a_number_and_does_not_flatten_them(
    name: str, runs: Runs
) -> None:
    data, near = drawn(name, runs)
    data.loc[data["label"] == "platoon", "return"] = 9.87
    figure = redrawn(name, data)[1]
    assert figure.axes[0].get_ylim()[1] <= near.axes[0].get_ylim()[1] < 9.87
    assert "9.87 ↑\nplatoon" in texts(figure)


def test_saving_twice_gives_the_same_bytes_and_the_csv_is_enough(
    runs: Runs, tmp_path: Path
) -> None:
    first = figures.save("profiles", runs, tmp_path / "a")
    again = figures.redraw(figures.module("profiles"), first[0], tmp_path / "b")
    assert [path.suffix for path in first] == [".csv", ".pdf", ".png"]
    for old, new in zip(first[1:], again, strict=True):
        assert old.read_bytes() == new.read_bytes()
    pdf = first[1].read_bytes()
    assert b"CreationDate" not in pdf
    assert b"/FontType 3" not in pdf


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "methods", [["independent", "human"], ["rsm"], ["human", "go"]], ids="-".join
)
def test_a_study_of_few_methods_is_drawn(
    name: str, methods: list[str], make: Callable[..., Path]
) -> None:
    grid = {"topologies": ["ring"], "segments": [2], "rules": ["theorem2"], "episodes": 10}
    drawn(name, load_study_runs(make(methods=methods, seeds=[0], **grid)))


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_without_any_run_is_drawn_with_a_note(name: str, tmp_path: Path) -> None:
    source = "name: none\ndescription: ''\nseeds: [0]\ngrid: {methods: [rsm, fmarl, human]}\n"
    (tmp_path / "none").mkdir()
    (tmp_path / "none/study.yaml").write_text(source)
    _, figure = drawn(name, load_study_runs(tmp_path / "none"))
    assert re.search("no (finished )?run|no study|nothing|no replica", texts(figure))


@pytest.mark.parametrize("name", ["learning_curves", "segments", "zeta"])
@pytest.mark.parametrize("topologies", [["ring"], ["ring", "star"]], ids=len)
def test_every_quantity_keeps_its_unit_and_numbers(
    name: str, topologies: list[str], make: Callable[..., Path]
) -> None:
    results = make(methods=["rsm"], topologies=topologies, seeds=[0, 1], episodes=10)
    _, figure = drawn(name, load_study_runs(results))
    first = [axis for axis in figure.axes if axis.get_ylabel()]
    units = figures.module(name).QUANTITIES.values()
    assert sorted(axis.get_ylabel() for axis in first) == sorted(units)
    for axis in first:
        assert any(label.get_text() and label.get_visible() for label in axis.get_yticklabels())


@pytest.mark.parametrize("name", ["zeta", "exchange_heatmaps"])
def test_a_gate_that_never_opens_is_said(name: str, make: Callable[..., Path]) -> None:
    grid = {"topologies": ["ring"], "segments": [4], "seeds": [0], "episodes": 10}
    results = make(methods=["rsm"], accepted=False, **grid)
    data, figure = drawn(name, load_study_runs(results))
    assert "no replica accepted" in texts(figure)
    assert data["judged"].sum() > 0


def test_failed_runs_stand_in_the_legend(make: Callable[..., Path]) -> None:
    grid = {"methods": ["fmarl", "average"], "topologies": ["ring"], "episodes": 10}
    _, figure = drawn("learning_curves", load_study_runs(make(failed=("fmarl-seed2",), **grid)))
    assert "fmarl [1 of 3 failed]" in texts(figure)


def test_curves_hold_the_mean_of_three_seeds_at_each_evaluation(runs: Runs) -> None:
    data = figures.module("learning_curves").data(runs)
    own = data[data["configuration"] == "fmarl"]
    curve = own[own["seed"].isna()]
    table = runs.table("evaluations")
    table = table[(table["configuration"] == "fmarl") & (table["mode"] == "deterministic")]
    assert curve["episode"].tolist() == [0, 10, 20, 30]
    expected = table.groupby("episode")["return"].mean()
    assert curve["return"].to_numpy() == pytest.approx(expected.to_numpy())
    seeds = own[own["seed"].notna()].pivot(index="episode", columns="seed", values="return")
    assert seeds.mean(axis="columns").to_numpy() == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize(("seeds", "interval"), [(4, False), (5, True)])
@pytest.mark.parametrize("name", ["learning_curves", "return_vs_bytes", "segments", "topologies"])
def test_fewer_than_five_seeds_are_points_without_an_interval(
    name: str, seeds: int, interval: bool, make: Callable[..., Path]
) -> None:
    grid = {"topologies": ["ring"], "segments": [4], "rules": ["theorem2"], "episodes": 10}
    methods = ["independent", "rsm", "human"]
    data, figure = drawn(
        name, load_study_runs(make(methods=methods, seeds=list(range(seeds)), **grid))
    )
    learned = data[~data["control"]]
    assert learned["return_low"].notna().any() == interval
    ends = [axis for axis in figure.axes if axis.collections]
    bands = [band for axis in ends for band in axis.collections if len(band.get_paths())]
    spans = [np.ptp(path.vertices[:, 1]) for band in bands for path in band.get_paths()]
    assert np.nansum([span for span in spans if np.isfinite(span)]) > 0 or not interval
    if not interval:
        assert set(learned["seed"].dropna()) == set(range(seeds))
        pale = [line for axis in figure.axes for line in axis.lines if line.get_alpha() == 0.55]
        assert sum(np.isfinite(line.get_ydata(orig=False)).sum() for line in pale) >= 2 * seeds


def test_every_seed_is_in_the_data_of_segments_and_topologies(runs: Runs) -> None:
    data = figures.module("segments").data(runs)
    assert (~data["control"]).sum() == (~runs.index["control"]).sum()
    assert data["megabytes"].max() == pytest.approx(runs.index["bytes_sent"].max() / 1e6)
    data = figures.module("topologies").data(runs)
    assert set(data["segments"].dropna()) == {4}


def test_heatmaps_show_the_server_of_fmarl_and_mean_payload(runs: Runs) -> None:
    data = figures.module("exchange_heatmaps").data(runs)
    central = data[data["label"] == "fmarl"]
    assert ((central["sender"] == -1) | (central["receiver"] == -1)).all()
    total = runs.finished.loc[runs.finished["method"] == "fmarl", "payload_bytes"].mean()
    assert central["payload_megabytes"].sum() == pytest.approx(total / 1e6)


def test_acceptance_in_the_zeta_figure_is_that_of_the_trace(runs: Runs) -> None:
    data = figures.module("zeta").data(runs)
    configuration = data[data["configuration"] == "rsm-ring-p4-k3"]
    summary = runs.finished[runs.finished["configuration"] == "rsm-ring-p4-k3"]
    assert configuration["judged"].sum() == summary["judged"].sum()
    accepted = (configuration["acceptance"] / 100 * configuration["judged"]).sum()
    assert accepted == pytest.approx(summary["accepted"].sum())


def test_an_unknown_figure_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'pie' is not allowed: known figures: learning_curves"):
        figures.module("pie")


def test_variants_of_a_method_differ_in_shade_line_and_marker() -> None:
    labels = [
        f"{method} ({loss} % loss)" for method in ("fmarl", "rsm") for loss in (0, 10, 30, 50)
    ]
    found = looks(labels)
    for method in ("fmarl", "rsm"):
        own = [look for label, look in found.items() if label.startswith(method)]
        grey = sorted(luminance(look.color) for look in own)
        assert min(np.diff(grey)) > 0.08  # in a print without colours
        assert grey[-1] < 0.7  # still seen on white
        assert len({look.dash for look in own}) == len({look.marker for look in own}) == 4


def test_a_rule_has_one_look_whoever_else_is_drawn() -> None:
    found = looks(["rsm", "rsm (trust-region)", "rsm (certified)", "rsm (K = 1)", "fmarl"])
    rsm = [look for label, look in found.items() if label.startswith("rsm")]
    assert len({(look.color, look.dash, look.marker, look.filling) for look in rsm}) == 4
    assert looks(["rsm (trust-region)"])["rsm (trust-region)"] == found["rsm (trust-region)"]


def test_a_method_of_tomorrow_gets_a_look_beside_the_known_ones() -> None:
    found = looks(["rsm", "rsm-async"])
    assert found["rsm-async"].color != found["rsm"].color


def test_a_later_method_keeps_its_colour_whoever_else_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("zeal", "gossip"):
        monkeypatch.setitem(METHODS.own, name, METHODS["average"])
    both = looks(["rsm", "gossip", "zeal"])
    assert both["gossip"] == looks(["gossip"])["gossip"]
    assert both["gossip"].color != both["zeal"].color


def test_colours_of_the_published_methods_and_one_more_differ_in_lightness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = ["independent", "average", "segment-average", "fmarl", "rsm"]
    monkeypatch.setattr("rsm.analysis.figures.looks.METHODS", published)
    found = looks([*published, "later"])
    grey = sorted(luminance(look.color) for look in found.values())
    assert len(grey) == 6
    assert min(np.diff(grey)) > 0.1
    assert grey[-1] < 0.65  # still seen on white
    assert luminance(found["independent"].color) < 0.55  # it is in every figure


def test_names_of_levels_keep_their_distance_and_their_order() -> None:
    placed = level_lines.apart(np.array([10.0, 10.5, 11.0, 40.0]), 8)
    assert (np.diff(placed) >= 8 - 1e-9).all()
    assert placed[:3].mean() == pytest.approx(10.5)
    assert placed[3] == 40


def test_lists_of_outputs_come_without_matplotlib_and_pandas() -> None:
    code = (
        "import sys, rsm.analysis.figures; "
        "print({'matplotlib', 'pandas', 'torch'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_what_is_shared_has_panels_of_its_own_where_it_varies(tmp_path: Path) -> None:
    grid = {"methods": ["independent", "average", "rsm"], "topologies": ["ring"], "segments": [4]}
    study = small_study(**grid, share=["actor", "actor+critic"], episodes=20)
    results = write_study(study, tmp_path)
    frame = facets.curves_and_levels(load_study_runs(results))
    learned, _ = facets.learned_and_levels(frame)
    found = facets.panels(learned)
    assert [(facet.topology, facet.words) for facet in found] == [
        ("ring", "actor"),
        ("ring", "actor+critic"),
    ]
    expected = ["independent", "average", "rsm (theorem2)", "rsm (trust-region)"]
    for facet in found:
        assert list(dict.fromkeys(facet.part["label"])) == expected
        assert set(facet.part["share"].dropna()) == {facet.words}
    titles = [
        axis.get_title(loc)
        for axis in learning_curves.draw(frame).axes
        for loc in ("left", "center")
    ]
    heads = {title for title in titles if title}
    assert heads == {"ring\nactor, P = 4", "ring\nactor+critic, P = 4"}


def test_every_quantity_of_the_zeta_figure_has_the_same_x(results: Path) -> None:
    """Replicas are accepted early alone: their panel must not be stretched over all of training."""
    data, _ = drawn("zeta", load_study_runs(results))
    late = data["env_steps"] > data["env_steps"].median()
    data.loc[late, ["zeta", "zeta_low", "zeta_high"]] = np.nan
    first = data[data["topology"] == data["topology"].iloc[0]]
    for shown in (data, first):  # a grid of panels, and two beside each other
        figure = zeta.draw(shown)
        assert len({axis.get_xlim() for axis in figure.axes}) == 1
