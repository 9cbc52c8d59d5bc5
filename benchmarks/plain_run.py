"""The reference for a whole run: the published loop in the most direct code, one agent after the other.

TraCI over a socket, agents of torch modules with lists as replay, rounds by copies with a checksum, judged
agent by agent: A⁺ of eq. (3), the Fisher form of eq. (4) by `torch.func.jvp` through the modules, ζ by the rule
`trust-region`.
"""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, jvp

from benchmarks.plain_agents import PlainAgent, Transition
from benchmarks.plain_environment import PlainEnvironment
from rsm.config.run import RunConfig
from rsm.exchange.segments import segment_slices
from rsm.exchange.topology import neighbourhood
from rsm.sac.learner import Learner
from rsm.sac.reference import flat_parameters, network_of


class PlainRun:
    """A run of `rsm` with the rule `trust-region` under way, without checkpoints and tables."""

    def __init__(self, config: RunConfig, env: PlainEnvironment, learner: Learner) -> None:
        self.config, self.env, self.sizes = config, env, learner.policy.sizes
        self.scale, sac = learner.policy.scale, config.sac
        self.agents = [PlainAgent(learner, number, sac) for number in range(learner.agents)]
        self.random, self.noise = random.Random(0), torch.Generator().manual_seed(0)
        self.draw = np.random.default_rng(0)
        topology = config.communication.topology
        self.neighbours = neighbourhood(topology, learner.agents, self.draw)
        self.updates = 0

    def episode(self, seed: int, decisions: int, learns: bool = True, updates: bool = True) -> None:
        """Drive so many decisions; evaluations learn nothing and drive by mean actions."""
        env = self.env
        states = torch.from_numpy(env.reset(seed))
        for _ in range(decisions):
            noise = torch.randn(len(self.agents), 1, generator=self.noise) * learns
            with torch.no_grad():
                actions = [
                    agent.act(states[i : i + 1], noise[i : i + 1])[0][0]
                    for i, agent in enumerate(self.agents)
                ]
            driven = (torch.stack(actions).flatten() * self.scale).numpy()
            reward = 0.0
            for _ in range(self.config.traffic.steps_held):
                observed, gained = env.step(driven)
                reward += gained
            following = torch.from_numpy(observed)
            if learns:
                for i, agent in enumerate(self.agents):
                    step = Transition(states[i], actions[i], reward, following[i], 0.0)
                    agent.replay.append(step)
                if updates:
                    self.learn()
            states = following
        env.stop()

    def learn(self) -> None:
        """One update of every agent, and a round after every U of them."""
        sac = self.config.sac
        for agent in self.agents:
            noise = torch.randn(2, sac.batch_size, 1, generator=self.noise)
            agent.update(agent.sample(self.random), noise)
        self.updates += 1
        if self.updates % self.config.communication.period == 0:
            self.communicate()

    def communicate(self) -> None:
        """Every agent asks for K replicas of P segments, and mixes them one after the other."""
        settings = self.config.communication
        sent = [flat_parameters(agent.actor) for agent in self.agents]
        heard = self.neighbours(self.positions())
        for i, agent in enumerate(self.agents):
            peers = np.flatnonzero(heard[i])
            for _ in range(min(settings.replicas, len(peers))):
                parts = min(settings.segments, len(peers))
                sources = self.draw.choice(peers, parts, replace=False)
                replica = joined(sent, sources.tolist())
                own = flat_parameters(agent.actor)
                zeta = self.zeta(agent, own, replica)
                agent.actor.load_state_dict(
                    network_of(own.lerp(replica, zeta), self.sizes).state_dict()
                )

    def zeta(self, agent: PlainAgent, own: Tensor, replica: Tensor) -> float:
        """How far to move: A⁺ and q on recent states of this agent."""
        mixing = self.config.mixing
        recent = agent.replay[-mixing.recent :]
        states = torch.stack(
            [step.observation for step in self.random.choices(recent, k=mixing.judged_states)]
        )
        noise = torch.randn(mixing.judged_states, 1, generator=self.noise)
        alpha, kept = agent.log_alpha.exp(), agent.actor
        values = []
        with torch.no_grad():
            for actor in (network_of(replica, self.sizes), kept):
                agent.actor = actor
                actions, log_pi = agent.act(states, noise)
                q = agent.q_values(agent.critics, states, actions).amin(dim=0)
                values.append(q - alpha * log_pi)
        agent.actor = kept
        if float((values[0] - values[1]).mean()) <= 0:
            return 0.0
        names = dict(kept.named_parameters())
        direction = dict(network_of(replica - own, self.sizes).named_parameters())
        output, tangent = jvp(
            lambda parameters: functional_call(kept, parameters, (states,)), (names,), (direction,)
        )
        std = output[:, 1:].exp()
        form = ((tangent[:, :1] / std).square() + 2 * tangent[:, 1:].square()).mean()
        return min(mixing.zeta_max, float((2 * mixing.kl_limit / form.detach()).sqrt()))

    def positions(self) -> NDArray[np.float64]:
        """Where the learning vehicles are, [N, 2] in metres."""
        vehicles = self.env.connection.vehicle
        return np.array([vehicles.getPosition(name) for name in self.env.learners])


def joined(sent: list[Tensor], sources: list[int]) -> Tensor:
    """A replica from one segment of each source, copied and checksummed."""
    replica = torch.empty_like(sent[0])
    for peer, part in zip(sources, segment_slices(len(replica), len(sources)), strict=True):
        data = sent[peer][part].numpy().tobytes()
        if zlib.crc32(data) == zlib.crc32(bytes(data)):
            replica[part] = torch.from_numpy(np.frombuffer(data, np.float32).copy())
    return replica
