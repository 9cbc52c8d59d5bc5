"""A step of the traffic as the learner sees it: tensors on its device, checked to be finite."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config.learning import Sac
from rsm.sac.device import moved_together
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.slots import Slots
from rsm.training.finite import Watch


class Outcome(NamedTuple):
    """The result of one decision of N agents."""

    states: Tensor  # what the next decision is made on, [N, O]
    rewards: Tensor  # shifted and scaled by the settings, [N]
    terminated: Tensor  # whether a collision ended the episode, [N]
    over: bool  # whether the episode has ended, by a collision or by its horizon
    ends: Tensor  # what the transitions end with, [N, O]: `states`, but of a vehicle that left its last
    slots: Slots | None  # of an open road: who had a vehicle, and whose has left


def first_states(env: TrafficEnv, seed: int, device: torch.device) -> Tensor:
    """The observations that an episode of this seed begins with, [N, O]."""
    return torch.from_numpy(env.reset(seed)).to(device)


def drive(
    env: TrafficEnv, unit_actions: Tensor, settings: Sac, watch: Watch, device: torch.device
) -> Outcome:
    """Drive one decision with actions `[N, A]` in (−1, 1); raises Diverged for what is not finite."""
    step = env.step(watch.to_host(unit_actions).numpy() * env.action_limit)
    watch.driven(step)
    states, rewards = torch.from_numpy(step.observation), torch.from_numpy(step.reward)
    rewards = (rewards + settings.reward_shift) * settings.reward_scale
    terminated = torch.from_numpy(step.terminated)
    states, rewards, terminated = moved_together(device, states, rewards, terminated)
    ends = states
    if step.slots is not None:
        ends = torch.from_numpy(step.slots.last).to(device)
    return Outcome(states, rewards, terminated, step.over, ends, step.slots)
