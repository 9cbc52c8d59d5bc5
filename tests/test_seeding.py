"""Streams of random numbers are independent."""

from rsm.seeding import Stream


def test_no_two_streams_share_a_number():
    members = Stream.__members__
    assert len({int(stream) for stream in members.values()}) == len(members)
