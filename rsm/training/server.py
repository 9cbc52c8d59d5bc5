"""The central server of a method that has one, where frames take time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rsm.exchange.replicas import Came, Vectors
from rsm.methods.context import Context, Method


class Server:
    """What has come from every agent, and what the method makes of it."""

    def __init__(self, method: Method, like: Tensor) -> None:
        """`like: [D]` has the length, type and device of what an agent shares."""
        self._method, self._like = method, like
        self.latest: dict[int, Vectors] = {}  # agent → parameters [D]
        self.rounds: dict[int, int] = {}  # agent → its round in which they came
        self.in_step = False  # waits for all, and answers once, where rounds are in step
        self.listens = True

    def hear(self, agent: int, number: int, values: Vectors) -> None:
        """Parameters of an agent's round; those of its earlier rounds are replaced."""
        self.latest[agent], self.rounds[agent] = values, number

    def begin_in_step(self) -> None:
        """A round in step begins: nobody has been heard in it."""
        self.in_step = self.listens = True
        self.latest.clear()

    def made(self, context: Context) -> Vectors:
        """What the server makes of what it has, `[D]`."""
        agents = sorted(self.latest)
        segments: list[list[Vectors | None]] = [[self.latest[agent]] for agent in agents]
        came = Came([context.server], [[[agent] for agent in agents]], [segments], len(self._like))
        mixed = self._method.mix(torch.zeros_like(self._like).unsqueeze(0), came, context)
        values: Vectors = mixed[0].cpu().numpy()
        return values

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        latest = [(agent, torch.from_numpy(v.copy())) for agent, v in self.latest.items()]
        flags = {"in_step": self.in_step, "listens": self.listens}
        return {"latest": latest, "rounds": list(self.rounds.items())} | flags

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.latest = {agent: values.numpy() for agent, values in state["latest"]}
        self.rounds = dict(state["rounds"])
        self.in_step, self.listens = state["in_step"], state["listens"]
