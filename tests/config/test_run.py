import pytest

from rsm.config.learning import Traffic
from rsm.config.run import RunConfig, parse_run
from rsm.errors import ConfigError


def message(content) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_run(content, "run.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_the_published_settings():
    run = RunConfig()
    sac, communication = run.sac, run.communication
    assert (sac.hidden, sac.actor_lr, sac.critic_lr, sac.alpha_lr) == ((256, 256), 4e-5, 3e-4, 3e-4)
    assert (sac.alpha_init, sac.gamma, sac.tau, sac.batch_size) == (0.01, 0.99, 0.001, 256)
    assert (sac.replay_size, sac.update_every, sac.learning_starts) == (100_000, 10, 1280)
    assert (communication.period, communication.segments, communication.replicas) == (8, 4, 3)
    assert communication.topology == "radius:90" and run.mixing.zeta_max == 0.8
    assert (run.training.episodes, run.traffic.steps, run.evaluation.every) == (310, 1500, 10)


def test_run_id_is_readable_and_names_what_differs():
    assert RunConfig().run_id == "rsm-radius90-p4-k3-seed0"
    content = {
        "method": "rsm",
        "seed": 3,
        "mixing": {"rule": "trust-region"},
        "communication": {
            "topology": "small-world:4:0.1",
            "share": "actor+critic",
            "loss_rate": 0.1,
        },
    }
    name = parse_run(content, "run.yaml").run_id
    assert name == "rsm-trust-region-small-world4-0.1-p4-k3-actor+critic-loss0.1-seed3"
    assert RunConfig(method="human", seed=2).run_id == "human-seed2"
    assert RunConfig(method="fmarl").run_id == "fmarl-seed0"


def test_settings_hash_guards_every_setting():
    base = RunConfig().settings_hash
    assert RunConfig().settings_hash == base
    for change in ({"seed": 1}, {"sac": {"tau": 0.002}}, {"traffic": {"junction": "idm"}}):
        assert parse_run(change, "run.yaml").settings_hash != base


def test_number_of_judged_states_counts_however_it_is_written():
    def hash_of(**mixing):
        return parse_run({"mixing": mixing}, "run.yaml").settings_hash

    assert hash_of() == hash_of(states=256)
    assert hash_of(judge="peers") == hash_of(judge="peers", states=128)
    others = ({"states": 128}, {"judge": "peers"}, {"judge": "peers", "states": 256})
    assert len({hash_of(), *(hash_of(**mixing) for mixing in others)}) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"sac": {"hiden": [64]}}, ["run.yaml: sac.hiden", "hidden"]),
        ({"sac": {"tau": "fast"}}, ["run.yaml: sac.tau", "'fast'", "number"]),
        ({"sac": {"batch_size": 3.5}}, ["run.yaml: sac.batch_size", "3.5", "integer"]),
        ({"sac": {"hidden": []}}, ["run.yaml: sac.hidden", "at least 1"]),
        ({"sac": {"gamma": 1}}, ["run.yaml: sac.gamma", "1", "less than 1"]),
        ({"sac": {"tau": float("nan")}}, ["run.yaml: sac.tau", "nan", "finite"]),
        ({"method": "rsn"}, ["run.yaml: method", "'rsn'", "fmarl", "independent"]),
        ({"communication": {"segments": 0}}, ["communication.segments", "0", "1"]),
        ({"communication": {"topology": "mesh"}}, ["topology", "'mesh'", "radius:<metres>"]),
        ({"communication": {"topology": "radius:0"}}, ["topology", "radius:0", "above 0"]),
        ({"communication": {"topology": "radius:-5"}}, ["topology", "radius:-5", "above 0"]),
        ({"communication": {"topology": "radius:inf"}}, ["topology", "finite"]),
        ({"communication": {"topology": "radius:nan"}}, ["topology", "finite"]),
        ({"communication": {"topology": "regular:2.5"}}, ["topology", "whole number"]),
        ({"communication": {"topology": "regular:inf"}}, ["topology", "whole number"]),
        ({"communication": {"topology": "erdos-renyi:2"}}, ["topology", "(0, 1]"]),
        ({"communication": {"topology": "small-world:4"}}, ["topology", "small-world:<"]),
        ({"communication": {"share": "critic"}}, ["communication.share", "'critic'", "'actor'"]),
        ({"traffic": {"scenario": "merge"}}, ["traffic.scenario", "'merge'", "figure-eight"]),
        ({"seed": -1}, ["run.yaml: seed", "-1", "greater than or equal to 0"]),
        ({"seed": True}, ["run.yaml: seed", "True", "integer"]),
        ({"training": None}, ["run.yaml: training", "None"]),
    ],
)
def test_mistake_is_named_with_file_key_value_and_what_is_allowed(content, words):
    text = message(content)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [
        ("figure-eight", "teleport"),
        ("figure-eight-all", "teleport"),
        ("flow-figure-eight-0", "terminate"),
        ("flow-figure-eight-1", "terminate"),
        ("flow-figure-eight-2", "terminate"),
        ("fleet-figure-eight:3", "teleport"),
        ("mixed-fleet:3", "teleport"),
    ],
)
def test_collision_is_what_the_scenario_says_unless_it_is_asked_for(scenario, rule):
    assert Traffic(scenario=scenario).on_collision == rule
    for asked in ("terminate", "teleport"):
        assert Traffic(scenario=scenario, collision=asked).on_collision == asked


def test_reward_that_makes_a_fatal_collision_pay_is_refused_where_it_would_be_learned():
    content = {"sac": {"reward_shift": -0.25}, "traffic": {"scenario": "flow-figure-eight-1"}}
    text = message(content)
    assert "sac.reward_shift: -0.25" in text and "traffic.collision: teleport" in text
    assert "\n" not in text
    explicit = {"scenario": "figure-eight", "collision": "terminate"}
    assert "sac.reward_shift" in message(content | {"traffic": explicit})
    parse_run(content | {"method": "go"}, "x")
    parse_run(content | {"traffic": {"scenario": "figure-eight"}}, "x")
    parse_run(
        content | {"traffic": {"scenario": "fleet-figure-eight:3"}} | {"method": "fmarl"}, "x"
    )
    parse_run(content | {"sac": {"reward_shift": 0.25}}, "x")


def test_negative_zero_is_the_same_setting_as_zero():
    sac = {"reward_shift": 0.0, "noise_correlation": 0.0}
    hashes = {
        parse_run({"sac": {name: sign * value for name, value in sac.items()}}, "x").settings_hash
        for sign in (1, -1)
    }
    assert len(hashes) == 1


def test_biased_critic_is_allowed_by_name_and_where_no_critic_judges():
    noisy = {"sac": {"n_step": 5, "noise_correlation": 0.8}}
    for content in (
        noisy | {"mixing": {"accept_biased_critic": True}},
        noisy | {"method": "average", "mixing": {"advantage": "importance"}},
        {"sac": {"n_step": 5}, "mixing": {"advantage": "importance"}},
        {"sac": {"noise_correlation": 0.8}},
    ):
        parse_run(content, "x")


@pytest.mark.parametrize("method", ["masac", "shared-policy"])
@pytest.mark.parametrize(
    ("section", "key"),
    [("attack", "agents"), ("slow", "agents"), ("restarts", "agents"), ("churn", "rate")],
)
def test_agents_that_learn_together_are_all_alike(section, key, method):
    text = message({"method": method, section: {key: 2}})
    assert f"{section}.{key}: 2" in text and method in text and "\n" not in text
    parse_run({"method": "independent", section: {key: 2}}, "x")


def test_masac_is_refused_where_a_collision_ends_the_episode_of_one_loop():
    fleet = {"scenario": "fleet-figure-eight:3", "collision": "terminate"}
    text = message({"method": "masac", "traffic": fleet})
    assert "traffic.collision: 'terminate'" in text and "allowed: teleport" in text
    parse_run({"method": "shared-policy", "traffic": fleet}, "x")
    parse_run({"method": "masac", "traffic": {"scenario": "flow-figure-eight-1"}}, "x")


def test_published_code_is_part_of_the_name_of_a_run():
    run = parse_run({"mixing": {"published_code": "jul"}}, "x")
    assert run.run_id == "rsm-code-jul-radius90-p4-k3-seed0"
    assert run.axes["published_code"] == "jul"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"mode": "asynchronous", "barrier": "none"}, "communication.barrier"),
        ({"delay": "constant", "barrier": "none"}, "communication.barrier"),
        ({"phase": 2}, "communication.phase"),
    ],
)
def test_settings_of_time_that_contradict_each_other_are_refused(settings, key):
    with pytest.raises(ConfigError, match=rf"^x: {key}: .*; allowed: [^\n]*$"):
        parse_run({"communication": settings}, "x")


@pytest.mark.parametrize("settings", [{"mode": "asynchronous"}, {"bandwidth": 1e5}])
def test_published_code_knows_no_time(settings):
    mixing = {"published_code": "aug"}
    with pytest.raises(ConfigError, match=r"^x: mixing.published_code: 'aug' .*; allowed: "):
        parse_run({"communication": settings, "mixing": mixing}, "x")
    parse_run({"method": "average", "communication": settings, "mixing": mixing}, "x")


def test_delay_of_mean_zero_and_no_bandwidth_take_no_time():
    timed = [
        parse_run({"communication": settings}, "x").communication.timed
        for settings in ({"delay": "lognormal", "delay_mean": 0.0}, {"delay": "lognormal"})
    ]
    assert timed == [False, True]


@pytest.mark.parametrize("settings", [{"mode": "asynchronous"}, {"delay": "constant"}])
def test_top_k_is_refused_where_rounds_take_time(settings):
    pattern = r"^x: communication.encoding: 'topk:0.1' .*; allowed: float32, [^\n]*$"
    with pytest.raises(ConfigError, match=pattern):
        parse_run({"communication": settings | {"encoding": "topk:0.1"}}, "x")
    for encoding in ("float16", "int8"):
        parse_run({"communication": settings | {"encoding": encoding}}, "x")
