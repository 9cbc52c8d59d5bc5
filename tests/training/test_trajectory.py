import json

import pandas as pd
import pytest

from rsm.errors import ConfigError
from rsm.runs.schema import TRAJECTORY, TRAJECTORY_KEY
from rsm.seeding import held_out_seeds
from rsm.training.run import train
from rsm.training.trajectory import held_out_trajectory, last_exchange


@pytest.mark.parametrize("method", ["average", "fmarl", "independent"])
def test_last_exchange_of_a_run_holds_each_pair_once_with_the_bytes_both_ways(
    method, tiny, tmp_path
):
    folder = tmp_path / "run"
    train(tiny(method=method, communication={"topology": "ring"}), folder)
    links = last_exchange(str(folder))
    pairs = {tuple(sorted(pair)) for pair in links[:, :2].tolist()}
    expected = {
        "average": {tuple(sorted((agent, (agent + 1) % 9))) for agent in range(9)},
        "fmarl": {(-1, agent) for agent in range(9)},
        "independent": set(),
    }
    assert pairs == expected[method] and len(pairs) == len(links)
    rounds = pd.read_parquet(folder / "rounds.parquet")
    assert links[:, 2].sum() == rounds["bytes_sent"].tail(1).sum()


def test_link_has_the_largest_zeta_with_which_either_accepted_the_other_in_the_last_round(tmp_path):
    pairs = pd.DataFrame(
        {"sender": [0, 1, 2], "receiver": [1, 0, 0], "last_round_bytes": [8, 8, 8]}
    )
    pairs.to_parquet(tmp_path / "exchange.parquet")
    columns = ["round", "agent", "sources", "zeta", "outcome"]
    rows = [
        (1, 0, [2, 1], 0.9, "accepted"),  # an earlier round
        (2, 0, [1, 1], 0.2, "accepted"),
        (2, 1, [0, 2], 0.3, "accepted"),
        (2, 0, [2, 2], 0.0, "rejected"),
    ]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "zeta.parquet")
    assert last_exchange(str(tmp_path)).tolist() == [[0, 1, 16, 0.3], [0, 2, 8, 0.0]]


def test_no_exchange_is_known_of_a_control_and_of_an_older_run(tmp_path):
    assert last_exchange("human").shape == (0, 4)
    older = pd.DataFrame({"sender": [0], "receiver": [1], "payload_bytes": [8]})
    older.to_parquet(tmp_path / "exchange.parquet")
    assert last_exchange(str(tmp_path)).shape == (0, 4)
    (tmp_path / "exchange.parquet").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=r"exchange\.parquet: cannot be read"):
        last_exchange(str(tmp_path))


@pytest.mark.parametrize("method", ["rsm", "human"])
def test_trajectory_of_a_run_is_its_held_out_episode_every_second(method, tiny, tmp_path):
    config = tiny(method=method, seed=3, evaluation={"episodes": 1, "control_episodes": 1})
    summary = train(config, tmp_path / "run")
    table = held_out_trajectory(tmp_path / "run")
    assert set(table.column_names) == set(TRAJECTORY)
    about = json.loads(table.schema.metadata[TRAJECTORY_KEY])
    assert about["settings_hash"] == config.settings_hash
    assert about["eval_seed"] == held_out_seeds(3, 1)[0]
    assert about["mean_speed"] == summary["final_mean_speed"]
    frame = table.to_pandas()
    assert (frame.groupby("time").size() == 14).all()
    assert set(frame["time"].diff().dropna().round(6)) <= {0.0, 1.0}
    assert frame["position"].between(0, about["period"]).all()
    assert frame.groupby("vehicle")["learner"].first().sum() == 9
    assert held_out_trajectory(tmp_path / "run").equals(table)


def test_trajectory_of_a_failed_run_is_empty_and_of_an_unfinished_one_refused(tiny, tmp_path):
    config, folder = tiny(method="human"), tmp_path / "run"
    train(config, folder)
    content = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(content | {"status": "failed"}))
    assert len(held_out_trajectory(folder)) == 0
    (folder / "summary.json").unlink()
    with pytest.raises(ConfigError, match="no finished run"):
        held_out_trajectory(folder)
