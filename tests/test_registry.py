import numpy as np

from rsm.comms.topology import neighbourhood
from rsm.config import parse_run
from rsm.registry import METHODS


def test_every_method_has_its_own_module():
    modules = [traits.module for traits in METHODS.values()]
    assert len(set(modules)) == len(modules)
    assert all(
        module == f"rsm.methods.{name.replace('-', '_')}"
        for name, module in zip(METHODS, modules, strict=True)
    )


def test_a_valid_topology_can_be_built():
    for topology in ("radius:90", "complete", "ring", "star", "regular:4", "small-world:4:0.1"):
        parse_run({"communication": {"topology": topology}}, "run.yaml")
        neighbourhood(topology, 9, np.random.default_rng(0))
