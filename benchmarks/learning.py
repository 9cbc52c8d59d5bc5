"""Acting, updating and judging, against the loop of plain agents, plain passes and the explicit Fisher."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row, medians, milliseconds
from benchmarks.plain_agents import PlainAgent, Transition
from benchmarks.plain_fisher import explicit_form
from rsm.config.exchanging import Mixing
from rsm.config.learning import Sac
from rsm.mixing.jury import answer, question
from rsm.mixing.rules import Evidence, Judge, mixing_metric
from rsm.sac import mlp
from rsm.sac.learner import Learner
from rsm.sac.replay import Batch, Replay

AGENTS, OBSERVATION, ACTION, SCALE = 9, 6, 1, 3.0


def learner_of(settings: Sac, agents: int = AGENTS) -> Learner:
    """A learner of the published sizes."""
    generator = torch.Generator().manual_seed(0)
    return Learner(settings, agents, OBSERVATION, ACTION, SCALE, generator)


def filled_replay(agents: int, transitions: int) -> Replay:
    """A replay of random transitions."""
    replay = Replay(agents, transitions, OBSERVATION, ACTION)
    generator = torch.Generator().manual_seed(1)
    for _ in range(transitions):
        add_random(replay, agents, generator)
    return replay


def add_random(replay: Replay, agents: int, generator: torch.Generator) -> None:
    """One random transition per agent, as an environment would give it."""
    states, following = torch.rand(2, agents, OBSERVATION, generator=generator)
    actions = torch.tanh(torch.randn(agents, ACTION, generator=generator))
    rewards = torch.rand(agents, generator=generator)
    discount = torch.full((agents,), Sac().gamma)
    replay.add(states, actions, rewards, rewards, following, discount)


def update_flop(settings: Sac, agents: int, batch: int) -> float:
    """Floating-point operations of the matrix products of one all-agents update.

    Per actor: two passes forward (next states, states), one back for weights, one back through the hidden
    layers. Per critic, of two: three forward (target, critic, for the actor), one back for weights, two back
    through the hidden layers.
    """

    def products(sizes: mlp.Sizes) -> tuple[int, int]:
        pairs = [a * b for a, b in itertools.pairwise(sizes)]
        return sum(pairs), sum(pairs[1:])

    learner_sizes = (OBSERVATION, *settings.hidden, 2 * ACTION)
    critic_sizes = (OBSERVATION + ACTION, *settings.hidden, 1)
    actor, actor_back = products(learner_sizes)
    critic, critic_back = products(critic_sizes)
    per_sample = (
        3 * actor
        + actor_back
        + 2 * (4 * critic + 2 * critic_back)
        + 2 * ACTION * settings.hidden[0]
    )
    return 2.0 * agents * batch * per_sample


def judge_flop(settings: Sac, agents: int, states: int) -> float:
    """The same of judging one replica of all agents: three and a half actor passes, two of both critics.

    The tangent of the first layer needs one product, of every later layer two, beside two plain passes.
    """
    actor = [
        a * b for a, b in zip((OBSERVATION, *settings.hidden), (*settings.hidden, 2), strict=True)
    ]
    critic_sizes = (OBSERVATION + ACTION, *settings.hidden, 1)
    critic = sum(a * b for a, b in itertools.pairwise(critic_sizes))
    return 2.0 * agents * states * (4 * sum(actor) - actor[0] + 4 * critic)


def acting() -> Row:
    """Acting for all agents at the published size."""
    learner = learner_of(Sac())
    states, noise = torch.rand(AGENTS, OBSERVATION), torch.randn(AGENTS, ACTION)
    agents = [PlainAgent(learner, number, Sac()) for number in range(AGENTS)]

    @torch.no_grad()
    def loop() -> list[tuple[Tensor, Tensor]]:
        return [a.act(states[i : i + 1], noise[i : i + 1]) for i, a in enumerate(agents)]

    seconds = medians(
        {
            "stack": lambda: learner.act(states, noise),
            "loop": loop,
            "read": lambda: learner.theta.sum(),
        },
        300,
        warm=20,
    )
    to_read, ratio = seconds["stack"] / seconds["read"], seconds["loop"] / seconds["stack"]
    return Row(
        "acting for all agents, against reading their weights once",
        f"{to_read:.1f} × {milliseconds(seconds['read'])} ({ratio:.1f} × faster than the loop)",
        "≤ 3 × a sum of the weights",
        to_read <= 3,
        seconds | {"ratio": to_read, "loop_ratio": ratio},
    )


def update(hidden: int, repeats: int) -> list[Row]:
    """The all-agents update, its batches and noise drawn, at batch 256."""
    settings = Sac(hidden=(hidden, hidden))
    learner, batch = learner_of(settings), settings.batch_size
    replay, generator = filled_replay(AGENTS, 2000), torch.Generator().manual_seed(2)
    agents = [PlainAgent(learner, number, settings) for number in range(AGENTS)]
    shuffle, source = random.Random(0), np.random.default_rng(3)
    for agent in agents:
        numbers = torch.from_numpy(source.random((2000, 15), dtype=np.float32))
        agent.replay = [
            Transition(row[:6], row[6:7], float(row[7]), row[8:14], 0.0) for row in numbers
        ]

    def stack() -> None:
        drawn = replay.sample(batch, generator)
        learner.update(drawn, torch.randn(2, AGENTS, batch, ACTION, generator=generator))

    def loop() -> None:
        for agent in agents:
            noise = torch.randn(2, batch, ACTION, generator=generator)
            agent.update(agent.sample(shuffle), noise)

    def learning_only(batches: list[Batch], noise: Tensor) -> None:
        for agent, drawn in zip(agents, batches, strict=True):
            agent.update(drawn, noise)

    batches = [agent.sample(shuffle) for agent in agents]
    noise = torch.randn(2, batch, ACTION, generator=generator)
    left, right = torch.randn(2 * AGENTS, batch, hidden), torch.randn(2 * AGENTS, hidden, hidden)
    out = torch.empty(2 * AGENTS, batch, hidden)
    parts = {
        "stack": stack,
        "product": lambda: torch.bmm(left, right, out=out),
        "loop": loop,
        "loop_learning": lambda: learning_only(batches, noise),
    }
    seconds = medians(parts, repeats, warm=3)
    limit = 2 * out.numel() * hidden / seconds["product"]
    rate = update_flop(settings, AGENTS, batch) / seconds["stack"]
    ratio, least = seconds["loop"] / seconds["stack"], {256: 2.0, 64: 6.0}[hidden]
    learning = seconds["loop_learning"] / seconds["stack"]
    share = rate / limit
    rows = [
        Row(
            f"all-agents update, hidden {hidden}: against the loop",
            f"{milliseconds(seconds['stack'])}, {ratio:.1f} × ({learning:.1f} × without its sampling); "
            f"{share:.0%} of the product's rate",
            f"≥ {least:g} × the loop",
            ratio >= least,
            seconds | {"ratio": ratio, "ratio_without_sampling": learning},
        )
    ]
    if hidden == 256:
        rows.insert(
            0,
            Row(
                "all-agents update, hidden 256: against the machine",
                f"{share:.0%} ({rate / 1e9:.0f} of {limit / 1e9:.0f} GFLOP/s)",
                "≥ 75 % of a batched product's rate",
                share >= 0.75,
                {"rate": rate, "share": share, "batched": limit},
            ),
        )
    return rows


def judge_of(learner: Learner, states: int) -> tuple[Judge, Tensor]:
    """A judge at the current parameters of a learner, and referential policies near them."""
    generator = torch.Generator().manual_seed(4)
    drawn = filled_replay(learner.agents, 512).sample(states, generator)
    noise = torch.randn(drawn.unit_actions.shape, generator=generator)
    evidence = Evidence(drawn.observations, drawn.unit_actions, drawn.log_density, noise)
    judge = Judge(
        policy=learner.policy,
        q_function=lambda seen, taken: learner.critic.min_q(learner.critics, seen, taken),
        alpha=learner.alpha,
        gamma=0.99,
        settings=Mixing(),
        choice=evidence,
        held_out=None,
    )
    return judge, learner.theta + 0.01 * torch.randn(learner.theta.shape, generator=generator)


@torch.no_grad()
def judging() -> list[Row]:
    """Judging one replica of all agents: A⁺, q and ζ on 256 states."""
    settings = Sac()
    learner = learner_of(settings)
    judge, referential = judge_of(learner, 256)
    states, taken = judge.choice.observations, judge.choice.unit_actions
    actor = mlp.layers(learner.theta, learner.policy.sizes)
    critics = mlp.layers(learner.critics.flatten(0, 1), learner.critic.sizes)

    def plain(network: mlp.Layers, inputs: Tensor) -> Tensor:
        for weight, bias in network[:-1]:
            inputs = torch.baddbmm(bias, inputs, weight).relu()
        return torch.baddbmm(network[-1][1], inputs, network[-1][0])

    def passes() -> None:
        plain(actor, states)
        plain(critics, torch.cat((states, taken), dim=-1).repeat_interleave(2, dim=0))

    def own_passes() -> None:
        learner.policy.output(learner.theta, states)
        learner.critic.q_values(learner.critics, states, taken)

    seconds = medians(
        {
            "judge": lambda: mixing_metric(judge, learner.theta, referential),
            "passes": passes,
            "own_passes": own_passes,
        },
        25,
        warm=3,
    )
    ratio, own = seconds["judge"] / seconds["passes"], seconds["judge"] / seconds["own_passes"]
    rows = [
        Row(
            "judging one replica of all agents: against two passes",
            f"{milliseconds(seconds['judge'])}, {ratio:.2f} × ({own:.2f} × by our own products, floor 2.67)",
            "≤ 2 × one actor and critic pass",
            ratio <= 2,
            seconds | {"ratio": ratio, "ratio_to_own_products": own},
        )
    ]
    small = learner_of(Sac(hidden=(58, 59)))
    judge, referential = judge_of(small, 256)
    direction = referential - small.theta
    count = small.policy.parameter_count

    few = 16  # states of the first agent: the reference takes N · 256 / 16 times as long

    def explicit() -> None:
        with torch.enable_grad():
            first = (part[0, :few] for part in (judge.choice.observations, judge.choice.noise))
            explicit_form(small.policy, small.theta[0], direction[0], *first)

    quick = medians({"judge": lambda: mixing_metric(judge, small.theta, referential)}, 25)
    slow = medians({"explicit": explicit}, 1, warm=0)
    explicit_time = AGENTS * (256 / few) * slow["explicit"]
    ratio = explicit_time / quick["judge"]
    rows.append(
        Row(
            f"judging one replica of all agents: against the explicit Fisher, d = {count}",
            f"{ratio:,.0f} × ({milliseconds(quick['judge'])}; {explicit_time:.3g} s)",
            "≥ 1 000 ×",
            ratio >= 1000,
            {"judge": quick["judge"], "explicit": explicit_time, "ratio": ratio},
        )
    )
    return rows


@torch.no_grad()
def jury() -> Row:
    """What peers add: three jurors of every agent answer one question each, on 256 states."""
    learner = learner_of(Sac())
    judge, referential = judge_of(learner, 256)
    states, taken = judge.choice.observations, judge.choice.unit_actions
    jurors = [(agent + step) % AGENTS for agent in range(AGENTS) for step in (1, 2, 3)]
    shape = (learner.policy, learner.theta, referential, learner.alpha, judge.choice)

    def asked() -> Tensor:
        return question(*shape).packed().repeat_interleave(3, dim=0)

    packed, sizes = asked(), (OBSERVATION, ACTION)

    def answered() -> None:
        critics = learner.critics[jurors]
        answer(lambda seen, done: learner.critic.min_q(critics, seen, done), packed, 256, sizes)

    def passes() -> None:
        learner.policy.output(learner.theta, states)
        learner.critic.q_values(learner.critics, states, taken)

    seconds = medians({"question": asked, "answers": answered, "passes": passes}, 7)
    ratio = (seconds["question"] + seconds["answers"]) / seconds["passes"]
    return Row(
        "judging one replica of all agents by three peers each: against two passes",
        f"{ratio:.2f} × {milliseconds(seconds['passes'])} (floor 5.2: two values of two critics, three times)",
        "≤ 4 × one actor and critic pass",
        ratio <= 4,
        seconds | {"ratio": ratio},
    )


def rows() -> list[Row]:
    """All rows about learning and judging."""
    return [acting(), *update(256, 9), *update(64, 25), *judging(), jury()]
