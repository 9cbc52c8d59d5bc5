"""What happens in a communication round: who asks, what comes, and in which order it is mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rsm.exchange.replicas import Came, Post, Slot, Vectors, gather, numpy_type
from rsm.methods.context import Context, Method


def synchronous_round(
    shared: Tensor, method: Method, server: bool, judged: bool, hold: Exchange
) -> Tensor:
    """One round of all agents: everybody sends what it had when the round began.

    `shared: [N, D]` are the agents' parameters; returns the new ones, so that the result does not depend on
    the order in which agents are visited.
    """
    context = hold.context
    held: list[Vectors | None] = list(hold.sent(shared).cpu().numpy())
    held.append(None)  # the server has nothing yet
    if server:
        came = hold.come([context.server], method, held, shared)
        if came.lost.sum() < came.replicas:  # somebody was heard
            nothing = torch.zeros_like(shared[:1])
            held[context.server] = method.mix(nothing, came, context)[0].cpu().numpy()
    agents = context.reachable
    came = hold.come(agents, method, held, shared)
    if len(agents) == context.agents:
        return mixed(shared, came, method, judged, context)
    shared = shared.clone()
    if agents:
        shared[agents] = mixed(shared[agents], came, method, judged, context)
    return shared


def sequential_round(shared: Tensor, method: Method, judged: bool, hold: Exchange) -> Tensor:
    """One round of the published code: agents in turn, each with what the others have by then.

    A later agent receives parameters that were already mixed in this round. Shapes as in `synchronous_round`.
    """
    shared = shared.clone()
    for agent in hold.context.reachable:
        held = list(hold.sent(shared).cpu().numpy())
        came = hold.come([agent], method, held, shared)
        shared[agent] = mixed(shared[agent : agent + 1], came, method, judged, hold.context)[0]
    return shared


def mixed(own: Tensor, came: Came, method: Method, judged: bool, context: Context) -> Tensor:
    """New parameters `[R, D]` of receivers with parameters `own: [R, D]`."""
    if not judged:
        return method.mix(own, came, context)
    for k in range(came.replicas):
        own = method.mix(own, came.only(k), context)
    return own


class Exchange(NamedTuple):
    """One round's context, and where its frames go."""

    context: Context
    post: Post
    sent: Callable[[Tensor], Tensor] = torch.detach  # true parameters [N, D] → what is sent

    def come(
        self, nodes: Iterable[int], method: Method, held: Sequence[Vectors | None], like: Tensor
    ) -> Came:
        """What comes for these nodes, where node j has `held[j]`."""
        asks = {node: method.ask(node, self.context) for node in nodes}
        length, dtype = like.shape[1], numpy_type(like)
        return gather(asks, held.__getitem__, self._answers, self.post, length, dtype)

    def _answers(self, peer: int, request: Slot) -> bool:
        asks, context = request.sender, self.context
        agents = max(asks, peer) < context.agents
        reachable = agents and bool(context.neighbours[asks, peer])
        return reachable and request.replica < context.settings.replicas
