import numpy as np
import pytest

from rsm.analysis.labels import identity, labels
from rsm.config.catalogue import METHODS, parse_topology
from rsm.config.run import parse_run
from rsm.config.study import parse_study
from rsm.exchange.topology import neighbourhood


def test_method_that_exchanges_nothing_does_not_multiply_by_what_is_exchanged(monkeypatch):
    grid = {"methods": ["average"], "share": ["actor", "actor+critic"], "loss_rates": [0.0, 0.1]}
    study = parse_study({"name": "a", "description": "", "seeds": [0], "grid": grid}, "study")
    assert len(study.runs()) == 4
    monkeypatch.setitem(METHODS.own, "average", METHODS["average"]._replace(exchanges=False))
    runs = study.runs()
    assert list(runs) == ["average-radius90-seed0"]
    assert set(labels(runs.values()).values()) == {"average"}
    assert identity(runs["average-radius90-seed0"], "average", None)["share"] is None


def test_small_world_has_as_many_neighbours_as_it_says():
    assert parse_topology("small-world:2:0.1").parameters == (2, 0.1)
    with pytest.raises(ValueError, match="even number"):
        parse_topology("small-world:3:0.1")


def test_a_valid_topology_can_be_built():
    for topology in (
        "radius:90",
        "complete",
        "ring",
        "star",
        "regular:4",
        "small-world:4:0.1",
        "random:3",
    ):
        parse_run({"communication": {"topology": topology}}, "run.yaml")
        neighbourhood(topology, 9, np.random.default_rng(0))
