"""Limits of the machine: the float32 rate of batched products and of one large product."""

from __future__ import annotations

import torch

from benchmarks.measure import medians


def product_rates(networks: int, batch: int, width: int, repeats: int = 15) -> dict[str, float]:
    """FLOP/s of `torch.bmm` on `networks` products of batch × width × width, and of a 2048³ product."""
    left, right = torch.randn(networks, batch, width), torch.randn(networks, width, width)
    out = torch.empty(networks, batch, width)
    large = torch.randn(2048, 2048)
    seconds = medians(
        {"batched": lambda: torch.bmm(left, right, out=out), "large": lambda: large @ large},
        repeats,
    )
    return {
        "batched": 2 * networks * batch * width * width / seconds["batched"],
        "large": 2 * 2048**3 / seconds["large"],
    }
