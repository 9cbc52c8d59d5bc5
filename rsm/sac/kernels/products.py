"""Products of M pairs of matrices, written into buffers that exist already.

One batched product serves all agents. On the processor a product with a thin matrix is formed column by column,
transposed to rows, since the library behind `torch.bmm` is up to ten times slower with few columns than with
one row.
"""

from __future__ import annotations

import torch
from torch import Tensor

THIN = 4  # columns up to which one by one was measured to pay

_threshold_backward = torch.ops.aten.threshold_backward.grad_input


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """`out[m] = left[m] @ right[m]` for `left: [M, R, K]` and `right: [M, K, C]`; returns `out`."""
    if right.shape[1] == 1:
        return torch.mul(left, right, out=out)
    if _thin(right):
        for one, place in zip(right.split(1, dim=2), out.split(1, dim=2), strict=True):
            torch.bmm(one.mT, left.mT, out=place.mT)
        return out
    return torch.bmm(left, right, out=out)


def affine(inputs: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """`out[m] = inputs[m] @ weight[m] + bias[m]` for `[M, B, in]`, `[M, in, out]`, `[M, 1, out]`."""
    if _thin(weight):
        columns = (part.split(1, dim=2) for part in (bias, weight, out))
        for constant, one, place in zip(*columns, strict=True):
            torch.baddbmm(constant, one.mT, inputs.mT, out=place.mT)
        return out
    return torch.baddbmm(bias, inputs, weight, out=out)


def relu_backward(gradient: Tensor, output: Tensor) -> Tensor:
    """`gradient`, set to 0 in place where the `output` of a ReLU is not positive, by ATen's backward kernel."""
    masked: Tensor = _threshold_backward(gradient, output, 0.0, grad_input=gradient)
    return masked


def _thin(right: Tensor) -> bool:
    return right.shape[2] <= THIN and right.device.type == "cpu"
