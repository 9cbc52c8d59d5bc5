import numpy as np
import pandas as pd
import pytest

from rsm.analysis.comparison import Side, compare, markdown, side_of_table, write_comparison
from rsm.errors import ConfigError


def index(returns, configuration="rsm", first_seed=0, **columns):
    """Finished runs of one configuration, a final return per seed."""
    seeds = range(first_seed, first_seed + len(returns))
    frame = {"configuration": configuration, "seed": seeds, "status": "finished"}
    frame |= {"final_return": returns, "final_mean_speed": 4.0, "bytes_sent": 1e6, "megabytes": 1.0}
    return pd.DataFrame(frame | columns)


def side(name, *indices, configuration=None):
    return Side(name, pd.concat(indices, ignore_index=True), configuration)


def test_difference_is_of_runs_of_the_same_seed_whatever_seeds_vary():
    noise = np.array([0.1, 0.5, 0.2, 0.4, 0.3, 0.25])
    table = compare(side("a", index(noise)), side("b", index(noise + 0.01)))
    row = table[table["seed"].isna() & (table["quantity"] == "final_return")].iloc[0]
    assert row["difference"] == pytest.approx(0.01)
    assert row["difference_low"] == pytest.approx(0.01), "no interval of seeds, which cancel"
    assert (row["pairs"], row["above"]) == (6, 6)


def test_seeds_of_one_side_alone_and_failed_runs_are_no_pairs():
    ours, theirs = index([0.1, 0.2, 0.3]), index([0.3, 0.4, 0.5], first_seed=1)
    theirs.loc[theirs["seed"] == 2, "status"] = "failed"
    table = compare(side("a", ours), side("b", theirs))
    assert set(table["seed"].dropna()) == {1}
    row = table.iloc[0]
    assert row["pairs"] == 1 and np.isnan(row["difference_low"]), "too few for an interval"
    assert row["difference"] == pytest.approx(0.3 - 0.2)


def test_the_worst_agent_is_compared_where_there_is_one():
    ours, theirs = (
        index([0.1, 0.2], final_return_worst=worst) for worst in ([0.05, 0.1], [0.08, 0.15])
    )
    table = compare(side("a", ours), side("b", theirs))
    row = table[table["quantity"] == "final_return_worst"].iloc[0]
    assert row["difference"] == pytest.approx(0.04) and row["above"] == 2
    for nobody in (theirs.assign(final_return_worst=np.nan), index([0.1, 0.2])):
        table = compare(side("a", ours), side("b", nobody))
        assert list(table["quantity"].unique()) == ["final_return", "final_mean_speed", "megabytes"]
    assert "of the worst agent" not in markdown(table)


def test_studies_are_compared_in_the_configurations_of_both_and_configurations_with_each_other():
    a = side("a", index([0.1], "rsm"), index([0.2], "fmarl"), index([0.2], "average"))
    b = side("b", index([0.1], "fmarl"), index([0.2], "rsm"))
    assert list(compare(a, b)["second"].drop_duplicates()) == ["b::rsm", "b::fmarl"]
    table = compare(a._replace(configuration="fmarl"), a._replace(configuration="rsm"))
    assert table[["first", "second"]].drop_duplicates().values.tolist() == [["a::fmarl", "a::rsm"]]
    assert table.iloc[0]["difference"] == pytest.approx(0.1 - 0.2)


def test_what_cannot_be_compared_is_told_in_one_line():
    a, b = side("a", index([0.1], "rsm")), side("b", index([0.1], "fmarl"))
    with pytest.raises(ConfigError, match="a and b have nothing in common"):
        compare(a, b)
    with pytest.raises(ConfigError, match="STUDY::CONFIGURATION on both sides"):
        compare(a, b._replace(configuration="fmarl"))


def test_table_of_a_committed_study_is_enough(tmp_path):
    path = tmp_path / "runs.csv"
    index([0.1, 0.2]).drop(columns="megabytes").to_csv(path, index=False)
    found = side_of_table("a", path, "rsm")
    assert compare(found, found).iloc[0]["difference"] == 0
    with pytest.raises(ConfigError, match="'x' is not allowed: study a has the configurations rsm"):
        side_of_table("a", path, "x")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="no table of runs"):
        side_of_table("a", path, None)


def test_comparison_is_a_table_and_a_figure_of_the_same_numbers(tmp_path):
    a = side("a", index([0.1] * 5), index([0.2] * 5, "fmarl"))
    b = side("b", index([0.15] * 5), index([0.3] * 5, "fmarl"))
    paths = write_comparison(a, b, tmp_path)
    assert [path.name for path in paths] == [f"comparison.{x}" for x in ("csv", "md", "pdf", "png")]
    text = markdown(pd.read_csv(paths[0]))
    assert text == paths[1].read_text() and "0.0500 [0.0500, 0.0500]" in text and "5 of 5" in text


def test_runs_of_two_kinds_of_device_are_told_apart(tmp_path):
    cpu, cuda = ({"method": "rsm", "device": kind} for kind in ("cpu", "cuda"))
    ours = side("a", index([0.1] * 5, **cpu))
    assert "kinds of device" not in write_comparison(ours, ours, tmp_path)[1].read_text()
    theirs = side("b", index([0.2] * 5, **cuda), index([0.2] * 5, "go", method="go", device="cpu"))
    text = write_comparison(ours, theirs, tmp_path)[1].read_text()
    assert "on different kinds of device (cpu, cuda)" in text


def test_device_of_a_committed_study_is_that_of_its_manifests(tmp_path):
    table = index([0.1] * 2, run_id=["rsm-seed0", "rsm-seed1"])
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert (
        list(side_of_table("a", tmp_path / "runs.csv", None).runs["device"].fillna("")) == [""] * 2
    )
    manifests = '{"run_id": "rsm-seed1", "device": "cuda:0"}\n{"run_id": "x", "device": null}\n'
    (tmp_path / "manifests.jsonl").write_text(manifests)
    assert list(side_of_table("a", tmp_path / "runs.csv", None).runs["device"]) == ["", "cuda"]
