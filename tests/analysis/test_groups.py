"""Groups of agents and the worlds they live in: told apart, compared in one world, never mixed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rsm.analysis import facets, figures, pareto, trust
from rsm.analysis.differences import differences
from rsm.analysis.groups import agents_table, groups, kinds, level, markdown
from rsm.analysis.load import Runs
from rsm.analysis.tables import main_table, readable
from rsm.analysis.worlds import listed
from rsm.config.study import parse_study
from rsm.runs.files import write_table

from .conftest import load_study_runs, redrawn, texts, write_study

KINDS = ["sign-flip", "alie"]
RUN = {"traffic": {"scenario": "fleet-figure-eight:9"}, "training": {"episodes": 20}}


def fleet(run: dict[str, Any], *grids: dict[str, Any], seeds: tuple[int, ...] = (0, 1, 2)) -> Any:
    grid, *also = ({"topologies": ["complete"]} | grid for grid in grids)
    content = {"name": "synthetic", "description": "Made up.", "seeds": list(seeds), "grid": grid}
    return parse_study(content | {"also": also, "run": RUN | run}, "synthetic study")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two attackers of nine by two kinds of attack; learning alone is run once, and four are slow."""
    study = fleet(
        {"attack": {"agents": 2}, "slow": {"agents": 4}},
        {"methods": ["independent", "go", "untrained"]},
        {"methods": ["average", "rsm"], "attack.kind": KINDS},
    )
    return load_study_runs(write_study(study, tmp_path_factory.mktemp("study")))


def test_an_agent_is_an_attacker_else_a_newcomer_else_slow_else_good() -> None:
    flags = pd.DataFrame(
        [(a, n, s) for a in (0, 1) for n in (0, 1) for s in (0, 1)],
        columns=["attacker", "newcomer", "slow"],
    )
    expected = ["good", "slow", "newcomers", "newcomers", *["attackers"] * 4]
    assert kinds(flags).tolist() == expected


def test_groups_have_the_returns_of_their_own_agents(attacked: Runs) -> None:
    table = groups(attacked).set_index(["configuration", "group"])
    own = table.loc["average-complete-kindalie"]
    assert own["agents"].to_dict() == {
        "honest": 7, "worst": 1, "slow": 4, "good": 3, "attackers": 2,
    }  # fmt: skip
    # Agent i earns (i − 4)/1000 more than the mean: slow are 0 to 3, liars 7 and 8.
    ahead = own["return_iqm"] - own.loc["honest", "return_iqm"]
    assert ahead["slow"] == pytest.approx(-0.0015) and ahead["good"] == pytest.approx(0.002)
    assert ahead["attackers"] == pytest.approx(0.0045) and ahead["worst"] == pytest.approx(-0.003)
    assert set(table.loc["go"].index) == {"honest", "worst"}, "nobody is unlike others in a control"
    text = markdown(groups(attacked), "s")
    assert "| average (2 attackers" not in text
    assert "| average (4 slow 10× and 2 attackers by alie) " in text


def test_groups_are_compared_with_the_same_agents_that_learn_alone(attacked: Runs) -> None:
    table = groups(attacked).set_index(["configuration", "group"])
    every = agents_table(attacked, attacked.index)
    last = every[every["episode"] == 20].groupby(["configuration", "seed"])["return"].mean()
    gain = last["average-complete-kindalie"] - last["independent"]
    own = table.loc["average-complete-kindalie"]
    # The agents of both differ from the mean of their run by the same.
    assert own["ahead_of_independent"].to_numpy() == pytest.approx(gain.mean())
    assert set(own["pairs"]) == {3} and set(own["above"]) == {(gain > 0).sum()}
    for alone in ("independent", "go", "untrained"):
        assert table.loc[alone, "ahead_of_independent"].isna().all()
    # Slow agents are 0.0035 below the good ones at every evaluation.
    assert own.loc["slow", ["level_episode", "level_seeds"]].tolist() == [0, 3]
    assert own.loc[["good", "honest", "worst"], "level_seeds"].isna().all()
    heads = ("ahead of independent", "seeds above", "level with good after episode", "on seeds")
    assert all(f" {head} |" in markdown(groups(attacked), "s") for head in heads)


@pytest.mark.parametrize(
    ("seeds", "since", "expected"),
    [
        ([[0.2, 0.3, 0.3]], 0, (20, 1)),
        ([[0.3, 0.2, 0.3]], 0, (30, 1)),  # what was level before does not count
        ([[0.3, 0.3, 0.2]], 0, (None, 0)),
        ([[0.3, 0.3, 0.3]], 15, (20, 1)),  # nor what was before agents began anew
        ([[0.2, 0.2, 0.29001]], 20, (30, 1)),
        ([[0.2, 0.3, 0.3], [0.2, 0.2, 0.3], [0.2, 0.2, 0.2]], 0, (25, 2)),
    ],
)
def test_level_with_good_agents_for_good(
    seeds: list[list[float]], since: int, expected: tuple[float | None, int]
) -> None:
    rows = [
        (seed, episode, group, value)
        for seed, returns in enumerate(seeds)
        for episode, new in zip((10, 20, 30), returns, strict=True)
        for group, value in (("good", 0.3), ("newcomers", new), ("good", 0.3))
    ]
    own = pd.DataFrame(rows, columns=["seed", "episode", "group", "return"])
    found = level(own, since)
    episode, count = found["newcomers"]["level_episode"], found["newcomers"]["level_seeds"]
    assert (None if np.isnan(episode) else episode, count) == expected
    assert not level(own[own["group"] == "good"], since)


def test_loops_of_several_kinds_are_groups(attacked: Runs, tmp_path: Path) -> None:
    index = attacked.finished[attacked.finished["method"] == "average"].head(1)
    [run_id] = index["run_id"]
    table = pd.read_parquet(attacked.folder / run_id / "agents.parquet")
    (tmp_path / "runs").symlink_to(attacked.folder)
    for flagged, names in (
        (False, {"14 vehicles", "10 vehicles"}),
        (True, {"good on 10 vehicles", "good on 14 vehicles", "attackers on 14 vehicles"}),
    ):
        mixed = table.assign(slow=False, attacker=table["attacker"] & flagged)
        mixed["loop"] = np.where(mixed["agent"] < 3, "10 vehicles", "14 vehicles")
        write_table(tmp_path / run_id, "agents", mixed.to_dict("records"))
        runs = Runs(attacked.study, tmp_path, index, ())
        assert set(agents_table(runs, index)["group"]) == names


def test_under_a_team_reward_there_are_no_groups_and_no_worst_agent(
    make: Callable[..., Path],
) -> None:
    runs = load_study_runs(make(methods=["fmarl"], episodes=10))
    assert groups(runs).empty and "No finished run" in markdown(groups(runs), "s")
    assert main_table(runs)["worst_iqm"].isna().all()
    assert set(readable(main_table(runs))["worst agent"]) == {"–"}


def test_main_table_has_the_worst_agent_and_what_waiting_costs(attacked: Runs) -> None:
    table = main_table(attacked).set_index("configuration")
    row = table.loc["average-complete-kindalie"]
    assert row["worst_iqm"] == pytest.approx(row["return_iqm"] - 0.004)
    assert row["updates_not_made"] == 400
    assert "400" in set(readable(main_table(attacked))["updates not made"])


def test_each_world_has_a_panel_and_alone_stands_in_all_of_them(attacked: Runs) -> None:
    names = [f"4 slow 10× and 2 attackers by {kind}" for kind in KINDS]
    index = attacked.index[~attacked.index["control"]]
    assert listed(index) == names
    found = facets.panels(index)
    assert [panel.words for panel in found] == names
    for panel in found:
        assert list(dict.fromkeys(panel.part["label"])) == ["independent", "average", "rsm"]
        assert panel.part["configuration"].nunique() == 3
    assert listed(facets.one_world(index)) == names[:1]


@pytest.mark.parametrize(
    "name", ["topologies", "profiles", "pareto", "exchange_heatmaps", "space_time"]
)
def test_a_figure_of_one_world_of_several_names_it(name: str, attacked: Runs) -> None:
    first, second = (f"4 slow 10× and 2 attackers by {kind}" for kind in KINDS)
    data, figure = redrawn(name, figures.module(name).data(attacked))
    found = texts(figure).replace("\n", " ")
    assert found.count(first) == 1 and second not in found
    _, alone = redrawn(name, data.assign(only_world=None))
    assert first not in texts(alone).replace("\n", " "), "the only world of a study has no name"


def test_what_is_compared_is_of_one_world(tmp_path: Path) -> None:
    """Newcomers of two moments, alone and with averaging."""
    study = fleet(
        {"restarts": {"agents": 2}},
        {"methods": ["independent", "average"], "restarts.episode": [5, 11]},
    )
    runs = load_study_runs(write_study(study, tmp_path))
    assert runs.anew_at == {
        f"{method}-episode{episode}": episode
        for method in ("independent", "average-complete")
        for episode in (5, 11)
    }
    final = runs.index.set_index(["configuration", "seed"])["final_return"]
    table = main_table(runs).set_index("configuration")
    compared = differences(runs).groupby("configuration")["difference"].last()
    for episode in (5, 11):
        gain = final[f"average-complete-episode{episode}"] - final[f"independent-episode{episode}"]
        assert table.loc[f"average-complete-episode{episode}", "ahead_of_independent"] == (
            pytest.approx(gain.mean())
        )
    assert set(compared.index) == {"average-complete-episode5", "average-complete-episode11"}
    assert compared.nunique() == 2


def test_figure_who_gains_has_each_group_of_each_world_and_learning_alone_in_all(
    attacked: Runs,
) -> None:
    data, figure = redrawn("who_gains", figures.module("who_gains").data(attacked))
    curves = data[~data["control"] & data["seed"].isna()]
    last = curves[
        (curves["episode"] == 20) & (curves["configuration"] == "average-complete-kindalie")
    ]
    returns = last.set_index("group")["return"]
    assert returns["attackers"] - returns["good"] == pytest.approx(0.0025)
    assert set(returns.index) == {"good", "slow", "attackers", "honest", "worst"}
    drawn = [axis for axis in figure.axes if axis.axison]
    assert len(drawn) == 2 * 3, "two attacks, three methods"
    assert "2 attackers by alie complete" in " ".join(texts(figure).split())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["good", "slow", "attackers", "worst", "go"]


def test_a_replica_counts_for_the_worst_of_its_senders_and_receivers_that_attack_do_not(
    attacked: Runs, tmp_path: Path
) -> None:
    """Agents 0 to 3 are slow, 7 and 8 lie; only what good agents alone sent is accepted."""
    index = attacked.finished[attacked.finished["method"] == "rsm"].head(1)
    [run_id] = index["run_id"]
    folder = attacked.folder / run_id
    row = pd.read_parquet(folder / "zeta.parquet").iloc[0].to_dict()
    row |= {"round": 999, "jurors": []}  # a number of the receiver's own, if asynchronous
    judged = [
        (5, [4, 6], "accepted"), (5, [6, 0], "rejected"), (4, [0, 8], "rejected"),
        (4, [7, 5], "rejected"), (8, [4, 5], "rejected"),
    ]  # fmt: skip
    rows = [row | {"agent": a, "sources": s, "outcome": outcome} for a, s, outcome in judged]
    write_table(tmp_path / run_id, "zeta", rows)
    for name in ("episodes", "agents"):
        (tmp_path / run_id / f"{name}.parquet").symlink_to(folder / f"{name}.parquet")
    data = figures.module("trust").data(Runs(attacked.study, tmp_path, index, ()))
    found = data.set_index("group")[["acceptance", "judged"]].T.to_dict("list")
    assert found == {"good": [100, 1], "slow": [0, 1], "attackers": [0, 2]}


def test_trust_is_told_by_receivers_senders_and_jurors_late_in_training(
    attacked: Runs, tmp_path: Path
) -> None:
    """Agents 0 to 3 are slow, 7 and 8 lie; 20 episodes."""
    index = attacked.finished[attacked.finished["method"] == "rsm"].head(1)
    [run_id], [name] = index["run_id"], index["configuration"]
    folder = attacked.folder / run_id
    row = pd.read_parquet(folder / "zeta.parquet").iloc[0].to_dict()
    ends = pd.read_parquet(folder / "episodes.parquet").set_index("episode")["env_steps"]
    judged = [
        (20, 4, [5, 6], [0, 1, 2], "rejected"), (11, 4, [5, 6], [0, 1, 5], "accepted"),
        (10, 4, [5, 6], [0, 1, 2], "accepted"), (20, 4, [0, 8], [5, 6, 1], "accepted"),
        (20, 4, [0, 8], [5, 1], "rejected"), (20, 3, [0, 8], [], "rejected"),
        (20, 8, [0, 8], [5, 6, 1], "accepted"),
    ]  # fmt: skip
    rows = [
        row | {"env_steps": ends[e], "agent": a, "sources": s, "jurors": j, "outcome": outcome}
        for e, a, s, j, outcome in judged
    ]
    write_table(tmp_path / run_id, "zeta", rows)
    for table in ("episodes", "agents"):
        (tmp_path / run_id / f"{table}.parquet").symlink_to(folder / f"{table}.parquet")

    def cells(**since: int) -> dict[tuple[str, int, str], tuple[float, int]]:
        found = trust.table(Runs(attacked.study, tmp_path, index, (), anew_at=since))
        cell = zip(found["receiver"], found["unlike_senders"], found["jurors"], strict=True)
        return dict(zip(cell, zip(found["acceptance"], found["judged"], strict=True), strict=True))

    assert cells() == {
        ("good", 0, "unlike"): (50, 2), ("good", 2, "good"): (100, 1), ("good", 2, "unlike"): (0, 1),
        ("slow", 2, "no peers"): (0, 1),
    }  # fmt: skip
    assert cells(**{name: 12})["good", 0, "unlike"] == (0, 1), "after agents began anew"
    text = trust.markdown(trust.table(Runs(attacked.study, tmp_path, index, ())), "s")
    assert "| no peers |" in text and "| 50.0 |" in " ".join(text.split())


def test_of_a_team_reward_nothing_is_said_of_trust(make: Callable[..., Path]) -> None:
    runs = load_study_runs(make(methods=["rsm"], episodes=10))
    assert trust.table(runs).empty and "Nothing was judged" in trust.markdown(
        trust.table(runs), "s"
    )


def test_controls_are_no_levels_of_agents_on_other_roads(tmp_path: Path) -> None:
    study = fleet(
        {},
        {"methods": ["independent", "go"]},
        {"methods": ["independent"], "traffic.scenario": ["mixed-fleet:9"]},
    )
    runs = load_study_runs(write_study(study, tmp_path))
    assert listed(runs.index) == ["equal agents", "mixed-fleet:9"]
    for name in ("learning_curves", "who_gains"):
        _, figure = redrawn(name, figures.module(name).data(runs))
        levels = [
            sum(line.get_transform() != axis.transData for line in axis.lines)
            for axis in figure.axes
        ]
        assert levels[0] == 1 and levels[1] == 0, name
        assert not any(item.get_text() == "go" for axis in figure.axes for item in axis.texts), name
        [legend] = figure.legends
        assert "go" in {item.get_text() for item in legend.get_texts()}, name
    groups_there = groups(runs).set_index("configuration").loc["independent-scenariomixed-fleet-9"]
    assert set(groups_there["group"]) == {
        "honest", "worst", "14 vehicles", "10 vehicles", "18 vehicles",
    }  # fmt: skip


def test_return_for_the_bytes_of_fmarl_is_of_the_same_world(tmp_path: Path) -> None:
    study = fleet(
        {"attack": {"agents": 2}},
        {"methods": ["fmarl"], "attack.kind": ["alie"]},
        {"methods": ["rsm"], "attack.kind": KINDS},
    )
    table = pareto.table(load_study_runs(write_study(study, tmp_path))).set_index("configuration")
    column = table["return_at_equal_bytes"]
    assert np.isfinite(column["rsm-complete-p4-k3-kindalie"])
    assert np.isnan(column["rsm-complete-p4-k3-kindsign-flip"]), "no fmarl was attacked like that"
