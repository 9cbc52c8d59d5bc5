import pytest

from rsm.config.overrides import device_name, given_text, study_overrides, wants_rebuild
from rsm.errors import ConfigError


@pytest.mark.parametrize(
    ("read", "given"), [(7, "007"), (1000.0, "1e3"), (2024, "2024"), (True, "True"), (10, "1_0")]
)
def test_name_that_looks_like_a_number_is_the_text_that_was_given(read, given):
    words = ["snakemake", "--config", "study=quick", f"name={given}"]
    assert study_overrides({"study": "quick", "name": read}, words) == {"name": given}
    assert given_text("study", {"study": read}, ["--config", f"study={given}"]) == given


def test_name_that_is_not_on_the_command_line_is_as_it_was_read():
    assert given_text("study", {"study": 2024}, []) == "2024"
    assert given_text("study", {}, [], "paper") == "paper"


def test_leaves_are_read_as_a_settings_file_reads_them():
    run = {"sac": {"tau": "1e-3", "hidden": ["8", "010"], "target_entropy": "null"}, "x": "1:30"}
    assert study_overrides({"run": run, "description": "007"}, []) == {
        "run": {"sac": {"tau": 1e-3, "hidden": [8, 10], "target_entropy": None}, "x": "1:30"},
        "description": "007",
    }


@pytest.mark.parametrize(
    ("value", "wanted"), [("true", True), (True, True), ("false", False), ("FALSE", False)]
)
def test_rebuild_is_true_or_false(value, wanted):
    assert wants_rebuild({"rebuild": value}) is wanted
    assert wants_rebuild({}) is False
    assert "rebuild" not in study_overrides({"rebuild": value}, [])


@pytest.mark.parametrize("value", ["yes", 1, "maybe", ["true"]])
def test_other_rebuild_is_refused(value):
    with pytest.raises(ConfigError, match="--config: rebuild: .* true or false"):
        wants_rebuild({"rebuild": value})


@pytest.mark.parametrize("value", ["cpu", "cuda", "cuda:0", "cuda:12"])
def test_device_is_a_name_of_one(value):
    assert device_name({"device": value}) == value
    assert device_name({}) == "cpu"
    assert study_overrides({"study": "ci", "device": value}, []) == {}


@pytest.mark.parametrize(
    "value", ["gpu", "CUDA", "cuda:", "cuda:1:2", "cuda:-1", "", 0, None, ["cpu"]]
)
def test_what_is_no_device_is_refused(value):
    with pytest.raises(ConfigError, match=r"^--config: device: .* cpu, cuda or cuda:NUMBER is exp"):
        device_name({"device": value})
