import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm.errors import ConfigError
from rsm.exchange.segments import segment_slices


@given(st.integers(1, 5000).flatmap(lambda d: st.tuples(st.just(d), st.integers(1, d))))
def test_split_then_join_is_identity_and_slices_are_near_equal(case):
    length, segments = case
    vector = np.arange(length)
    parts = [vector[part] for part in segment_slices(length, segments)]
    assert len(parts) == segments
    assert (np.concatenate(parts) == vector).all()
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("segments", [0, -1, 11])
def test_impossible_number_of_segments_is_refused(segments):
    with pytest.raises(ConfigError, match=rf"communication.segments: {segments} .* 1 to 10"):
        segment_slices(10, segments)
