"""Settings that are each allowed and do not go together: one function a reason, each raises KeyedError."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rsm.config.axes import setting
from rsm.config.catalogue import (
    CONTROL,
    CONTROL_OF_SLOTS,
    CONTROLS,
    METHODS,
    scenario_traits,
    topology_forms,
)
from rsm.errors import KeyedError

if TYPE_CHECKING:
    from rsm.config.run import RunConfig


def loops_have_no_distance(run: RunConfig) -> None:
    traits = METHODS.get(run.method)
    if (
        not scenario_traits(run.traffic.scenario).distances
        and traits
        and traits.topology
        and run.communication.topology.startswith("radius")
    ):
        raise KeyedError(
            "communication.topology",
            run.communication.topology,
            f"distances have no meaning across the separate loops of {run.traffic.scenario}; "
            f"allowed: {topology_forms().split(', ', 1)[1]}",
        )


def control_is_for_this_road(run: RunConfig) -> None:
    slots = scenario_traits(run.traffic.scenario).slots
    if CONTROL_OF_SLOTS.get(run.method, slots) != slots:
        road = "vehicles enter and leave" if slots else "the same vehicles always drive"
        others = [name for name in CONTROLS if CONTROL_OF_SLOTS.get(name, slots) == slots]
        raise KeyedError(
            "method",
            run.method,
            f"it is not for {run.traffic.scenario}, where {road}; allowed: {', '.join(others)}, "
            "and any learning method",
        )


def crashing_does_not_pay(run: RunConfig) -> None:
    shift = run.sac.reward_shift
    if run.learns and shift < 0 and run.traffic.on_collision == "terminate":
        raise KeyedError(
            "sac.reward_shift",
            shift,
            "with a negative reward for ordinary driving a collision that ends the episode is optimal; "
            "allowed: at least 0, or traffic.collision: teleport",
        )


def critic_is_that_of_the_policy(run: RunConfig) -> None:
    """A⁺ needs the critic of the policy; n-step returns of correlated exploration teach a biased one."""
    traits, correlation = METHODS.get(run.method), run.sac.noise_correlation
    if not (traits and traits.judged and correlation):
        return
    if run.mixing.advantage == "importance":
        raise KeyedError(
            "mixing.advantage",
            "importance",
            "it is biased under correlated noise; allowed: direct, or importance with "
            f"sac.noise_correlation 0, not {correlation:g}",
        )
    if run.sac.n_step > 1 and not run.mixing.accept_biased_critic:
        raise KeyedError(
            "sac.noise_correlation",
            correlation,
            f"with sac.n_step {run.sac.n_step} the critic is not that of the current policy, so A⁺ is biased; "
            "allowed: 0, or sac.n_step 1, or mixing.accept_biased_critic true",
        )


def nobody_lies_to_a_server_by_differences(run: RunConfig) -> None:
    """A liar's own learning would follow what it lied: what it sends and what it takes are one copy."""
    server = METHODS.get(run.method, CONTROL).server
    encoding = run.communication.encoding
    if server and run.attack.agents and encoding.startswith("topk"):
        raise KeyedError(
            "communication.encoding",
            encoding,
            f"top-k between {run.method}'s server and attackers has no meaning; allowed: float32, "
            "float16, int8, or attack.agents 0",
        )


def published_code_knows_no_time(run: RunConfig) -> None:
    traits = METHODS.get(run.method)
    if traits and traits.judged and run.mixing.published_code and run.communication.timed:
        raise KeyedError(
            "mixing.published_code",
            run.mixing.published_code,
            "its agents mix in turn, without delays; allowed: null, or synchronous rounds with no "
            "delay or bandwidth",
        )


def newcomers_have_no_episodes_to_hold_out(run: RunConfig) -> None:
    if run.learns and run.restarts.agents and run.mixing.rule == "line-search":
        raise KeyedError(
            "restarts.agents",
            run.restarts.agents,
            "mixing.rule line-search holds out episodes, of which a newcomer has none; allowed: 0",
        )


def learning_together_has_equal_agents(run: RunConfig) -> None:
    """Learners that see everything cannot have single agents that are slow, new, absent or attacking."""
    learner = METHODS.get(run.method, CONTROL).learner
    if learner == "sac":
        return
    if scenario_traits(run.traffic.scenario).slots:
        raise KeyedError(
            "method",
            run.method,
            f"all its agents learn together, and in {run.traffic.scenario} vehicles of agents come and "
            "go; allowed: a method whose agents learn independently",
        )
    for key in ("attack.agents", "slow.agents", "restarts.agents", "churn.rate"):
        if value := setting(run, key):
            raise KeyedError(
                key,
                value,
                f"all agents of {run.method} learn together, and send nothing; allowed: 0",
            )
    if learner == "masac" and run.own_returns and run.traffic.on_collision == "terminate":
        raise KeyedError(
            "traffic.collision",
            "terminate",
            "masac has one critic for all loops, and a collision ends the episode of one; "
            "allowed: teleport",
        )


def questions_have_other_sizes(run: RunConfig) -> None:
    usual = run.mixing.judged_states
    if run.measures_gate and usual in run.gate.states:
        raise KeyedError(
            "gate.states",
            usual,
            "the judge `peers` is measured with as many (mixing.states); allowed: other numbers",
        )


COMBINATIONS: tuple[Callable[[RunConfig], None], ...] = (
    loops_have_no_distance,
    control_is_for_this_road,
    crashing_does_not_pay,
    critic_is_that_of_the_policy,
    nobody_lies_to_a_server_by_differences,
    published_code_knows_no_time,
    newcomers_have_no_episodes_to_hold_out,
    learning_together_has_equal_agents,
    questions_have_other_sizes,
)
