import json
import shutil

import pytest
import torch

from rsm.config.loading import dump_yaml
from rsm.config.run import load_run, policy_digest
from rsm.config.study import parse_study
from rsm.errors import ConfigError
from rsm.runs.folder import finished_summary
from rsm.runs.policy import load_policy
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import load_driver
from rsm.training.evaluation import agent_returns
from rsm.training.initial import initial_learner
from rsm.training.run import train

FLEET = {"scenario": "fleet-figure-eight:3"}
RING = {"topology": "ring"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Finished runs to take from: one in the published world, one in a fleet, a control."""
    from rsm.config.run import parse_run
    from rsm.config.study import merge

    from ..conftest import TINY

    folder = tmp_path_factory.mktemp("sources")
    for name, changes in (
        ("team", {"method": "independent"}),
        ("fleet", {"method": "independent", "traffic": FLEET}),
        ("control", {"method": "go"}),
        ("joint", {"method": "masac"}),
        ("shared", {"method": "shared-policy", "traffic": FLEET}),
    ):
        train(parse_run(merge(TINY, changes), name), folder / name)
    return folder


@pytest.fixture
def beginning(tiny):
    """The learner with which a run begins that takes from a folder."""

    def learner(folder, scenario="figure-eight-all", changes=None, **init_from):
        settings = {"method": "independent", "traffic": {"scenario": scenario}} | (changes or {})
        config = tiny(**settings, init_from={"run": str(folder), **init_from})
        with TrafficEnv(config.traffic) as env:
            return initial_learner(config, env)

    return learner


def test_every_driver_of_the_new_scenario_begins_with_one_agents_actor_and_critics(
    sources, beginning
):
    source = load_policy(sources / "team")
    assert not torch.equal(source["theta"][0], source["theta"][2])
    learner = beginning(sources / "team", agent=2)
    assert len(learner.theta) == 14
    for ours, theirs in ((learner.theta, "theta"), (learner.critics, "critics")):
        assert all(torch.equal(own, source[theirs][2]) for own in ours)
    assert torch.equal(learner.targets, learner.critics)
    assert torch.allclose(learner.alpha, torch.tensor(0.01))  # of the new run's settings


def test_default_is_agent_0_and_the_mean_is_over_agents(sources, beginning):
    source = load_policy(sources / "team")
    assert torch.equal(beginning(sources / "team").theta[5], source["theta"][0])
    mean = beginning(sources / "team", agent="mean")
    assert torch.allclose(mean.theta[5], source["theta"].mean(dim=0))
    assert torch.allclose(mean.critics[5], source["critics"].mean(dim=0))


def test_policies_alone_leave_the_critics_at_random(sources, beginning):
    source = load_policy(sources / "team")
    learner = beginning(sources / "team", what="policies")
    assert torch.equal(learner.theta[1], source["theta"][0])
    assert not torch.equal(learner.critics[1], source["critics"][0])
    assert torch.equal(learner.targets, learner.critics)


def test_best_is_the_agent_with_the_largest_return_of_its_own_loop(sources, beginning):
    config, driver = load_driver(sources / "fleet")
    with TrafficEnv(config.traffic) as env:
        returns = agent_returns(env, driver, 1_000_000)
        assert returns.mean() == pytest.approx(env.stats().episode_return, rel=1e-5)
    assert len(set(returns)) > 1
    learner = beginning(sources / "fleet", "fleet-figure-eight:2", agent="best")
    assert torch.equal(learner.theta[0], load_policy(sources / "fleet")["theta"][returns.argmax()])


def test_actors_of_masac_and_all_of_a_shared_policy_can_be_taken(sources, beginning):
    joint = load_policy(sources / "joint")
    assert joint["theta"].shape[0] == 9 and joint["critics"].shape[0] == 1
    learner = beginning(sources / "joint", agent=4, what="policies")
    assert torch.equal(learner.theta[0], joint["theta"][4])
    shared = load_policy(sources / "shared")
    for agent in (0, "best", "mean"):
        learner = beginning(sources / "shared", agent=agent)
        assert torch.equal(learner.theta[13], shared["theta"][0])
        assert torch.equal(learner.critics[13], shared["critics"][0])
    changes = {"method": "shared-policy"}
    learner = beginning(sources / "team", changes=changes, agent=2)
    assert torch.equal(learner.theta, load_policy(sources / "team")["theta"][2:3])


@pytest.mark.parametrize(
    ("source", "changes", "init_from", "message"),
    [
        ("nowhere", {}, {}, r"init_from\.run: .*nowhere' is not allowed: no finished run"),
        ("control", {}, {}, "go is a control: it has no policies"),
        ("team", {"sac": {"hidden": [8]}}, {}, r"its sac\.hidden is \[16, 16\], .* is \[8\]"),
        (
            "team",
            {"traffic": {"observation": "relative"}},
            {},
            r"its traffic\.observation is absolute, that of this run is relative",
        ),
        (
            "team",
            {"traffic": {"actions": "target-speed"}},
            {},
            r"its traffic\.actions is acceleration, that of this run is target-speed",
        ),
        (
            "team",
            {},
            {"agent": 9},
            r"init_from\.agent: 9 is not allowed: the run has agents 0 to 8",
        ),
        ("team", {}, {"agent": "best"}, r"init_from\.agent: 'best' is .* one team reward"),
        ("team", {}, {"sha256": "0" * 64}, "its policies are others"),
        ("joint", {}, {}, r"init_from\.what: 'policies\+critics' .*\(masac\) .* allowed: policies"),
        ("team", {"method": "masac"}, {}, r"critics of that run \(independent\) .* of masac"),
    ],
)
def test_what_cannot_be_taken_is_refused_before_anything_is_written(
    source, changes, init_from, message, sources, tiny, tmp_path
):
    settings = {"method": "independent", "init_from": {"run": str(sources / source), **init_from}}
    config = tiny(**settings | changes)
    with pytest.raises(ConfigError, match=message) as caught:
        train(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_unfinished_run_is_refused(sources, tiny, tmp_path):
    shutil.copytree(sources / "team", tmp_path / "source")
    (tmp_path / "source" / "summary.json").unlink()
    config = tiny(method="independent", init_from={"run": str(tmp_path / "source")})
    with pytest.raises(ConfigError, match="no finished run"):
        train(config, tmp_path / "run")


def test_finished_run_says_what_it_took_and_is_its_own_when_results_move(sources, tiny, tmp_path):
    shutil.copytree(sources / "team", tmp_path / "source")
    config = tiny(method="independent", init_from={"run": str(tmp_path / "source")})
    unknown = config.settings_hash
    folder = tmp_path / "run"
    first = train(config, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    source = load_run(sources / "team" / "config.yaml")
    assert manifest["init_from"] == {
        "run_id": source.run_id,
        "settings_hash": source.settings_hash,
        "agent": 0,
        "what": "policies+critics",
        "sha256": policy_digest(sources / "team"),
    }
    assert load_run(folder / "config.yaml").init_from.sha256 == policy_digest(sources / "team")
    moved = tiny(method="independent", init_from={"run": str(sources / "team")})
    assert moved.settings_hash == config.settings_hash == first["settings_hash"]
    shutil.rmtree(tmp_path / "source")
    assert finished_summary(folder, config) == first  # nothing is taken again
    assert train(config, folder) == first
    assert (
        config.settings_hash not in (first["settings_hash"],) and unknown == first["settings_hash"]
    )


def test_other_policies_in_the_same_place_are_other_settings(sources, tiny, tmp_path):
    folder = tmp_path / "source"
    config = tiny(method="independent", init_from={"run": str(folder)})
    shutil.copytree(sources / "team", folder)
    before = config.settings_hash
    shutil.rmtree(folder)
    shutil.copytree(sources / "fleet", folder)
    assert config.settings_hash != before


def test_settings_hash_of_a_run_that_begins_at_random_knows_nothing_of_it(tiny):
    assert tiny(init_from={"agent": 3}).settings_hash == tiny().settings_hash


def test_study_names_runs_by_where_they_begin_and_each_seed_takes_its_own(tiny):
    content = {
        "name": "t",
        "description": "t",
        "seeds": [0, 7],
        "grid": {
            "methods": ["independent", "untrained", "go"],
            "init_from.run": [None, "results/first/runs/fmarl-seed{seed}"],
        },
        "run": json.loads(tiny().model_dump_json(include={"traffic", "sac"})),
    }
    runs = parse_study(content, "t").runs()
    assert sorted(runs) == sorted(
        f"{name}-seed{seed}"
        for seed in (0, 7)
        for name in (
            "go",
            "independent-from-scratch",
            "independent-from-fmarl",
            "untrained-from-scratch",
            "untrained-from-fmarl",
        )
    )
    taken = runs["independent-from-fmarl-seed7"]
    assert taken.begins_from == "results/first/runs/fmarl-seed7"
    assert "results/first/runs/fmarl-seed7" in dump_yaml(taken)
    assert runs["go-seed7"].begins_from is None


def test_untrained_with_a_source_measures_what_is_transferred_before_any_learning(
    sources, tiny, tmp_path
):
    world = {"scenario": "figure-eight-all"}
    init_from = {"run": str(sources / "team"), "agent": 1}
    summary = train(tiny(method="untrained", traffic=world, init_from=init_from), tmp_path / "one")
    at_random = train(tiny(method="untrained", traffic=world), tmp_path / "two")
    assert summary["final_return"] != at_random["final_return"]
