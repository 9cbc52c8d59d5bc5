"""The replay of N agents: one preallocated tensor, a ring per agent.

Where every agent always acts, all rings are in step, and one draw of ages serves all. Slots of an open road do
not: each stores only what its own vehicles did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsm.sac.folds import fold_ages, fold_of_each


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
        self._added = np.zeros(agents, dtype=np.int64)  # by each agent, ever
        self._in_step = True  # all have added the same number
        # On the host, whatever the device: it is only looked at to choose ages.
        self._episodes = np.zeros((agents, capacity), dtype=np.int64)
        self._episode = 0
        self._began = np.zeros(agents, dtype=np.int64)  # what was added before an agent began anew

    def forget(self, agent: int) -> None:
        """Reset an agent: its stored transitions are no longer drawn."""
        self._began[agent] = self._added[agent]

    @property
    def stored(self) -> NDArray[np.int64]:
        """Transitions that each agent may draw from, `[N]`."""
        return np.minimum(self._added - self._began, self.capacity)

    def __len__(self) -> int:
        """Transitions stored by an agent, the most of all."""
        return min(int(self._added.max()), self.capacity)

    def add(
        self,
        observations: Tensor,
        unit_actions: Tensor,
        log_density: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        discount: Tensor,
        acted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Store one transition per agent: shapes as in `Batch` without B.

        `acted: [N]` says whose there is one; all by default. What stands in the rows of others is not read.
        """
        numbers = (log_density, rewards, discount)
        log_density, rewards, discount = (values.unsqueeze(1) for values in numbers)
        parts = (observations, unit_actions, log_density, rewards, next_observations, discount)
        if self._in_step and (acted is None or acted.all()):
            place = int(self._added[0]) % self.capacity
            torch.cat(parts, dim=1, out=self._data[:, place])
            self._episodes[:, place] = self._episode
            self._added += 1
            return
        self._in_step = False
        agents = np.arange(self.agents) if acted is None else np.flatnonzero(acted)
        places = self._added[agents] % self.capacity
        rows = torch.from_numpy(agents).to(self._data.device)
        self._data[rows, torch.from_numpy(places).to(rows.device)] = torch.cat(parts, dim=1)[rows]
        self._episodes[agents, places] = self._episode
        self._added[agents] += 1

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
        generator: torch.Generator | Mapping[int, torch.Generator],
        fold: int = 0,
        folds: int = 1,
    ) -> Batch:
        """The same among the `recent` latest transitions: the best proxy of d^π in the replay.

        With a generator of each of some agents these alone draw, in their order: R of them get [R, B].

        With several `folds`, of these only those of one fold. Batches of different folds share no transition,
        and no episode unless the window holds too little but one (rsm.sac.folds). Raises ValueError where
        there are fewer transitions than folds.
        """
        window = min(recent, len(self))
        if window < folds:
            raise ValueError(f"{window} transitions cannot be parted in {folds} folds")
        if folds == 1:
            return self._draw(batch_size, window, generator)
        if not self._in_step:
            return self._draw_fold(batch_size, window, generator, fold, folds)
        places = (self._added[0] - 1 - np.arange(window)) % self.capacity
        allowed = fold_ages(self._episodes[0, places], fold, folds)
        ages, chosen = torch.from_numpy(allowed).to(self._data.device), None
        if isinstance(generator, torch.Generator):
            shape = (self.agents, batch_size)
            drawn = torch.randint(len(ages), shape, generator=generator, device=ages.device)
        else:
            chosen = list(generator)
            rows = [
                torch.randint(len(ages), (batch_size,), generator=own, device=ages.device)
                for own in generator.values()
            ]
            drawn = torch.stack(rows)
        return self._of_age(ages[drawn], chosen)

    def latest(self, count: int) -> Batch:
        """The `count` latest transitions of each agent, the newest first; all where there are fewer.

        Who has stored fewer than others has zeros in place of the rest.
        """
        age = torch.arange(min(count, len(self)), device=self._data.device)
        return self._of_age(age.repeat(self.agents, 1))

    def _draw_fold(
        self,
        batch_size: int,
        window: int,
        generator: torch.Generator | Mapping[int, torch.Generator],
        fold: int,
        folds: int,
    ) -> Batch:
        """The same where agents have stored different numbers: each parts its own window.

        Who has fewer transitions than folds draws its latest in every fold.
        """
        chosen = None if isinstance(generator, torch.Generator) else list(generator)
        rows = slice(None) if chosen is None else chosen
        windows = np.clip(self.stored[rows], 1, window)[:, None]  # [N, 1]
        places = (self._added[rows, None] - 1 - np.arange(window)) % self.capacity
        episodes = np.take_along_axis(self._episodes[rows], places, axis=1)
        allowed = fold_of_each(episodes, windows, fold, folds)
        device = self._data.device
        order = torch.from_numpy(np.argsort(~allowed, axis=1, kind="stable")).to(device)
        amount = torch.from_numpy(allowed.sum(axis=1, keepdims=True)).to(device)
        alike: dict[str, Any] = {"device": device, "dtype": torch.float64}
        if isinstance(generator, torch.Generator):
            drawn = torch.rand((self.agents, batch_size), generator=generator, **alike)
        else:
            alone = [torch.rand(batch_size, generator=own, **alike) for own in generator.values()]
            drawn = torch.stack(alone)
        return self._of_age(order.gather(1, (drawn * amount).long()), chosen)

    def _draw(
        self,
        batch_size: int,
        window: int,
        generator: torch.Generator | Mapping[int, torch.Generator],
    ) -> Batch:
        if isinstance(generator, torch.Generator):
            return self._of_age(self._ages(self.stored, batch_size, window, generator))
        stored = self.stored
        ages = [
            self._ages(stored[agent : agent + 1], batch_size, window, own)
            for agent, own in generator.items()
        ]
        return self._of_age(torch.cat(ages), list(generator))

    def _ages(
        self, stored: NDArray[np.int64], batch_size: int, window: int, generator: torch.Generator
    ) -> Tensor:
        """Ages `[n, B]` below `window` of n agents that have `stored: [n]` transitions."""
        shape, device = (len(stored), batch_size), self._data.device
        if (stored >= window).all():
            return torch.randint(window, shape, generator=generator, device=device)
        # A newcomer without any transition draws the last one of its predecessor.
        windows = torch.from_numpy(np.clip(stored, 1, window)).to(device).unsqueeze(1)
        drawn = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        return (drawn * windows).long()

    def _of_age(self, age: Tensor, agents: list[int] | None = None) -> Batch:
        """Transitions by `age: [N, B]`, 0 being the latest, or by `[R, B]` of R agents."""
        chosen = slice(None) if agents is None else agents
        added: int | Tensor = int(self._added[0])
        if not self._in_step:
            added = torch.from_numpy(self._added[chosen]).to(age.device).unsqueeze(1)
        rows = (added - 1 - age) % self.capacity + self._offsets[chosen]
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
            "added": self._added.tolist(),
            "in_step": self._in_step,
            "episodes": torch.from_numpy(self._episodes[:, : len(self)].copy()),
            "episode": self._episode,
            "began": self._began.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._added[:] = state["added"]
        self._in_step = state["in_step"]
        self._data[:, : len(self)] = state["data"]
        self._episodes[:, : len(self)] = state["episodes"].numpy()
        self._episode = state["episode"]
        self._began[:] = state["began"]
