"""What agents share, and what they send of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rsm.config.catalogue import METHODS
from rsm.config.run import RunConfig
from rsm.exchange.attacks import sent_parameters
from rsm.sac.learner import Learner
from rsm.seeding import Stream, torch_generator
from rsm.training.roster import unlike_agents


class Sharing:
    """The parameters that travel: actors, then the critics where they travel too (`communication.share`).

    Target critics and the moments of Adam never travel and stay the agents' own.
    """

    def __init__(self, config: RunConfig, learner: Learner) -> None:
        self.learner = learner
        self.length = learner.policy.parameter_count  # D
        traits = METHODS[config.method]
        self._critics = traits.exchanges and config.communication.share == "actor+critic"
        if self._critics:
            self.length += 2 * learner.critic.parameter_count
        self.attackers = unlike_agents(config, learner.agents, "attack")
        self._kind = config.attack.kind
        self._attacking = torch_generator(config.seed, Stream.ATTACK, learner.theta.device)
        self._start = self.all()

    def all(self) -> Tensor:
        """A copy of what every agent shares, `[N, D]`."""
        learner = self.learner
        if not self._critics:
            return learner.theta.detach().clone()
        return torch.cat((learner.theta, learner.critics.flatten(1)), dim=1).detach()

    def sent(self, shared: Tensor) -> Tensor:
        """What all agents send, `[N, D]`, of what they have."""
        shared = shared.detach()
        return sent_parameters(self._kind, shared, self._start, self.attackers, self._attacking)

    def split(self, shared: Tensor, agents: list[int]) -> tuple[Tensor, Tensor]:
        """Actors `[R, d]` and critics `[R, 2, c]` of R agents; their own critics where these do not travel."""
        size, critics = self.learner.policy.parameter_count, self.learner.critics
        if shared.shape[1] == size:
            return shared, critics if len(agents) == len(critics) else critics[agents]
        return shared[:, :size], shared[:, size:].unflatten(1, (2, -1))

    def take(self, shared: Tensor, agents: list[int] | None = None) -> None:
        """New parameters `[R, D]` of R agents, by default of all."""
        rows: list[int] | slice = slice(None) if agents is None else agents
        chosen = list(range(self.learner.agents)) if agents is None else agents
        actors, critics = self.split(shared, chosen)
        self.learner.theta.detach()[rows] = actors
        if self._critics:
            self.learner.critics.detach()[rows] = critics

    @property
    def spread(self) -> float:
        """Root mean square distance of the actors from their mean."""
        theta = self.learner.theta.detach()
        return float((theta - theta.mean(dim=0)).square().sum(dim=1).mean().sqrt())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"attacking": self._attacking.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._attacking.set_state(state["attacking"])
