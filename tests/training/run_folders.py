"""Comparing run folders; not a test itself."""

import json

import pandas as pd

from rsm.runs.schema import TABLES
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
from rsm.training.run import train

TIMES = {"manifest.json", "summary.json", "episodes.parquet"}


def tables(folder):
    """The tables of a run folder, times left out."""
    return {
        name: pd.read_parquet(folder / f"{name}.parquet").drop(columns="wall_s", errors="ignore")
        for name in TABLES
    }


def assert_same_run(one, other):
    for name, table in tables(one).items():
        pd.testing.assert_frame_equal(table, tables(other)[name], check_exact=True)
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - TIMES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "summary.json").read_text()) for folder in (one, other))
    assert ours | {"wall_s": 0} == theirs | {"wall_s": 0}


def assert_resumes_to_the_same_bits(config, folder):
    """Compare a whole run in `folder/whole` with one resumed after its first episode in `folder/again`."""
    content = train(config, folder / "whole")
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.train_episode()
        (folder / "again").mkdir()
        run.save(folder / "again")
    train(config, folder / "again")
    assert_same_run(folder / "whole", folder / "again")
    return content
