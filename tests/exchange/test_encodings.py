"""Fewer bytes: what encodings keep of the parameters, and what a decoder takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsm.config.run import parse_run
from rsm.config.study import parse_study
from rsm.errors import ConfigError
from rsm.exchange.encodings import (
    HALF_MAX,
    amount,
    from_float16,
    from_int8,
    from_topk,
    largest,
    to_float16,
    to_int8,
    to_topk,
    topk_is_shorter,
)

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SEGMENTS = hnp.arrays(np.float32, st.integers(1, 60), elements=FINITE)
STRANGE = (np.nan, np.inf, -np.inf)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@given(SEGMENTS)
def test_float16_is_within_its_rounding_and_never_infinite(values):
    back = from_float16(to_float16(values), len(values))
    bound = np.maximum(np.abs(values) * 2**-11, 2**-25)
    cut = np.clip(values, -HALF_MAX, HALF_MAX)
    assert (np.abs(back - cut) <= bound).all()


@given(SEGMENTS)
def test_int8_is_within_one_step_and_keeps_zeros_and_signs(values):
    payload = to_int8(values, generator())
    back = from_int8(payload, len(values))
    assert payload.nbytes == 4 + len(values) and np.isfinite(back).all()
    peak = float(np.abs(values).max())
    step = max(peak / 127 * 1.01, 2e-43)  # below, floats themselves are as coarse
    assert (np.abs(back.astype(float) - values) <= step * (1 + 2 * (peak > 3e38))).all()
    assert (back[values == 0] == 0).all() and (np.sign(back) * np.sign(values) >= 0).all()


def test_rounding_of_int8_has_the_right_mean_and_is_decided_by_the_generator():
    values = np.linspace(-1, 1, 9, dtype=np.float32) * np.float32(0.3)
    draw = generator()
    decoded = [from_int8(to_int8(values, draw), 9) for _ in range(4000)]
    assert np.abs(np.mean(decoded, axis=0) - values).max() < 4 * 0.3 / 127 / 2 / 4000**0.5
    assert (to_int8(values, generator()) == to_int8(values, generator())).all()


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_not_finite_does_not_become_so(strange):
    values = np.array([1.0, strange, 3.0, 70_000.0], dtype=np.float32)
    half = from_float16(to_float16(values), 4)
    assert not np.isfinite(half[1]) and half[3] == HALF_MAX
    assert from_int8(to_int8(values, generator()), 4) is None
    payload, _ = to_topk(np.repeat(values, 4), np.zeros(16, np.float32), 5, 0.25)
    assert not np.isfinite(from_topk(payload, np.zeros(16, np.float32), 5, 0.25)).all()


@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)), st.integers(1, 60))
def test_largest_are_the_first_of_the_largest_magnitudes(values, count):
    count = min(count, len(values))
    keys = [(not np.isnan(v), -abs(v) if v == v else 0, i) for i, v in enumerate(values)]
    expected = sorted(i for *_, i in sorted(keys)[:count])
    assert largest(values, count).tolist() == expected


def test_topk_sets_the_farthest_and_sends_the_rest_later():
    """Nothing is lost for good: what is not sent stays in the difference until it is the largest."""
    draw = generator()
    values, held = draw.normal(size=(2, 100)).astype(np.float32)
    for sent in range(1, 11):
        payload, changed = to_topk(values, held, sent, 0.1)
        held = from_topk(payload, held, sent, 0.1)
        assert payload.nbytes == 4 + 10 * (2 + 4)
        assert (held == changed).all() and (held == values).sum() == 10 * sent


def test_places_of_long_segments_take_four_bytes():
    values, held = np.zeros((2, 70_000), dtype=np.float32)
    values[65_999] = 1
    payload, _ = to_topk(values, held, 1, 1e-4)
    assert payload.nbytes == 4 + 7 * 8
    assert from_topk(payload, held, 1, 1e-4)[65_999] == 1


def test_segment_of_a_few_parameters_is_sent_whole():
    assert amount(3, 0.01) == 1 and not topk_is_shorter(2, 0.01) and topk_is_shorter(10, 0.1)


HELD = np.zeros(40, dtype=np.float32)
TOPK, _ = to_topk(np.arange(40, dtype=np.float32), HELD, 3, 0.1)
INT8 = to_int8(np.ones(40, dtype=np.float32), generator())


def changed(payload: np.ndarray, at: int, raw: bytes) -> np.ndarray:
    copy = payload.copy()
    copy[at : at + len(raw)] = np.frombuffer(raw, payload.dtype)
    return copy


@pytest.mark.parametrize(
    "payload",
    [
        TOPK[:-1],
        np.append(TOPK, TOPK[:6]),
        TOPK.view(np.int8),
        changed(TOPK, 0, b"\4"),  # another version
        changed(TOPK, 4 + 3 * 2, b"\x28\0"),  # the 40th of 40 places
        changed(TOPK, 4, b"\x27\0"),  # out of order
        changed(TOPK, 4, TOPK[6:8].tobytes()),  # twice
    ],
)
def test_malformed_topk_is_refused(payload):
    assert from_topk(TOPK, HELD, 3, 0.1) is not None
    assert from_topk(payload, HELD, 3, 0.1) is None


@pytest.mark.parametrize(
    "payload",
    [
        INT8[:-1],
        INT8.view(np.uint8),
        *(
            changed(INT8, 0, np.float32(scale).tobytes())
            for scale in (*STRANGE, -1, np.finfo(np.float32).max)
        ),
    ],
)
def test_malformed_int8_is_refused(payload):
    assert from_int8(INT8, 40) is not None
    assert from_int8(payload, 40) is None


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("int4", r"allowed: float32, float16, int8, topk:<share>"),
        ("int8:2", r"allowed: float32"),
        ("topk", r"allowed: float32"),
        ("topk:0", r"above 0 and at most 0.5"),
        ("topk:0.6", r"above 0 and at most 0.5"),
        ("topk:0.1:2", r"allowed: float32"),
    ],
)
def test_encoding_that_cannot_be_is_refused_in_one_line(encoding, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse_run({"communication": {"encoding": encoding}}, "run.yaml")
    assert "\n" not in str(caught.value) and "communication.encoding" in str(caught.value)


def test_attackers_of_a_server_are_refused_with_topk():
    settings = {"method": "fmarl", "attack": {"agents": 1}}
    parse_run(settings | {"communication": {"encoding": "int8"}}, "run.yaml")
    with pytest.raises(ConfigError, match=r"communication.encoding: 'topk:0.1' .* attack.agents 0"):
        parse_run(settings | {"communication": {"encoding": "topk:0.1"}}, "run.yaml")


def test_encodings_are_an_axis_of_a_grid_and_float32_is_left_out_of_names():
    grid = {"methods": ["fmarl", "independent"], "encodings": ["float32", "int8", "topk:0.05"]}
    study = parse_study({"name": "a", "description": "", "seeds": [0], "grid": grid}, "study")
    expected = ["fmarl-seed0", "fmarl-int8-seed0", "fmarl-topk0.05-seed0", "independent-seed0"]
    assert list(study.runs()) == expected
    assert len({config.settings_hash for config in study.runs().values()}) == 4
