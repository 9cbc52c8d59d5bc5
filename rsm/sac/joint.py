"""Multi-agent soft actor-critic: own actors, one critic on the joint observation and action (`masac`).

The scheme is centralised training with decentralised execution, of Lowe et al. 2017 (arXiv:1706.02275): an
actor sees what its agent observes, the critic sees everything. The updates are those of soft actor-critic
(arXiv:1812.05905) in place of DDPG. The objective is the mean of those of the agents of `independent`, so
one pair of critics serves all:

    Q(s, y) = E Σₜ γᵗ (1/N) Σᵢ (rᵢ + αᵢ Hᵢ)        s, y: observations and unit actions of all N agents

where the entropies Hᵢ count from the next decision on. Under a team reward (1/N) Σᵢ rᵢ is that reward, in a
fleet the mean over the loops. With one agent all of it is `Learner`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rsm.sac.learner import Learner, Losses
from rsm.sac.replay import Batch, Replay


class JointLearner(Learner):
    """Actors `theta: [N, d]` and one pair of critics `[1, 2, c]`; gradients by autograd."""

    joint = True

    def draw(self, replay: Replay, generator: torch.Generator) -> Batch:
        """A batch whose rows are moments, the same for all agents."""
        return replay.sample_together(self.settings.batch_size, generator)

    def update(self, batch: Batch, noise: Tensor, agents: list[int] | None = None) -> Losses:
        """One step of critics, actors and temperatures of all agents, then of the targets.

        `batch: [N, B, …]` and `noise: [2, N, B, A]` as in `Learner.update`. The critics' loss is `[1]`.
        """
        assert agents is None  # settings refuse slow agents and newcomers
        alpha = self.alpha.unsqueeze(1)
        states, next_states = joined(batch.observations), joined(batch.next_observations)

        with torch.no_grad():
            actions, log_pi = self.policy.sample(self._actor, batch.next_observations, noise[0])
            next_q = self.critic.min_q(self._targets, next_states, joined(actions))
            # All agents share the end of an episode, hence the discount.
            td_target = batch.rewards.mean(dim=0) + batch.discount[0] * (
                next_q - (alpha * log_pi).mean(dim=0)
            )
        critics = self.critics.detach().requires_grad_()
        q = self.critic.q_values(critics, states, joined(batch.unit_actions))
        critic_loss = (q - td_target).square().mean(dim=2).sum(dim=1)
        self._descend("critic", critic_loss.sum(), critics)

        theta = self.theta.detach().requires_grad_()
        actions, log_pi = self.policy.sample(theta, batch.observations, noise[1])
        min_q = self.critic.min_q(self._critics, states, joined(actions))
        actor_loss = (alpha * log_pi - min_q).mean(dim=1)
        self._descend("actor", actor_loss.mean(), theta)

        entropy = -log_pi.detach().mean(dim=1)
        self._step_temperatures(entropy, None)
        self.targets.lerp_(self.critics, self.settings.tau)
        return Losses(critic_loss.detach(), actor_loss.detach(), entropy)

    def _descend(self, name: str, loss: Tensor, parameters: Tensor) -> None:
        """One step of all actors, or of the critics, down the gradient of `loss`."""
        [gradient] = torch.autograd.grad(loss, parameters)
        adam = self._adams[name]
        adam.gradient.copy_(gradient.view_as(adam.gradient))
        self._step(name, None)


def joined(values: Tensor) -> Tensor:
    """What all agents have, as one row each: `[N, B, W]` → `[1, B, N · W]`."""
    return values.transpose(0, 1).flatten(1)[None]
