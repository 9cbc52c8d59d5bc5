"""Common parts of aggregators that tolerate faulty neighbours: whom to ask, how to stack values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rsm.exchange.replicas import Came

Aggregate = Callable[[Tensor], Tensor]  # values [n, D] of one receiver, its own first → [D]


def aggregated(own: Tensor, came: Came, least: int, aggregate: Aggregate) -> Tensor:
    """`aggregate` of own and received parameters, for each of R receivers with `own: [R, D]`.

    A receiver with fewer than `least` values, its own included, keeps its own: too few to outvote an attacker.
    """
    mixed = own.clone()
    for row, received in came.whole():
        if received and 1 + len(received) >= least:
            others = torch.stack([torch.from_numpy(values.copy()) for values in received])
            mixed[row] = aggregate(torch.cat((own[row : row + 1], others.to(own))))
    return mixed
