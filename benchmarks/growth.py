"""Growth from 9 to 144 agents on a synthetic environment: acting, storing, updating, exchanging, judging."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.exchange import Round
from benchmarks.learning import ACTION, OBSERVATION, add_random, filled_replay, judge_of, learner_of
from benchmarks.measure import Row, medians
from rsm.config.learning import Sac
from rsm.mixing.rules import mixing_metric
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay

AGENTS = (9, 36, 144)
HIDDEN, DEGREE, STEPS_PER_UPDATE, UPDATES_PER_ROUND = 64, 4, 10, 8
SETTINGS = Sac(hidden=(HIDDEN, HIDDEN))


def learn(learner: Learner, replay: Replay) -> None:
    """Ten steps of all agents in an environment whose states are drawn, and one update."""
    agents, generator = learner.agents, torch.Generator().manual_seed(0)
    for _ in range(STEPS_PER_UPDATE):
        states = torch.rand(agents, OBSERVATION, generator=generator)
        learner.act(states, torch.randn(agents, ACTION, generator=generator))
        add_random(replay, agents, generator)
    batch = replay.sample(SETTINGS.batch_size, generator)
    noise = torch.randn(2, *batch.unit_actions.shape, generator=generator)
    learner.update(batch, noise)


def rows() -> list[Row]:
    """Seconds per agent of ten steps with one update and an eighth of a round's judging, and per edge."""
    work: dict[str, Callable[[], object]] = {}
    rounds: dict[str, Callable[[], object]] = {}
    edges = {}
    for agents in AGENTS:
        learner = learner_of(SETTINGS, agents)
        judge, referential = judge_of(learner, 256)
        work[f"learn {agents}"] = partial(learn, learner, filled_replay(agents, 500))
        work[f"judge {agents}"] = partial(mixing_metric, judge, learner.theta, referential)
        held = Round(agents, DEGREE, learner.policy.parameter_count)
        rounds[f"exchange {agents}"], edges[agents] = held.hold, int(held.neighbours.sum())
    seconds = medians(work, 7) | medians(rounds, 15)

    def per_agent(agents: int) -> float:
        judged = 3 * seconds[f"judge {agents}"] / UPDATES_PER_ROUND
        return (seconds[f"learn {agents}"] + judged) / agents

    def per_edge(agents: int) -> float:
        return seconds[f"exchange {agents}"] / edges[agents]

    few, many = AGENTS[0], AGENTS[-1]
    agent_growth, edge_growth = per_agent(many) / per_agent(few), per_edge(many) / per_edge(few)
    shown = ", ".join(f"{per_agent(agents) * 1e3:.2f}" for agents in AGENTS)
    sizes = ", ".join(map(str, AGENTS))
    return [
        Row(
            f"growth: ms per agent, N = {sizes}, hidden {HIDDEN}",
            f"{shown} ({agent_growth:.2f} ×)",
            "time per agent not rising (≤ 1.1 ×)",
            agent_growth <= 1.1,
            {f"per_agent_{agents}": per_agent(agents) for agents in AGENTS}
            | {"ratio": agent_growth},
        ),
        Row(
            f"growth: exchange, µs per edge, N = {sizes}, degree {DEGREE}",
            ", ".join(f"{per_edge(agents) * 1e6:.0f}" for agents in AGENTS)
            + f" ({edge_growth:.2f} ×)",
            "linear in edges (≤ 1.3 ×)",
            edge_growth <= 1.3,
            {f"per_edge_{agents}": per_edge(agents) for agents in AGENTS} | {"ratio": edge_growth},
        ),
    ]
