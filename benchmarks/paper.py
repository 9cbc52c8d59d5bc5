"""A `paper` run of `rsm`: its time projected from real episodes with updates, and its memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.environment import bare_step, times_of
from benchmarks.learning import judge_flop, update_flop
from benchmarks.machine import product_rates
from benchmarks.measure import Row
from rsm.config.run import RunConfig
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training

EPISODES = 5


def resident() -> float:
    """Memory of this process now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


def fill(run: Training) -> None:
    """Fill the replay to its last place with random transitions, as episodes would in time."""
    state, generator = run.replay.state_dict(), torch.Generator().manual_seed(0)
    agents, _, width = state["data"].shape
    capacity = run.config.sac.replay_size
    data = torch.rand(agents, capacity, width, generator=generator)
    data[..., -1] = 0  # no transition is a collision
    episodes = torch.zeros(agents, capacity, dtype=torch.int64)
    full = {"data": data, "added": [capacity] * agents, "episodes": episodes}
    run.replay.load_state_dict(state | full)


def rows() -> list[Row]:
    """Five episodes of a run whose replay is full already, one evaluation and one checkpoint."""
    config = RunConfig(method="rsm")
    sac, agents = config.sac, 9
    with TrafficEnv(config.traffic) as env, tempfile.TemporaryDirectory() as folder:
        run = Training(config, env)
        fill(run)
        episode_times, memory, bare, rates = [], [], [], []
        for number in range(EPISODES):
            start = time.process_time()
            run.train_episode()
            episode_times.append(time.process_time() - start)
            if number == 0:
                start = time.process_time()
                run.evaluate()
                evaluation = time.process_time() - start
                start = time.process_time()
                run.save(Path(folder))
                checkpoint = time.process_time() - start
            memory.append(resident())
            env.reset(number)
            bare += times_of(bare_step(env), 500)
            rates.append(product_rates(2 * agents, sac.batch_size, sac.hidden[0], 5)["batched"])
    steps_of_one = statistics.mean(run.recorder.table("episodes")["steps"].to_pylist())
    bare_time, rate = statistics.median(bare), statistics.median(rates)

    episodes = config.training.episodes
    evaluations = episodes // config.evaluation.every
    # A checkpoint is written when the last one cost less than a hundredth or so of the time since.
    saving = min(episodes * checkpoint, 0.02 * episodes * statistics.median(episode_times))
    whole = episodes * statistics.median(episode_times) + evaluations * evaluation + saving

    steps = episodes * steps_of_one
    evaluated = evaluations * 2 * config.evaluation.episodes * config.traffic.steps
    updates = steps / sac.update_every
    judged = updates / config.communication.period * config.communication.replicas
    flop = updates * update_flop(sac, agents, sac.batch_size)
    flop += judged * judge_flop(sac, agents, config.mixing.judged_states)
    limit = flop / rate + (steps + evaluated) * bare_time
    growth = memory[-1] / memory[1]
    hours, ratio = whole / 3600, whole / limit
    numbers = {"whole": whole, "limit": limit, "episode": statistics.median(episode_times)}
    numbers |= {
        "evaluation": evaluation,
        "checkpoint": checkpoint,
        "rate": rate,
        "bare_step": bare_time,
    }
    return [
        Row(
            "a paper run of rsm: against its products and bare steps",
            f"{hours:.2f} h, {ratio:.2f} × (limit {limit / 3600:.2f} h)",
            "≤ 1.4 × the machine's limit",
            ratio <= 1.4,
            numbers | {"ratio": ratio},
        ),
        Row(
            "memory of a paper run, replay full",
            f"{max(memory) / 2**30:.2f} GiB, {growth:.3f} × over the last episodes",
            "≤ 1.5 GiB resident, flat (≤ 1.02 ×)",
            max(memory) <= 1.5 * 2**30 and growth <= 1.02,
            {f"episode_{number + 1}": value for number, value in enumerate(memory)},
        ),
    ]
