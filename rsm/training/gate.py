"""Measuring the gate: replicas are judged by every judge, and then drive in the receiver's place.

A probe never changes the run: it has a random stream, a channel and judges of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.config.run import RunConfig
from rsm.exchange.channel import Channel
from rsm.exchange.frames import frame_key
from rsm.exchange.replicas import Came, Post, gather, numpy_type
from rsm.exchange.topology import neighbourhood
from rsm.methods.context import Context, random_segments
from rsm.mixing.rules import Verdict
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import Stream, held_out_seeds, numpy_generator
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import policy_driver
from rsm.training.evaluation import agent_returns
from rsm.training.judges import judges_of
from rsm.training.judging import Judgement
from rsm.training.roster import unlike_agents

# Judge → changes of the run's `mixing` settings. A new judge is a line here.
_AS_WRITTEN = {"rule": "theorem2", "advantage": "direct", "judge": "own", "published_code": None}
JUDGES: dict[str, dict[str, Any]] = {
    "own": _AS_WRITTEN,
    "aug": _AS_WRITTEN | {"published_code": "aug"},
    "jul": _AS_WRITTEN | {"published_code": "jul"},
    "peers": _AS_WRITTEN | {"judge": "peers"},
}


def gate_rows(
    config: RunConfig, env: TrafficEnv, learner: Learner, replay: Replay, episode: int
) -> list[dict[str, Any]]:
    """Rows of the table `gate` after a training episode, for up to `gate.replicas` receivers drawn anew.

    Each gets one replica, made and judged as in a round at the vehicles' present places, nothing lost. Then it
    drives held-out traffic by the replica, all others as they do, and its return is compared with that by its
    own policy on the same traffic. Drives `env`. Empty where nobody has a neighbour, or before the first
    update.
    """
    if len(replay) < config.sac.learning_starts:
        return []
    sequence = np.random.SeedSequence(config.seed, spawn_key=(Stream.GATE, episode))
    draw = np.random.default_rng(sequence)
    theta = learner.theta.detach()
    neighbours = _neighbours(config, env)
    came, post = _one_replica_each(config, neighbours, theta, draw)
    replicas = came.joined(0, theta)
    case = Judgement(came, theta, learner.critics.detach(), replicas, neighbours, post)
    # Streams of their own: nothing else depends on fewer states, and all who ask peers ask the same.
    for_fewer, for_jurors = sequence.spawn(2)
    every = {"states": config.mixing.judged_states}  # of each judge, whatever it usually takes
    judges = {name: changes | every for name, changes in JUDGES.items()}
    verdicts = _verdicts(judges, config, learner, replay, case, draw, for_jurors)
    fewer = {f"peers:{count}": JUDGES["peers"] | {"states": count} for count in config.gate.states}
    apart = np.random.default_rng(for_fewer)
    verdicts |= _verdicts(fewer, config, learner, replay, case, apart, for_jurors)
    able = np.flatnonzero(neighbours.any(axis=1))
    size = min(config.gate.replicas, len(able))
    chosen: list[int] = sorted(draw.choice(able, size, replace=False).tolist())
    if not chosen:
        return []
    traffic = held_out_seeds(config.seed, 1000)
    seeds: list[int] = draw.choice(traffic, config.gate.episodes, replace=False).tolist()
    without, with_replica = _returns(env, learner, replicas, chosen, seeds)
    gains = with_replica - without
    return [
        {
            "episode": episode,
            "agent": agent,
            "sources": came.sources[agent][0],
            "judge": judge,
            "advantage": float(verdict.advantage[agent]),
            "quadratic_form": float(verdict.quadratic_form[agent]),
            "identical": bool(verdict.identical[agent]),
            "return_without": float(without[:, agent].mean()),
            "return_with": float(with_replica[:, agent].mean()),
            "gain_error": _standard_error(gains[:, agent]),
        }
        for agent in chosen
        for judge, verdict in verdicts.items()
    ]


def _neighbours(config: RunConfig, env: TrafficEnv) -> NDArray[np.bool_]:
    """Who hears whom at this moment, in the graph of the run."""
    graph = numpy_generator(config.seed, Stream.TOPOLOGY)
    neighbours = neighbourhood(config.communication.topology, env.n_agents, graph)
    live = env.live
    adjacent: NDArray[np.bool_] = neighbours(env.positions()) & live & live[:, None]
    return adjacent


def _one_replica_each(
    config: RunConfig, neighbours: NDArray[np.bool_], theta: Tensor, draw: np.random.Generator
) -> tuple[Came, Post]:
    """What comes where each agent asks for one replica and leaves a neighbour unasked; the round's post."""
    settings = config.communication.model_copy(update={"replicas": 1})
    context = Context(settings, neighbours, draw, lambda *_: theta.new_zeros(0), jurors=1)
    agents = len(neighbours)
    post = Post(Channel(agents, 0.0, draw, frame_key()), run=0, round_=0)
    asks = {agent: random_segments(agent, context, left=1) for agent in range(agents)}
    held = theta.cpu().numpy()
    came = gather(asks, held.__getitem__, lambda *_: True, post, theta.shape[1], numpy_type(theta))
    return came, post


def _verdicts(
    judges: Mapping[str, dict[str, Any]],
    config: RunConfig,
    learner: Learner,
    replay: Replay,
    case: Judgement,
    draw: np.random.Generator,
    for_jurors: np.random.SeedSequence,
) -> dict[str, Verdict]:
    """What every judge says of the replicas, A⁺ by each; `judges` are changes of `mixing` by name.

    Every judge that asks peers asks the same ones.
    """
    attackers, verdicts = unlike_agents(config, learner.agents, "attack"), {}
    for name, changes in judges.items():
        generator = torch.Generator(case.theta.device).manual_seed(int(draw.integers(2**63)))
        seen = config.model_copy(update={"mixing": config.mixing.model_copy(update=changes)})
        jurors = np.random.default_rng(for_jurors)
        judge = judges_of(seen, learner, replay, generator, attackers, jurors)
        verdicts[name] = judge.opinion(case, 0).verdict
    return verdicts


def _returns(
    env: TrafficEnv, learner: Learner, replicas: Tensor, chosen: list[int], seeds: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns `[seeds, N]` by mean actions: all by their own policies, and of each chosen by its replica.

    Where every agent has a loop of its own all of them try their replicas at once.
    """
    theta = learner.theta.detach().cpu()
    replicas = replicas.cpu()

    def driven(by_replica: list[int]) -> NDArray[np.float64]:
        mixed = theta.clone()
        mixed[by_replica] = replicas[by_replica]
        driver = policy_driver(learner.policy, mixed, "deterministic")
        return np.stack([agent_returns(env, driver, seed) for seed in seeds])

    without = driven([])
    with_replica = without.copy()
    alone = env.loops == env.n_agents
    for agents in [chosen] if alone else [[agent] for agent in chosen]:
        with_replica[:, agents] = driven(agents)[:, agents]
    return without, with_replica


def _standard_error(gains: NDArray[np.float64]) -> float:
    """Of the mean over paired episodes; NaN for a single one."""
    if len(gains) < 2:
        return float("nan")
    return float(gains.std(ddof=1) / len(gains) ** 0.5)
