import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rsm.config.loading import dump_yaml, parse_yaml
from rsm.config.run import load_run, parse_run
from rsm.errors import ConfigError


class Pair(BaseModel):
    number: float
    text: str


FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_unreadable_files_are_named(tmp_path):
    cases = {
        "list.yaml": b"- 1\n",
        "bad.yaml": b"a: [1\n",
        "latin.yaml": "a: é".encode("latin-1"),
        "tag.yaml": b"!!python/object:os.system {}\n",
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            load_run(path)
    with pytest.raises(ConfigError, match="none.yaml: cannot be read: No such file"):
        load_run(tmp_path / "none.yaml")


def test_windows_line_ends_are_fine(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"method: fmarl\r\nseed: 4\r\n")
    assert load_run(path).run_id == "fmarl-seed4"


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing yet", b"{}", b"null"])
def test_file_that_says_nothing_is_no_run(content, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"run\.yaml: it is empty: at least `method:` is required"
    ):
        load_run(path)


def test_plain_words_are_those_of_yaml_1_2():
    text = "[010, 0o17, 0x1F, -0, 1:30, 1_000, 0b11, yes, no, on, Off, y, 2020-01-01, =, true, ~, Null]"
    assert parse_yaml(f"a: {text}", "text")["a"] == [
        *(10, 15, 31, 0, "1:30", "1_000", "0b11", "yes", "no", "on", "Off", "y"),
        *("2020-01-01", "=", True, None, None),
    ]
    assert parse_yaml("<<: {a: 1}", "text") == {"<<": {"a": 1}}


@pytest.mark.slow
@given(st.from_regex(r"0o[0-7]{1,3}|[01]:[0-9]{2}|yes|on|<<|0x[0-9]|1_0|\.inf|~|=", fullmatch=True))
def test_text_that_some_reader_takes_for_something_else_is_quoted(text):
    written = dump_yaml(Pair(number=1.0, text=text))
    assert yaml.safe_load(written)["text"] == parse_yaml(written, "text")["text"] == text


@given(FINITE)
def test_float_is_a_float_however_it_was_written(number):
    texts = [
        json.dumps({"number": number}),
        Pair(number=number, text="").model_dump_json(),
        yaml.safe_dump({"number": number}),
        f"number: {number:.17g}",
        f"number: {number:.16e}",
    ]
    for text in texts:
        assert float(parse_yaml(text, "text")["number"]) == number
        assert not isinstance(parse_yaml(text, "text")["number"], str), text


@given(FINITE, st.from_regex(r"[-+.0-9_eE:]{1,8}", fullmatch=True))
def test_settings_written_as_yaml_are_read_as_they_were(number, text):
    pair = Pair(number=number, text=text)
    assert Pair.model_validate(parse_yaml(dump_yaml(pair), "text"), strict=True) == pair


def test_exponent_without_a_point_is_a_number_and_what_only_looks_like_one_is_not():
    text = "[3e-4, 1E6, 1.5e3, -.5, +1e+2, 12, '3e-4', e5, 1e, 3e-4x, 1e-5:2, rsm-p1-seed0, 1_e5]"
    assert parse_yaml(f"a: {text}", "text")["a"] == [
        *(3e-4, 1e6, 1.5e3, -0.5, 100.0, 12, "3e-4"),
        *("e5", "1e", "3e-4x", "1e-5:2", "rsm-p1-seed0", "1_e5"),
    ]


def test_settings_of_a_run_come_through_json_as_workflow_rules_pass_them():
    config = parse_run({"sac": {"actor_lr": 1e-6, "critic_lr": 4e-05}}, "run.yaml")
    assert parse_run(parse_yaml(config.model_dump_json(), "stdin"), "stdin") == config
