"""Aggregators that tolerate faulty neighbours: worked examples and the properties proved in their papers."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rsm.config.catalogue import METHODS
from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training

from ..rounds import hold, place_of
from .test_methods import AGENTS, COMPLETE, half, ring, theta

BYZFL = json.loads(Path(__file__).with_name("byzfl_reference.json").read_text())["cases"]
RESILIENT = [name for name, traits in METHODS.items() if traits.resilient]


def after(method, parameters, neighbours=COMPLETE, **settings):
    mixed = parameters.clone()
    hold(method, mixed, place_of(neighbours, half, **settings))
    return mixed


def lines(*values: float) -> torch.Tensor:
    """Agent i has the same value everywhere."""
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1).repeat(1, 4)


def test_trimmed_mean_leaves_out_the_largest_and_the_smallest():
    mixed = after("trimmed-mean", lines(1, 2, 3, 4, 1000, -1000), byzantine=1)
    torch.testing.assert_close(mixed, lines(*[2.5] * 6))


def test_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle():
    mixed = after("median", lines(1, 2, 3, 5, 1000, -1000), byzantine=2)
    torch.testing.assert_close(mixed, lines(*[2.5] * 6))


def test_krum_takes_the_vector_with_the_nearest_others():
    # n = 6, f = 1: the 3 nearest others. Scores of 0, 1, 2, 3, 9, 20 are, over four parameters alike,
    # 1 + 4 + 9 = 14; 1 + 1 + 4 = 6; 1 + 1 + 4 = 6; 1 + 4 + 9 = 14; larger; larger. The first of 6 is 1.
    krum = importlib.import_module("rsm.methods.krum")
    values = lines(0, 1, 2, 3, 9, 20)
    torch.testing.assert_close(krum.scores(values, 1)[:4], 4 * torch.tensor([14.0, 6.0, 6.0, 14.0]))
    for row in after("krum", values, byzantine=1):
        assert row.tolist() in ([1.0] * 4, [2.0] * 4)


def test_multi_krum_averages_the_best_n_minus_f():
    mixed = after("multi-krum", lines(0, 1, 2, 3, 4, 500), byzantine=1)
    torch.testing.assert_close(mixed, lines(*[2.0] * 6))


def test_clipped_gossip_moves_no_farther_than_the_radius_toward_anybody():
    # Distances from 0 in 4 parameters: 2, 4, 6, 8 and 2000; the median is 6, so 8 and 2000 count as 6.
    mixed = after("clipped-gossip", lines(0, 1, 2, 3, 4, 1000), clip=1.0)
    torch.testing.assert_close(mixed[0], torch.full((4,), (1 + 2 + 3 + 3 + 3) / 6))


def everybody(agents: int) -> np.ndarray:
    return ~np.eye(agents, dtype=bool)


@pytest.mark.parametrize("method", ["trimmed-mean", "median", "krum", "clipped-gossip"])
@pytest.mark.parametrize("case", BYZFL, ids=lambda case: f"{len(case['values'])} agents")
def test_aggregate_is_that_of_byzfl(case, method):
    """Krum's score has one term fewer here, which byzfl_reference.py makes up for."""
    values = torch.tensor(case["values"])
    mixed = after(method, values, everybody(len(values)), byzantine=case["byzantine"])
    expected = torch.tensor(case[method]).expand_as(mixed)
    torch.testing.assert_close(mixed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", BYZFL, ids=lambda case: f"{len(case['values'])} agents")
def test_multi_krum_adds_one_of_the_vectors_to_what_byzfl_takes(case):
    """byzfl averages the best n − f − 1 by the same scores, ours the best n − f (Blanchard et al. 2017)."""
    values, byzantine = torch.tensor(case["values"]), case["byzantine"]
    kept = len(values) - byzantine
    mixed = after("multi-krum", values, everybody(len(values)), byzantine=byzantine)
    added = kept * mixed - (kept - 1) * torch.tensor(case["multi-krum of one fewer"])
    for row in added:
        assert float((values - row).abs().amax(dim=1).min()) < 1e-5


@pytest.mark.parametrize("method", RESILIENT)
def test_equal_parameters_stay_as_they_are(method):
    parameters = theta()[:1].repeat(AGENTS, 1)
    torch.testing.assert_close(after(method, parameters, byzantine=1), parameters)


@pytest.mark.parametrize("method", [name for name in RESILIENT if name != "clipped-gossip"])
@pytest.mark.parametrize("attack", [-1.0, 1e6, 0.0])
def test_outvoted_neighbour_leaves_the_result_among_the_honest_values(method, attack):
    if "krum" in method and attack == 0:
        return  # Krum takes a vector in the middle of all others for a good one
    parameters = theta()
    parameters[5] *= attack
    mixed = after(method, parameters, byzantine=1)
    honest = parameters[:5]
    assert (mixed[:5] >= honest.min(dim=0).values - 1e-6).all()
    assert (mixed[:5] <= honest.max(dim=0).values + 1e-6).all()


@pytest.mark.parametrize("method", RESILIENT)
def test_numbering_of_the_agents_does_not_matter(method):
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    plain = after(method, theta(), byzantine=1)
    relabelled = after(method, theta()[order], byzantine=1)
    torch.testing.assert_close(relabelled, plain[order])


@pytest.mark.parametrize("method", RESILIENT)
def test_who_hears_too_few_keeps_its_own(method):
    alone = np.zeros((AGENTS, AGENTS), dtype=bool)
    assert torch.equal(after(method, theta(), alone), theta())
    if method != "clipped-gossip":
        assert torch.equal(after(method, theta(), ring(), byzantine=2), theta())


@pytest.mark.parametrize(
    ("method", "topology", "byzantine"), [("krum", "ring", 1), ("trimmed-mean", "ring", 2)]
)
def test_neighbourhood_too_small_to_outvote_anybody_is_refused(method, topology, byzantine, tiny):
    communication = {"topology": topology, "byzantine": byzantine}
    config = tiny(method=method, communication=communication)
    with TrafficEnv(config.traffic) as env, pytest.raises(ConfigError) as raised:
        Training(config, env)
    for word in ("communication.byzantine", str(byzantine), method, "ring", "3 values"):
        assert word in str(raised.value)
