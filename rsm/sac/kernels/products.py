"""Products of M pairs of matrices, written into buffers that exist already.

One batched product serves all agents, with two exceptions that profiles asked for. Wide matrices go pair by
pair through oneDNN (part of every CPU build of torch), which uses AVX-512 also where the library behind
`torch.bmm` does not: twice as fast at hidden 256, slower below `WIDE`, where its cost per call outweighs that.
And a product with a thin matrix is formed column by column, transposed to rows, since that library is up to ten
times slower with few columns than with one row. Both are of the CPU; on another device one call serves all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WIDE = 128  # rows, columns and inner size from which oneDNN was measured to pay, float32
THIN = 4  # columns up to which one by one was measured to pay

# Kept by torch for its own compiler: a torch without it goes through torch.bmm. Not differentiable,
# so nothing here is used where gradients are traced.
_linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_threshold_backward = torch.ops.aten.threshold_backward.grad_input


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """`out[m] = left[m] @ right[m]` for `left: [M, R, K]` and `right: [M, K, C]`; returns `out`."""
    if right.shape[1] == 1:
        return torch.mul(left, right, out=out)
    if _thin(right):
        for one, place in zip(right.split(1, dim=2), out.split(1, dim=2), strict=True):
            torch.bmm(one.mT, left.mT, out=place.mT)
        return out
    if _wide(left, right):
        # Copied one by one: results that live together are returned to the system and faulted in again.
        for one, other, place in zip(left.unbind(), right.mT.unbind(), out.unbind(), strict=True):
            place.copy_(_linear(one, other, None, "none", [], ""))
        return out
    return torch.bmm(left, right, out=out)


def affine(inputs: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """`out[m] = inputs[m] @ weight[m] + bias[m]` for `[M, B, in]`, `[M, in, out]`, `[M, 1, out]`."""
    if _thin(weight):
        columns = (part.split(1, dim=2) for part in (bias, weight, out))
        for constant, one, place in zip(*columns, strict=True):
            torch.baddbmm(constant, one.mT, inputs.mT, out=place.mT)
        return out
    if _wide(inputs, weight):
        rows = zip(
            inputs.unbind(), weight.mT.unbind(), bias[:, 0].unbind(), out.unbind(), strict=True
        )
        for one, other, constant, place in rows:
            place.copy_(_linear(one, other, constant, "none", [], ""))
        return out
    return torch.baddbmm(bias, inputs, weight, out=out)


def relu_backward(flow: Tensor, output: Tensor) -> Tensor:
    """`flow` in place, 0 where the `output` of a ReLU is not positive: ATen's own backward kernel."""
    masked: Tensor = _threshold_backward(flow, output, 0.0, grad_input=flow)
    return masked


def _thin(right: Tensor) -> bool:
    return right.shape[2] <= THIN and right.device.type == "cpu"


def _wide(left: Tensor, right: Tensor) -> bool:
    return (
        _linear is not None
        and left.dtype == torch.float32
        and left.device.type == "cpu"
        and min(*left.shape[1:], right.shape[2]) >= WIDE
    )
