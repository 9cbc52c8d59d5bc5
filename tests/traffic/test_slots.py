"""Slots of an open road, and who is around a vehicle there; no SUMO."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm.traffic.observation import gap_observation
from rsm.traffic.rewards import short_headways
from rsm.traffic.slots import Queue
from rsm.traffic.surroundings import NOBODY, Near, on_open_roads

WAYS = {"highway": 1, "ramp": 2, ":ramp_junction": 3, ":junction": 3, "after": 3}


def around(*vehicles: tuple[str, float], of: int) -> Near:
    lanes, positions = [lane for lane, _ in vehicles], [place for _, place in vehicles]
    return on_open_roads(WAYS, [of], positions, lanes, [5.0] * len(lanes))[0]


def test_vehicle_of_the_other_approach_is_nobody_until_it_is_in_the_junction() -> None:
    beside = around(("highway", 100.0), ("ramp", 150.0), ("after", 220.0), of=0)
    assert (beside.ahead, beside.gap, beside.behind) == (2, 115.0, -1)
    merging = around(("highway", 100.0), (":ramp_junction", 190.0), ("after", 220.0), of=0)
    assert (merging.ahead, merging.gap) == (1, 85.0)


def test_next_one_back_of_whoever_has_merged_is_of_either_approach() -> None:
    found = around(("ramp", 180.0), ("highway", 150.0), ("after", 220.0), of=2)
    assert (found.ahead, found.behind, found.gap_behind) == (-1, 0, 35.0)


def test_who_is_away_is_nobodys_neighbour_and_has_none() -> None:
    assert around(("highway", 10.0), ("", 20.0), ("after", 220.0), of=0).ahead == 2
    assert around(("highway", 10.0), ("", 20.0), of=1) == NOBODY


def test_gaps_without_leader_or_follower_are_the_road_and_an_empty_slot_sees_zeros() -> None:
    near = [NOBODY, Near(2, 30.0, 0, 12.0), NOBODY]
    seen = gap_observation([0, 1, -1], near, [9.0, 15.0, 6.0], length=100.0, limit=30.0)
    expected = [
        [0.3, 0.7, 1.0, 0.3, 1.0],  # as if a leader drove 30 m/s, and nobody stood behind
        [0.5, -0.3, 0.3, 0.2, 0.12],
        [0.0] * 5,
    ]
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_headways_below_a_second_cost_what_is_missing_and_standing_costs_nothing() -> None:
    assert short_headways([10.0, 10.0, 10.0, 0.0], [4.0, 20.0, -1.0, 0.0]) == pytest.approx(1.6)


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("hr"), max_size=4), st.sets(st.integers(0, 30))),
        max_size=25,
    )
)
def test_vehicle_keeps_its_slot_until_it_leaves_and_the_longest_waiting_takes_the_lowest(
    history: list[tuple[list[str], set[int]]],
) -> None:
    queue, road, entered, held = Queue(3), dict[str, int](), 0, dict[str, int]()
    for coming, leaving in history:
        road = {name: number for name, number in road.items() if number not in leaving}
        for kind in coming:
            road[f"{kind}-0.{entered}"] = entered
            entered += 1
        queue.arrange(dict.fromkeys(road, 0), list(road.values()), entered)
        holders = [name for name in queue.holders if name is not None]
        assert len(set(holders)) == len(holders) and set(holders) <= set(road)
        waiting = [name for name in road if name[0] == "r" and name not in holders]
        assert not waiting or len(holders) == 3, "nobody waits before an empty slot"
        now = {name: slot for slot, name in enumerate(queue.holders) if name is not None}
        assert all(now[name] == slot for name, slot in held.items() if name in road)
        new = [name for name in now if name not in held]
        assert all(road[name] < road[other] for name in new for other in waiting)
        assert sorted(new, key=now.__getitem__) == sorted(new, key=road.__getitem__)
        held = now
