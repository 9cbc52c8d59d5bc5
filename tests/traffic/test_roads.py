"""The road is Flow's figure eight, measured in the network that netconvert built."""

import itertools
import math

import pytest

from rsm.traffic.roads.figure_eight import figure_eight, figure_eight_xml, start_places


def test_loop_is_421_94_metres_and_the_crossing_lanes_are_9_4() -> None:
    network = figure_eight(20.0)
    assert network.length == pytest.approx(421.94, abs=0.005)
    crossing = [length for lane, length in network.lengths.items() if lane.startswith(":center")]
    assert crossing == [9.4, 9.4]


def test_offsets_are_the_running_sum_of_the_lengths_in_driving_order() -> None:
    network = figure_eight(20.0)
    position = 0.0
    for lane, offset in network.offsets.items():
        assert offset == pytest.approx(position)
        position += network.lengths[lane]
    assert position == pytest.approx(network.length)
    ordinary = [lane.removesuffix("_0") for lane in network.offsets if not lane.startswith(":")]
    assert tuple(ordinary) == network.routes[0]


def test_shape_is_closed_and_four_arms_and_two_three_quarter_rings_long() -> None:
    # The loop itself is longer: Flow gives every arm its full 30 m besides the crossing.
    network = figure_eight(20.0)
    (points,) = network.shapes
    assert points[0] == points[-1]
    length = sum(
        ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        for (x1, y1), (x2, y2) in itertools.pairwise(points)
    )
    assert length == pytest.approx(4 * 30 + 2 * 1.5 * math.pi * 30, rel=0.005)


@pytest.mark.parametrize(
    ("position", "place"),
    [
        (0.0, ("bottom", 0.0)),
        (29.0, ("bottom", 29.0)),
        (35.0, ("top", 0.0)),  # inside the crossing: the beginning of the next edge
        (50.0, ("top", pytest.approx(10.6))),
        (421.9, ("bottom", 0.0)),
        (421.94 + 29.0, ("bottom", pytest.approx(29.0))),
    ],
)
def test_a_vehicle_is_never_placed_inside_a_junction(
    position: float, place: tuple[str, float]
) -> None:
    assert figure_eight(20.0).place(position) == place


def test_14_vehicles_start_where_flow_places_them_on_every_loop() -> None:
    network = figure_eight(20.0, loops=2)
    starts = start_places(network, [14, 14])
    first, second = starts[:14], starts[14:]
    edges = {edge: [along for name, along in first if name == edge] for edge in network.routes[0]}
    assert edges == {
        "bottom": [0.0],
        "top": [0.0, 28.77],
        "upper_ring": [27.25, 56.02, 84.79, 113.56],
        "right": [0.67, 29.44],
        "left": [22.01],
        "lower_ring": [20.49, 49.26, 78.03, 106.80],
    }
    assert [edge for edge, _ in first] == [edge for edge in edges for _ in edges[edge]]
    assert second == tuple((f"{edge}.1", along) for edge, along in first)


def test_other_numbers_of_vehicles_are_evenly_spread() -> None:
    network = figure_eight(20.0)
    starts = start_places(network, [10])
    at = [network.offsets[f"{edge}_0"] + along for edge, along in starts]
    even = [seat * network.length / 10 for seat in range(10)]
    # Who would start inside a junction starts behind it.
    assert all(-1e-6 <= place - wanted < 9.4 for place, wanted in zip(at, even, strict=True))


def test_the_limit_is_the_speed_of_every_edge_and_makes_another_network() -> None:
    slow, fast = figure_eight(20.0), figure_eight(30.0)
    assert slow.file != fast.file
    assert 'speed="30.00"' in fast.file.read_text()
    assert 'speed="20.00"' not in fast.file.read_text()


def test_the_stream_from_right_to_left_yields() -> None:
    edges = figure_eight_xml(20.0, 30.0, 40)["edge-files"]
    assert edges.count('priority="78"') == 2
    assert edges.count('priority="46"') == 2
