"""The effect of each method on θ, and the bytes it transmits, against the table of methods."""

import itertools

import numpy as np
import pytest
import torch

from rsm import methods
from rsm.config.catalogue import METHODS
from rsm.exchange.frames import HEADER_SIZE
from rsm.mixing.rules import Verdict
from rsm.training.rounds import sequential_round

from ..rounds import Place, exchange_of, hold, place_of

AGENTS, LENGTH = 6, 40


def ring() -> np.ndarray:
    matrix = np.zeros((AGENTS, AGENTS), dtype=bool)
    for agent in range(AGENTS):
        matrix[agent, [(agent - 1) % AGENTS, (agent + 1) % AGENTS]] = True
    return matrix


COMPLETE = ~np.eye(AGENTS, dtype=bool)


def theta() -> torch.Tensor:
    return torch.randn(AGENTS, LENGTH, generator=torch.Generator().manual_seed(0))


def verdict(zeta: torch.Tensor) -> Verdict:
    filler = torch.ones(len(zeta))
    return Verdict(filler, filler, filler, filler, filler, zeta, zeta > 0, zeta < 0)


def half(current: torch.Tensor, referential: torch.Tensor) -> Verdict:
    return verdict(torch.full((len(current),), 0.5))


def world(neighbours=COMPLETE, judge=half, **changes) -> Place:
    return place_of(neighbours, judge, **changes)


@pytest.mark.parametrize(
    ("method", "thetas"),
    [
        ("independent", 0),
        ("average", 2 * AGENTS),  # Σ |Ωᵢ|: a ring has two neighbours each
        ("segment-average", 2 * AGENTS),  # Σ Kᵢ with Kᵢ = min(3, |Ωᵢ|) = 2
        ("fmarl", 2 * AGENTS),
        ("rsm", 2 * AGENTS),
    ],
)
def test_payload_is_that_of_the_table_of_methods(method, thetas):
    place = world(ring(), segments=4, replicas=3)
    hold(method, theta(), place)
    assert place.channel.ledger.total("payload_bytes") == thetas * LENGTH * 4


def test_every_method_of_the_registry_changes_no_shape_and_leaves_finite_values():
    for method in METHODS:
        parameters = theta()
        hold(method, parameters, world())
        assert parameters.shape == (AGENTS, LENGTH) and torch.isfinite(parameters).all()


def test_bytes_on_the_ledger_are_those_of_the_frames_sent(monkeypatch):
    for method in METHODS:
        place, lengths = world(loss_rate=0.2), []
        send = place.channel.send

        def counting(frame, sender, receiver, send=send, lengths=lengths):
            lengths.append(len(frame))
            send(frame, sender, receiver)

        monkeypatch.setattr(place.channel, "send", counting)
        hold(method, theta(), place)
        assert place.channel.ledger.bytes_sent == sum(lengths)
        assert place.channel.ledger.total("messages") == len(lengths)


@pytest.mark.parametrize("method", ["average", "fmarl"])
def test_averaging_over_all_gives_everybody_the_mean(method):
    parameters = theta()
    mean = parameters.mean(dim=0)
    hold(method, parameters, world())
    torch.testing.assert_close(parameters, mean.expand_as(parameters))


def test_averaging_on_a_regular_graph_keeps_the_mean():
    parameters = theta()
    mean = parameters.mean(dim=0)
    hold("average", parameters, world(ring()))
    torch.testing.assert_close(parameters.mean(dim=0), mean)
    assert not torch.allclose(parameters, mean.expand_as(parameters))


def test_neighbourhood_average_is_eq_1():
    parameters = theta()
    before = parameters.clone()
    hold("average", parameters, world(ring()))
    expected = (before[5] + before[0] + before[1]) / 3
    torch.testing.assert_close(parameters[0], expected)


def test_lost_upload_is_left_out_of_the_federated_mean_and_lost_download_keeps_own():
    parameters = theta()
    before = parameters.clone()
    place = world(loss_rate=0.3, seed=1)
    hold("fmarl", parameters, place)
    lost = place.channel.ledger.counts["lost"]
    up, down = lost[:AGENTS, AGENTS].astype(bool), lost[AGENTS, :AGENTS].astype(bool)
    assert up.any() and down.any()
    federated = before[torch.from_numpy(~up)].mean(dim=0)
    for agent in range(AGENTS):
        torch.testing.assert_close(parameters[agent], before[agent] if down[agent] else federated)


def test_segment_average_with_one_whole_neighbour_is_the_midpoint():
    parameters = theta()
    before = parameters.clone()
    pairs = np.zeros((AGENTS, AGENTS), dtype=bool)
    for agent in range(AGENTS):
        pairs[agent, agent ^ 1] = True
    hold("segment-average", parameters, world(pairs))
    torch.testing.assert_close(parameters[0], (before[0] + before[1]) / 2)


def test_agent_without_neighbours_is_left_alone():
    nobody = np.zeros((AGENTS, AGENTS), dtype=bool)
    for method in ("average", "segment-average", "rsm"):
        parameters = theta()
        rows = hold(method, parameters, world(nobody))
        assert torch.equal(parameters, theta()) and rows == []


def test_rejected_replicas_leave_the_parameters_untouched():
    parameters = theta()
    rows = hold(
        "rsm", parameters, world(judge=lambda current, referential: verdict(torch.zeros(AGENTS)))
    )
    assert torch.equal(parameters, theta())
    assert len(rows) == AGENTS * 3 and {row["outcome"] for row in rows} == {"rejected"}


def test_replicas_are_mixed_one_after_another():
    seen = []

    def judge(current, referential):
        seen.append((current.clone(), referential.clone()))
        return verdict(torch.full((AGENTS,), 0.25))

    parameters = theta()
    hold("rsm", parameters, world(judge=judge, replicas=3))
    assert len(seen) == 3
    for (current, referential), (following, _) in itertools.pairwise(seen):
        torch.testing.assert_close(following, 0.75 * current + 0.25 * referential)
    torch.testing.assert_close(parameters, 0.75 * seen[-1][0] + 0.25 * seen[-1][1])


def test_lost_segment_keeps_the_values_the_agent_has_by_then():
    seen = []

    def judge(current, referential):
        seen.append((current.clone(), referential.clone()))
        return verdict(torch.full((len(current),), 0.5))

    rows = hold("rsm", theta(), world(judge=judge, loss_rate=0.4, segments=4))
    lost = {(row["replica"], row["agent"]): row["lost_segments"] for row in rows}
    assert any(lost[2, agent] for agent in range(AGENTS))
    for agent in range(AGENTS):
        current, referential = seen[1]
        own = current[agent] == referential[agent]
        assert int(own.sum()) == lost[2, agent] * LENGTH // 4


def test_rounds_do_not_depend_on_the_order_of_agents():
    """Relabelling the agents relabels the result: messages carry the snapshot of the round's start."""
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    for method in ("average", "fmarl"):
        parameters, relabelled = theta(), theta()[order]
        hold(method, parameters, world(ring()))
        hold(method, relabelled, world(ring()[order][:, order]))
        torch.testing.assert_close(relabelled, parameters[order])


def test_sources_in_the_trace_are_distinct_neighbours():
    rows = hold("rsm", theta(), world(ring(), segments=4))
    for row in rows:
        neighbours = {(row["agent"] - 1) % AGENTS, (row["agent"] + 1) % AGENTS}
        assert set(row["sources"]) == neighbours and len(row["sources"]) == 2


def test_header_overhead_is_one_header_per_segment_and_one_per_request():
    place = world(segments=4, replicas=3)
    hold("rsm", theta(), place)
    ledger = place.channel.ledger
    assert ledger.total("header_bytes") == AGENTS * 3 * 4 * HEADER_SIZE
    assert ledger.total("request_bytes") == AGENTS * 3 * 4 * HEADER_SIZE


def test_agents_of_the_published_code_take_turns_on_live_parameters():
    """Who comes later receives what was mixed in the same round: agent 1 of a ring hears the new agent 0."""
    parameters, trace = theta(), []
    place = place_of(ring(), half, segments=1, replicas=1)
    after = sequential_round(parameters, methods.load("rsm"), True, exchange_of(place, trace))
    assert [row["agent"] for row in trace] == list(range(AGENTS))
    live = theta()
    for row in trace:
        [[peer], agent] = row["sources"], row["agent"]
        live[agent] = (live[agent] + live[peer]) / 2
    torch.testing.assert_close(after, live)
    assert torch.equal(parameters, theta())
    snapshot = theta()
    hold("rsm", snapshot, place_of(ring(), half, segments=1, replicas=1))
    assert not torch.allclose(after, snapshot)
