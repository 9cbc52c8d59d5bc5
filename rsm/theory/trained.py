"""Policies, critics and replays of a trained run, and acceptance while its actors continue to learn.

A finished run folder keeps no replay, so a short run is trained here, in this process, on SUMO.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rsm.config.run import RunConfig, parse_run
from rsm.config.study import Study, merge
from rsm.exchange.segments import segment_slices
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.theory.estimators import Pool, exact_advantage
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training

WINDOW = 450  # latest transitions that make up a pool's window


def trained(config: RunConfig) -> tuple[Learner, Replay]:
    """Train `config` episode by episode and keep what it holds in memory."""
    torch.set_num_threads(1)
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        for _ in range(config.training.episodes):
            run.train_episode()
    return run.learner, run.replay


def pool_of(learner: Learner, replay: Replay, referential: Tensor | None = None) -> Pool:
    """Every agent as a receiver, with the latest `WINDOW` transitions of its replay as its window.

    `referential: [N, d]` is what they judge; the policies of the next agents by default.
    """
    latest = replay.latest(WINDOW)
    theta = learner.theta.detach().clone()
    return Pool(
        learner.policy,
        learner.critic,
        learner.critics.detach().clone(),
        learner.alpha.detach().clone(),
        theta,
        theta.roll(1, dims=0) if referential is None else referential,
        latest.observations.contiguous(),
        latest.unit_actions.contiguous(),
        latest.log_density.contiguous(),
    )


def joined(pools: Sequence[Pool]) -> Pool:
    """Receivers of several runs side by side; policies and critics are of one class."""
    first = pools[0]
    columns = zip(*(pool[2:] for pool in pools), strict=True)
    return Pool(first.policy, first.critic, *(torch.cat(column) for column in columns))


def referentials(
    theta: Tensor, segments: int, count: int, generator: np.random.Generator
) -> Tensor:
    """Policies `[count, N, d]` joined from segments of other agents of `theta: [N, d]`, as a round does it."""
    agents, length = theta.shape
    joined = theta.repeat(count, 1, 1)
    parts = segment_slices(length, segments)
    for replica in joined:
        for receiver in range(agents):
            others = np.delete(np.arange(agents), receiver)
            peers = generator.choice(others, segments, replace=False)
            for part, peer in zip(parts, peers, strict=True):
                replica[receiver, part] = theta[int(peer), part]
    return joined


def catching_up(
    pool: Pool, replicas: Tensor, steps: tuple[int, ...], rate: float, generator: torch.Generator
) -> pd.DataFrame:
    """Acceptance of `replicas: [R, N, d]` after each number of actor updates against frozen critics.

    Only the receivers' actors learn, on their window, by a new Adam at `rate` and batches of 128; what they
    judge stays as it was. `accepted` is the share of replicas with A⁺ > 0 in percent, A⁺ integrated exactly.
    """
    theta = pool.theta.clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=rate)
    receivers, window, width = pool.states.shape
    done, rows = 0, []
    for target in steps:
        for _ in range(target - done):
            chosen = torch.randint(window, (receivers, 128), generator=generator)
            states = pool.states.gather(1, chosen.unsqueeze(2).expand(-1, -1, width))
            noise = torch.randn(receivers, 128, 1, generator=generator)
            actions, log_pi = pool.policy.sample(theta, states, noise)
            loss = (pool.alpha.unsqueeze(1) * log_pi - pool.q(states, actions)).mean(dim=1).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        done = target
        current = pool._replace(theta=theta.detach().clone())
        gains = torch.stack(
            [exact_advantage(current._replace(theta_tilde=replica)) for replica in replicas]
        )
        zero = torch.zeros(1)
        moved = current._replace(theta=pool.theta, theta_tilde=current.theta)
        rows.append(
            {
                "actor_updates": target,
                "accepted": 100 * float((gains > zero).double().mean()),
                "judged": gains.numel(),
                "advantage": float(gains.median()),
                "gained": float(exact_advantage(moved).median()),
            }
        )
    return pd.DataFrame(rows)


def config_of(study: Study, ratio: float, episodes: int, seed: int) -> RunConfig:
    """A run of `study` by the published method, its actors at `ratio` times the rate of its critics."""
    sac = {"actor_lr": ratio * study.run.sac.critic_lr}
    changes = {"sac": sac, "training": {"episodes": episodes}, "seed": seed}
    return parse_run(merge(study.run.model_dump(), changes), f"study {study.name}")
