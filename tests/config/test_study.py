import json
import re

import jsonschema
import pytest
import yaml

from rsm.config.axes import AXES, setting
from rsm.config.grid import Grid
from rsm.config.loading import dump_yaml, parse_yaml
from rsm.config.study import Study, load_study, merge, parse_study, studies
from rsm.errors import ConfigError

BASE = {
    "name": "tiny",
    "description": "a test",
    "seeds": [0, 1],
    "grid": {
        "methods": ["independent", "average", "segment-average", "fmarl", "rsm", "human"],
        "topologies": ["radius:90", "ring"],
        "segments": [1, 4],
        "rules": ["theorem2", "trust-region"],
    },
    "run": {"training": {"episodes": 2}},
}


def test_methods_multiply_only_by_what_they_have():
    runs = parse_study(BASE, "tiny.yaml").runs()
    counts: dict[str, int] = {}
    for config in runs.values():
        counts[config.method] = counts.get(config.method, 0) + 1
    assert counts == {
        "independent": 2,
        "average": 4,
        "segment-average": 8,
        "fmarl": 2,
        "rsm": 16,
        "human": 2,
    }


def test_run_ids_are_those_of_the_settings_and_settings_are_shared():
    for run_id, config in parse_study(BASE, "tiny.yaml").runs().items():
        assert config.run_id == run_id
        assert config.training.episodes == 2


def test_share_multiplies_all_methods_that_exchange():
    study = parse_study(merge(BASE, {"grid": {"share": ["actor", "actor+critic"]}}), "tiny.yaml")
    runs = study.runs()
    assert "fmarl-actor+critic-seed0" in runs and "average-ring-actor+critic-seed1" in runs
    assert "independent-actor+critic-seed0" not in runs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": []}, ["tiny.yaml: seeds", "expands to nothing"]),
        ({"seeds": [1, 1]}, ["tiny.yaml: seeds", "once"]),
        ({"seeds": [0.5]}, ["tiny.yaml: seeds.0", "0.5"]),
        ({"grid": {"methods": []}}, ["grid.methods", "expands to nothing"]),
        ({"grid": {"methods": ["magic"]}}, ["grid.methods.0", "'magic'", "rsm"]),
        ({"grid": {"topologies": ["mesh"]}}, ["grid.topologies", "mesh", "radius:<metres>"]),
        ({"grid": {"segments": [0]}}, ["segments", "0"]),
        ({"grid": {"colour": ["red"]}}, ["tiny.yaml: grid.colour", "methods"]),
        ({"also": [{"methods": ["rsm"], "colour": 1}]}, ["tiny.yaml: also.0.colour", "topologies"]),
        ({"also": [{"methods": []}]}, ["tiny.yaml: also.0.methods", "expands to nothing"]),
        ({"name": "../up"}, ["tiny.yaml: name", "'../up'"]),
        ({"run": {"seed": 3}}, ["tiny.yaml: run.seed"]),
        ({"run": {"sac": {"tau": 0}}}, ["tiny.yaml: run.sac.tau", "0", "greater than 0"]),
        ({"sedes": [1]}, ["tiny.yaml: sedes", "seeds"]),
        (
            {"run": {"communication": {"topology": "ring"}}},
            ["tiny.yaml: run.communication.topology: 'ring'", "grid.topologies"],
        ),
        (
            {"run": {"communication": {"segments": 2}}},
            ["run.communication.segments: 2", "grid.segments"],
        ),
        (
            {"run": {"communication": {"replicas": 2}}},
            ["run.communication.replicas: 2", "grid.replicas"],
        ),
        (
            {"run": {"communication": {"share": "actor+critic"}}},
            ["run.communication.share: 'actor+critic'", "grid.share"],
        ),
        (
            {"run": {"communication": {"loss_rate": 0.1}}},
            ["run.communication.loss_rate: 0.1", "belongs to the grid: grid.loss_rates"],
        ),
        (
            {"run": {"mixing": {"rule": "fixed"}}},
            ["run.mixing.rule: 'fixed'", "grid.rules"],
        ),
    ],
)
def test_mistake_is_named_with_file_key_value_and_what_is_allowed(change, words):
    with pytest.raises(ConfigError) as caught:
        parse_study(merge(BASE, change), "tiny.yaml")
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_overrides_change_one_leaf():
    merged = merge(BASE, {"run": {"sac": {"tau": 0.5}}, "seeds": [7]})
    study = parse_study(merged, "tiny.yaml")
    assert study.seeds == (7,) and study.run.sac.tau == 0.5 and study.run.training.episodes == 2
    assert BASE["seeds"] == [0, 1]


def test_further_grids_add_their_rows_once():
    more = {"methods": ["rsm"], "topologies": ["ring", "star"], "segments": [4]}
    study = parse_study(merge(BASE, {"also": [more]}), "tiny.yaml")
    added = set(study.runs()) - set(parse_study(BASE, "tiny.yaml").runs())
    assert added == {"rsm-star-p4-k3-seed0", "rsm-star-p4-k3-seed1"}


def test_every_axis_has_a_key_of_the_grid_and_a_setting_of_a_run():
    others = {"methods", "seeds", "settings"}
    assert {axis.grid for axis in AXES} == set(Grid.model_fields) - others
    study = parse_study(BASE, "tiny.yaml")
    for axis in AXES:
        setting(study.run, axis.setting)


def test_any_setting_varies_by_its_dotted_key_and_names_the_run():
    grid = {"methods": ["average", "human"], "topologies": ["ring"], "sac.tau": [0.005, 0.02]}
    study = parse_study(BASE | {"grid": grid, "seeds": [0]}, "tiny.yaml")
    runs = study.runs()
    assert list(runs) == [
        "average-ring-tau0.005-seed0",
        "average-ring-tau0.02-seed0",
        "human-seed0",
    ]
    assert [runs[name].sac.tau for name in list(runs)[:2]] == [0.005, 0.02]


def test_setting_with_one_value_holds_for_its_grid_and_names_nothing():
    grid = {"methods": ["rsm"], "topologies": ["ring"], "published_code": [None]}
    more = {"methods": ["rsm"], "topologies": ["ring"], "published_code": ["aug"]}
    more |= {"sac.gradient_clip": [0.5], "seeds": [1]}
    runs = parse_study(BASE | {"grid": grid, "also": [more], "seeds": [0]}, "tiny.yaml").runs()
    assert {name: run.sac.gradient_clip for name, run in runs.items()} == {
        "rsm-ring-p4-k3-seed0": None,
        "rsm-code-aug-ring-p4-k3-seed1": 0.5,
    }


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("sac.speed", [1], ["grid.sac.speed", "not a setting of a run"]),
        ("sac", [1], ["unknown key", "sac"]),
        ("mixing.rule", ["fixed"], ["grid.mixing.rule", "grid.rules"]),
        ("sac.tau", 0.1, ["grid.sac.tau", "0.1", "a list of values"]),
        ("sac.tau", [0.1, 0.1], ["listed once"]),
        ("sac.tau", [7], ["sac.tau", "7", "less than or equal to 1"]),
    ],
)
def test_wrong_dotted_key_is_named(key, values, words):
    with pytest.raises(ConfigError) as raised:
        parse_study(merge(BASE, {"grid": {key: values}}), "tiny.yaml")
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("file", sorted(studies().glob("*.yaml")), ids=lambda file: file.stem)
def test_resolved_study_with_every_default_in_it_is_the_same_study(file):
    study = load_study(file)
    assert parse_study(parse_yaml(dump_yaml(study), "resolved"), "resolved") == study


EXTENDING = "name: own\ndescription: mine\n"


def extending(folder, text, name="own"):
    file = folder / f"{name}.yaml"
    file.write_text(EXTENDING + text, encoding="utf-8")
    return file


def test_study_that_extends_another_merges_mappings_and_replaces_lists(tmp_path):
    base = load_study(studies() / "quick.yaml")
    file = extending(
        tmp_path, "extends: quick\nseeds: [7]\ngrid: {methods: [rsm]}\nrun: {sac: {tau: 0.5}}\n"
    )
    study = load_study(file)
    assert (study.name, study.description, study.seeds) == ("own", "mine", (7,))
    assert study.grid.methods == ("rsm",)
    assert study.grid.segments == base.grid.segments and study.also == base.also
    assert study.run.sac == base.run.sac.model_copy(update={"tau": 0.5})
    assert "extends" not in dump_yaml(study)


def test_study_extends_a_file_beside_it_and_through_it_another(tmp_path):
    extending(tmp_path, "extends: ci\nseeds: [5]\n", "middle")
    file = extending(tmp_path, "extends: ./middle.yaml\nrun: {training: {episodes: 7}}\n")
    study = load_study(file, {"description": "on top"})
    assert study.seeds == (5,) and study.run.training.episodes == 7
    assert study.description == "on top"


def test_name_and_description_are_not_taken_over(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("name: own\nextends: quick\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.yaml: description: "):
        load_study(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: own.yaml\n", "extends: 'own.yaml' is not allowed: that study extends this one"),
        ("extends: other.yaml\n", "other.yaml: extends: './own.yaml' is not allowed"),
        (
            "extends: nope\n",
            "own.yaml: extends: study: 'nope' is not allowed: known studies: attack",
        ),
        ("extends: gone.yaml\n", "gone.yaml: cannot be read: No such file"),
        ("extends: [quick]\n", "own.yaml: extends: ['quick'] is not allowed: the name or the file"),
    ],
    ids=["itself", "circle", "unknown", "missing", "list"],
)
def test_what_cannot_be_extended_is_named(tmp_path, text, words):
    extending(tmp_path, "extends: ./own.yaml\n", "other")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_study(extending(tmp_path, text))


def test_schema_takes_a_study_that_extends_another(tmp_path):
    own = yaml.safe_load(EXTENDING + "grid: {segments: [2]}\n")
    schema = Study.model_json_schema()
    jsonschema.validate(own | {"extends": "quick"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(own, schema)


def written(folder, content, file="tiny.yaml"):
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_study_is_named_as_its_file_or_as_the_folder_of_its_results(tmp_path):
    copied = written(tmp_path, BASE, "mine.yaml")
    with pytest.raises(ConfigError, match=r"mine\.yaml: name: 'tiny' .* 'mine' is expected"):
        load_study(copied)
    with pytest.raises(ConfigError, match="'mine' is expected"):
        load_study(copied, {"seeds": [3]})
    assert load_study(copied, {"name": "mine"}).name == "mine"
    assert load_study(written(tmp_path, BASE, "tiny/study.yaml")).name == "tiny"


def test_study_with_overrides_has_a_name_of_its_own_unless_one_is_given(tmp_path):
    path = written(tmp_path, BASE)
    names = [load_study(path, change).name for change in ({"seeds": [3]}, {"seeds": [4]})]
    assert len({*names, "tiny"}) == 3
    assert all(re.fullmatch("tiny-[0-9a-f]{6}", name) for name in names)
    assert load_study(path, {"seeds": [3]}).name == names[0], "the same each time"
    for change in ({"seeds": [3], "name": "tiny"}, {"seeds": [0, 1]}, {"description": "other"}):
        assert load_study(path, change).name == "tiny"
    long = "x" * 40
    derived = load_study(written(tmp_path, BASE | {"name": long}, f"{long}.yaml"), {"seeds": [3]})
    assert len(derived.name) == 40 and parse_study(derived.model_dump(), "x") == derived


def test_mistake_of_an_override_names_the_option_and_not_the_file(tmp_path):
    path = written(tmp_path, BASE)
    wrong = {"run": {"sac": {"tau": 7}}}
    with pytest.raises(ConfigError, match=r"^--config: run\.sac\.tau: 7 "):
        load_study(path, wrong, "--config")
    broken = written(tmp_path, BASE | {"seeds": 3})
    with pytest.raises(ConfigError, match=r"tiny\.yaml: seeds: 3 .* a list is expected"):
        load_study(broken, wrong, "--config")
    assert load_study(broken, {"seeds": [3]}).seeds == (3,)


def test_world_is_a_word_where_it_is_not_that_of_the_study_and_agents_name_their_section():
    fleet = {"traffic": {"scenario": "fleet-figure-eight:9"}, "slow": {"agents": 4}}
    grid = {"methods": ["average", "go"], "topologies": ["ring"]}
    also = [
        grid | {"slow.agents": [4], "sac.tau": [0.5]},  # as the study has it
        grid | {"slow.agents": [0], "restarts.agents": [2], "traffic.scenario": ["mixed-fleet:9"]},
        grid | {"attack.agents": [1, 2], "attack.kind": ["alie"]},
    ]
    content = {"name": "s", "description": "", "seeds": [0], "run": fleet, "grid": also[0]}
    runs = parse_study(content | {"also": also[1:]}, "s").runs()
    assert list(runs) == [
        "average-ring-seed0",
        "go-seed0",
        "average-ring-slow0-restarts2-scenariomixed-fleet-9-seed0",
        "average-ring-attack1-kindalie-seed0",
        "average-ring-attack2-kindalie-seed0",
    ]
