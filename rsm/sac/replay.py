"""The replay of N agents: one preallocated tensor, a ring per agent, all rings in step."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Batch(NamedTuple):
    """Transitions of N agents, B each."""

    observations: Tensor  # [N, B, O]
    unit_actions: Tensor  # [N, B, A], tanh(u): exactly ±1 in float32 where |u| > 9
    log_density: Tensor  # [N, B], log μ(y|s) of the policy that acted, finite also where y is ±1
    rewards: Tensor  # [N, B], discounted sum of up to n
    next_observations: Tensor  # [N, B, O], after them
    discount: Tensor  # [N, B], of the value there: γ to their number, 0 after a collision


class Replay:
    """The last `capacity` transitions of each of N agents."""

    def __init__(
        self,
        agents: int,
        capacity: int,
        observation_size: int,
        action_size: int,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.agents, self.capacity = agents, capacity
        self._widths = (observation_size, action_size, 1, 1, observation_size, 1)
        self._data = torch.zeros(agents, capacity, sum(self._widths), device=device, dtype=dtype)
        self._offsets = torch.arange(agents, device=device).unsqueeze(1) * capacity
        self._added = 0
        # All rings are in step, so one episode number serves the transitions of all agents at a place.
        # On the host, whatever the device: it is only looked at to choose ages.
        self._episodes = np.zeros(capacity, dtype=np.int64)
        self._episode = 0
        self._began = np.zeros(
            agents, dtype=np.int64
        )  # transitions of all before an agent began anew

    def forget(self, agent: int) -> None:
        """Reset an agent: its stored transitions are no longer drawn."""
        self._began[agent] = self._added

    @property
    def stored(self) -> NDArray[np.int64]:
        """Transitions that each agent may draw from, `[N]`."""
        return np.minimum(self._added - self._began, self.capacity)

    def __len__(self) -> int:
        """Transitions stored, per agent."""
        return min(self._added, self.capacity)

    def add(
        self,
        observations: Tensor,
        unit_actions: Tensor,
        log_density: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        discount: Tensor,
    ) -> None:
        """Store one transition per agent: shapes as in `Batch` without B."""
        numbers = (log_density, rewards, discount)
        log_density, rewards, discount = (values.unsqueeze(1) for values in numbers)
        parts = (observations, unit_actions, log_density, rewards, next_observations, discount)
        torch.cat(parts, dim=1, out=self._data[:, self._added % self.capacity])
        self._episodes[self._added % self.capacity] = self._episode
        self._added += 1

    def end_episode(self) -> None:
        """What is added from now on belongs to another episode."""
        self._episode += 1

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Transitions drawn uniformly with replacement, for each agent its own."""
        return self._draw(batch_size, len(self), generator)

    def sample_together(self, batch_size: int, generator: torch.Generator) -> Batch:
        """The same with one draw for all agents: a row is one moment, seen by everybody."""
        shape, device = (1, batch_size), self._data.device
        age = torch.randint(len(self), shape, generator=generator, device=device)
        return self._of_age(age.expand(self.agents, -1))

    def sample_recent(
        self,
        batch_size: int,
        recent: int,
        generator: torch.Generator,
        fold: int = 0,
        folds: int = 1,
        agent: int | None = None,
    ) -> Batch:
        """The same among the `recent` latest transitions: the best proxy of d^π in the replay.

        Those of one `agent` alone, [1, B], draw nothing for the others.

        With several `folds`, of these only those of one fold. Batches of different folds share no transition,
        and no episode unless the window holds too little but one (`_fold`). Raises ValueError where there are
        fewer transitions than folds.
        """
        window = min(recent, len(self))
        if window < folds:
            raise ValueError(f"{window} transitions cannot be parted in {folds} folds")
        if folds == 1:
            return self._draw(batch_size, window, generator, agent)
        ages = torch.from_numpy(self._fold(window, fold, folds)).to(self._data.device)
        shape = (self.agents if agent is None else 1, batch_size)
        drawn = torch.randint(len(ages), shape, generator=generator, device=ages.device)
        return self._of_age(ages[drawn], agent)

    def latest(self, count: int) -> Batch:
        """The `count` latest transitions of each agent, the newest first; all where there are fewer."""
        age = torch.arange(min(count, len(self)), device=self._data.device)
        return self._of_age(age.repeat(self.agents, 1))

    def _fold(self, window: int, fold: int, folds: int) -> NDArray[np.int64]:
        """Ages, below `window`, of the transitions of one fold.

        Fold f has the episodes whose number is f modulo `folds`. This could leave a fold less than a quarter
        of its fair share: the window holds one episode, or one and the beginning of another. Then the window
        is parted by time, fold 0 being the latest, and a tenth of it is left out between two folds, since
        states that follow one another are alike.
        """
        ages = np.arange(window)
        number = self._episodes[(self._added - 1 - ages) % self.capacity] % folds
        if int(np.bincount(number, minlength=folds).min()) * folds * 4 >= window:
            return ages[number == fold]
        gap = window // 10 if folds * (window // 10) < window // 2 else 0
        size = (window - gap * (folds - 1)) // folds
        return ages[fold * (size + gap) :][:size]

    def _draw(
        self,
        batch_size: int,
        window: int,
        generator: torch.Generator,
        agent: int | None = None,
    ) -> Batch:
        stored, device = self.stored, self._data.device
        if agent is not None:
            stored = stored[agent : agent + 1]
        shape = (len(stored), batch_size)
        if (stored >= window).all():
            ages = torch.randint(window, shape, generator=generator, device=device)
            return self._of_age(ages, agent)
        # A newcomer without any transition draws the last one of its predecessor.
        windows = torch.from_numpy(np.clip(stored, 1, window)).to(device).unsqueeze(1)
        drawn = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        return self._of_age((drawn * windows).long(), agent)

    def _of_age(self, age: Tensor, agent: int | None = None) -> Batch:
        """Transitions by `age: [N, B]`, 0 being the latest; of one agent by `[1, B]`."""
        offsets = self._offsets if agent is None else self._offsets[agent : agent + 1]
        rows = (self._added - 1 - age) % self.capacity + offsets
        drawn = self._data.flatten(0, 1).index_select(0, rows.flatten())
        parts = drawn.view(*age.shape, -1).split(self._widths, dim=2)
        observations, unit_actions, log_density, rewards, next_observations, discount = parts
        return Batch(
            observations,
            unit_actions,
            log_density.squeeze(2),
            rewards.squeeze(2),
            next_observations,
            discount.squeeze(2),
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the stored transitions, their episodes, and how many were ever added."""
        stored = self._data[:, : len(self)]
        # A view would be saved with all of the storage behind it, empty or not.
        return {
            "data": stored if len(self) == self.capacity else stored.clone(),
            "added": self._added,
            "episodes": torch.from_numpy(self._episodes[: len(self)].copy()),
            "episode": self._episode,
            "began": self._began.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._added = state["added"]
        self._data[:, : len(self)] = state["data"]
        self._episodes[: len(self)] = state["episodes"].numpy()
        self._episode = state["episode"]
        self._began[:] = state["began"]


class NStepReturns:
    """Turns single steps into n-step transitions and stores them (Sutton and Barto, chapter 7).

    A transition holds Σ γᵏ rₜ₊ₖ of up to n steps and γ to their number; a collision cuts both short,
    for its own agent. The last steps of an episode get fewer. Rewards were collected by older
    policies, and the entropies of the actions between are left out, as is usual for n-step SAC.
    """

    def __init__(self, replay: Replay, steps: int, gamma: float) -> None:
        self._replay, self._steps, self._gamma = replay, steps, gamma
        self._pending: deque[tuple[Tensor, ...]] = deque()

    def add(
        self,
        observations: Tensor,
        unit_actions: Tensor,
        log_density: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        terminated: Tensor,
    ) -> None:
        """One step of every agent; `terminated: [N]` after a collision. Other shapes as in `Replay.add`."""
        step = (observations, unit_actions, log_density, rewards, next_observations, terminated)
        self._pending.append(step)
        if len(self._pending) == self._steps:
            self._store()

    def flush(self) -> None:
        """The episode is over: store what still waits for more steps."""
        while self._pending:
            self._store()
        self._replay.end_episode()

    def _store(self) -> None:
        """Store the oldest pending step with all that followed it, and forget it."""
        first, *later = self._pending
        observations, unit_actions, log_density, rewards, _, terminated = first
        discount = self._gamma * (1 - terminated.to(rewards.dtype))
        for _, _, _, reward, _, terminated in later:
            rewards = rewards + discount * reward
            discount = self._gamma * discount * (1 - terminated.to(rewards.dtype))
        next_observations = self._pending[-1][4]
        self._replay.add(
            observations, unit_actions, log_density, rewards, next_observations, discount
        )
        self._pending.popleft()
