"""Products of M pairs of matrices and what goes with them, written into buffers that exist already.

One batched product serves all agents. On the processor its speed depends on the library behind `torch.bmm`:
MKL in the wheels of PyPI, which uses AVX-512 on Intel processors.
"""

from __future__ import annotations

import torch
from torch import Tensor

_threshold_backward = torch.ops.aten.threshold_backward.grad_input


def product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """`out[m] = left[m] @ right[m]` for `left: [M, R, K]` and `right: [M, K, C]`; returns `out`."""
    if right.shape[1] == 1:  # an outer product is faster as a broadcast
        return torch.mul(left, right, out=out)
    return torch.bmm(left, right, out=out)


def affine(inputs: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """`out[m] = inputs[m] @ weight[m] + bias[m]` for `[M, B, in]`, `[M, in, out]`, `[M, 1, out]`.

    `torch.baddbmm` would first copy the bias to every row, and read it again.
    """
    return torch.bmm(inputs, weight, out=out).add_(bias)


def relu_backward(gradient: Tensor, output: Tensor) -> Tensor:
    """`gradient`, set to 0 in place where the `output` of a ReLU is not positive, by ATen's backward kernel."""
    masked: Tensor = _threshold_backward(gradient, output, 0.0, grad_input=gradient)
    return masked
