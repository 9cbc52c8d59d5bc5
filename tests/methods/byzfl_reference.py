"""Writes byzfl_reference.json: what the package byzfl makes of parameter vectors of ours.

byzfl asks for torchvision, and so for a torch of its own, which this project must not pull. So its answers
are kept as a file. Its aggregators alone need numpy, scipy and any torch. To make the file anew, in an
environment of its own that has these:

    pip install --no-deps byzfl==0.0.11 && python tests/methods/byzfl_reference.py

Where definitions differ: byzfl's Krum and Multi-Krum take the n − f − 1 nearest others of a vector, ours the
n − f − 2 of Blanchard et al. 2017. So byzfl is told of one liar more.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np

# The package without its own __init__, which imports a federated framework and torchvision.
_PACKAGE = types.ModuleType("byzfl")
_PACKAGE.__path__ = list(importlib.util.find_spec("byzfl").submodule_search_locations)
sys.modules["byzfl"] = _PACKAGE
byzfl = importlib.import_module("byzfl.aggregators")


def vectors(agents: int, length: int, liars: int, seed: int) -> np.ndarray:
    """Parameters `[n, D]`; those of the last agents are far off or turned round."""
    draw = np.random.default_rng(seed)
    values = draw.normal(0.0, 1.0, length) + 0.3 * draw.normal(size=(agents, length))
    for liar in range(agents - liars, agents):
        values[liar] *= -1.0 if liar % 2 else 10.0
    return values.round(3)


def clipped(values: np.ndarray, agent: int) -> list[float]:
    """Centered clipping about the agent's own vector; the radius is the median distance to the others."""
    gaps = np.linalg.norm(values - values[agent], axis=1)
    aggregator = byzfl.CenteredClipping(tau=float(np.median(np.delete(gaps, agent))))
    aggregator.m = values[agent]  # its constructor takes none
    with np.errstate(divide="ignore"):  # its own distance is 0
        return aggregator(values).tolist()


def case(agents: int, byzantine: int, seed: int) -> dict[str, object]:
    """One neighbourhood, and every aggregate of it."""
    values = vectors(agents, 5, byzantine, seed)
    return {
        "byzantine": byzantine,
        "values": values.tolist(),
        "trimmed-mean": byzfl.TrMean(byzantine)(values).tolist(),
        "median": byzfl.Median()(values).tolist(),
        "krum": byzfl.Krum(byzantine + 1)(values).tolist(),
        "multi-krum of one fewer": byzfl.MultiKrum(byzantine + 1)(values).tolist(),
        "clipped-gossip": [clipped(values, agent) for agent in range(agents)],
    }


if __name__ == "__main__":
    cases = [case(*shape) for shape in ((5, 1, 0), (6, 1, 1), (9, 2, 2), (9, 3, 3))]
    content = {"byzfl": metadata.version("byzfl"), "cases": cases}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(content, indent=1) + "\n")
