import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsm.exchange.frames import (
    HEADER_SIZE,
    NO_VALUES,
    REQUEST,
    SEGMENT,
    Frame,
    FrameError,
    decode,
    encode,
)

FRAME = Frame(SEGMENT, 2**48 - 1, 7, 3, 5, 2, 1, 4, np.arange(6, dtype=np.float32))


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64]), st.integers(0, 50)),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 255),
)
def test_decoding_gives_what_was_encoded(values, run, round_, node, replica):
    frame = Frame(SEGMENT, run, round_, node, node, replica, node, node, values)
    back = decode(encode(frame))
    assert back[:-1] == frame[:-1]
    assert back.values.dtype == values.dtype
    assert back.values.tobytes() == values.tobytes()


def test_length_on_the_wire_is_header_and_payload():
    assert len(encode(FRAME)) == HEADER_SIZE + 6 * 4
    assert len(encode(FRAME._replace(kind=REQUEST, values=NO_VALUES))) == HEADER_SIZE


@given(st.integers(0, HEADER_SIZE + 23), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position, change):
    data = bytearray(encode(FRAME))
    data[position] ^= change
    with pytest.raises(FrameError):
        decode(bytes(data))


@given(st.integers(0, HEADER_SIZE + 23))
def test_a_truncated_frame_is_noticed(length):
    with pytest.raises(FrameError):
        decode(encode(FRAME)[:length])


@given(st.binary(max_size=200))
def test_no_other_exception_escapes_the_decoder(data):
    with pytest.raises(FrameError):
        decode(data)
