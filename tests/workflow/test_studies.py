"""The studies in workflow/studies and their schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from rsm.config.catalogue import CONTROL_OF_SLOTS, CONTROLS, METHODS
from rsm.config.run import RunSettings
from rsm.config.study import Study, load_study

# Methods that are neither the paper's nor its baselines run only in the studies that ask for them.
PAPER = [
    name for name, traits in METHODS.own.items() if traits.learner == "sac" and not traits.resilient
]
ON_LOOPS = [name for name in CONTROLS if not CONTROL_OF_SLOTS.get(name, False)]
ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "workflow/schemas/study.schema.json").read_text(encoding="utf-8"))
STUDIES = sorted((ROOT / "workflow/studies").glob("*.yaml"))


def test_schema_is_the_one_of_the_models() -> None:
    """Mend with: make schema."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    committed = {key: value for key, value in SCHEMA.items() if key != "$schema"}
    assert committed == Study.model_json_schema()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_meets_the_schema_and_is_named_as_its_file(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), SCHEMA)
    assert load_study(path).name == path.stem


@pytest.mark.parametrize(
    ("key", "value"),
    [("seeds", "all"), ("seed", [0]), ("run", {"sac": {"batch_size": 0}})],
    ids=["wrong type", "unknown key", "out of range"],
)
def test_schema_refuses_what_the_models_refuse(key: str, value: object) -> None:
    study = yaml.safe_load((ROOT / "workflow/studies/ci.yaml").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(study | {key: value}, SCHEMA)


def test_paper_is_the_published_setting_with_every_method_of_it_and_ten_seeds() -> None:
    study = load_study(ROOT / "workflow/studies/paper.yaml")
    assert study.run == RunSettings()
    assert set(study.grid.methods) == {*PAPER, *ON_LOOPS}
    assert "radius:90" in study.grid.topologies
    assert len(study.seeds) == 10


def test_quick_shows_every_method_control_and_axis_with_two_seeds() -> None:
    study = load_study(ROOT / "workflow/studies/quick.yaml")
    runs = study.runs().values()
    assert {run.method for run in runs} == {*PAPER, *ON_LOOPS}
    assert {run.seed for run in runs if run.learns} == set(study.seeds) and len(study.seeds) == 2
    mixed = [run for run in runs if run.method == "rsm"]
    assert {run.communication.segments for run in mixed} == {1, 4}
    assert len({run.communication.topology for run in mixed}) == 2
    assert len({run.mixing.rule for run in mixed}) == 2
