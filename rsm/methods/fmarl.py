"""`fmarl`: centralised federated MARL, the reference that the paper compares with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rsm.exchange.replicas import Ask, Came
from rsm.methods.context import Context


def ask(node: int, context: Context) -> Ask:
    """The server asks all agents for their parameters, and they ask it for what it made of them."""
    peers = context.reachable if node == context.server else [context.server]
    return Ask([[peer] for peer in peers], standing=True)


def mix(own: Tensor, came: Came, context: Context) -> Tensor:
    """The server takes the mean of what arrived, an agent takes what the server sent, if it arrived."""
    mixed = own.clone()
    for row, received in came.whole():
        if received:
            mixed[row] = torch.from_numpy(np.mean(received, axis=0)).to(own.device)
    return mixed
