"""Multilayer perceptrons whose parameters are rows of one tensor: `[M, d]` is M networks.

A layer is a pair of views into that tensor, so that acting, updating, slicing into segments, mixing and
averaging are operations on one storage, and M networks are one batched product.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rsm.sac.kernels.products import affine, product, relu_backward

Sizes = tuple[int, ...]  # units from input to output, e.g. (6, 256, 256, 2)
Layers = list[tuple[Tensor, Tensor]]  # weights [M, in, out] and biases [M, 1, out]

# Numbers of a hidden layer that stay in a core's cache until the next layer has read them: 1 MiB of float32.
_CACHED = 2**18


def parameter_count(sizes: Sizes) -> int:
    """d, the length of the flat parameter vector of one network."""
    return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))


def initial_parameters(
    sizes: Sizes, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """One flat vector `[d]`, uniform in ±1/sqrt(fan-in) as torch.nn.Linear has it."""
    parts = []
    for inputs, outputs in itertools.pairwise(sizes):
        limit = 1 / math.sqrt(inputs)
        for count in (inputs * outputs, outputs):
            draw = torch.rand(count, generator=generator, dtype=dtype, device=generator.device)
            parts.append((2 * draw - 1) * limit)
    return torch.cat(parts)


def layers(theta: Tensor, sizes: Sizes) -> Layers:
    """The layers of `theta: [M, d]` as views; rows may be strided (a slice of a wider tensor)."""
    views, start = [], 0
    for inputs, outputs in itertools.pairwise(sizes):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        weight = theta[:, start:middle].unflatten(1, (inputs, outputs))
        bias = theta[:, middle:end].unsqueeze(1)
        views.append((weight, bias))
        start = end
    return views


def forward(network: Layers, inputs: Tensor, outputs: Sequence[Tensor] | None = None) -> Tensor:
    """Outputs `[M, B, out]` of M networks for `inputs: [M, B, in]`, ReLU between the layers.

    Differentiable where gradients are enabled. Where they are not, `outputs` may give the tensors
    `[M, B, width]` that receive what each layer puts out, the last of which is returned.
    """
    *hidden, (weight, bias) = network
    if torch.is_grad_enabled():
        for hidden_weight, hidden_bias in hidden:
            inputs = torch.baddbmm(hidden_bias, inputs, hidden_weight).relu()
        return torch.baddbmm(bias, inputs, weight)
    if outputs is None:
        if len(parts := _parts(inputs, network)) > 1:
            return _forward_in_parts(network, inputs, parts)
        outputs = [_scratch(inputs, own_bias) for _, own_bias in network]
    for (hidden_weight, hidden_bias), output in zip(hidden, outputs, strict=False):
        inputs = affine(inputs, hidden_weight, hidden_bias, output).clamp_min_(0)
    return affine(inputs, weight, bias, outputs[-1])


def _forward_in_parts(network: Layers, inputs: Tensor, parts: list[slice]) -> Tensor:
    result = _scratch(inputs, network[-1][1])
    most = inputs[parts[-1]]  # the last part is the largest
    hidden = [_scratch(most, bias[parts[-1]]) for _, bias in network[:-1]]
    for part in parts:
        outputs = [output[: part.stop - part.start] for output in hidden]
        forward(_rows(network, part), inputs[part], [*outputs, result[part]])
    return result


def _parts(inputs: Tensor, network: Layers) -> list[slice]:
    """The M networks in parts whose hidden layers stay in the cache from one to the next.

    No part has a single network, where there are more: its product would be made by another kernel, with other
    bits. An accelerator takes all at once.
    """
    networks, rows, _ = inputs.shape
    widest = max(bias.shape[2] for _, bias in network)
    count = min(networks * rows * widest // _CACHED, networks // 2)
    if count < 2 or inputs.device.type != "cpu":
        return [slice(networks)]
    ends = [networks * part // count for part in range(count + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(ends)]


def _rows(network: Layers, part: slice) -> Layers:
    return [(weight[part], bias[part]) for weight, bias in network]


def _scratch(inputs: Tensor, bias: Tensor) -> Tensor:
    return inputs.new_empty(*inputs.shape[:2], bias.shape[2])


def forward_tangent(network: Layers, direction: Layers, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and their directional derivatives along `direction`, each `[M, B, out]`; not differentiable.

    Forward mode: with h = max(z, 0) and z = h₋ W + b, ż = ḣ₋ W + h₋ Ẇ + ḃ and ḣ = ż where z > 0, else 0.
    """
    if len(parts := _parts(inputs, network)) > 1:
        pairs = [
            forward_tangent(_rows(network, part), _rows(direction, part), inputs[part])
            for part in parts
        ]
        outputs, tangents = zip(*pairs, strict=True)
        return torch.cat(outputs), torch.cat(tangents)
    moved: Tensor | None = None  # ḣ; the inputs do not move
    last = len(network) - 1
    for depth, ((weight, bias), (d_weight, d_bias)) in enumerate(
        zip(network, direction, strict=True)
    ):
        tangent = affine(inputs, d_weight, d_bias, _scratch(inputs, bias))
        if moved is not None:
            tangent += product(moved, weight, _scratch(inputs, bias))
        inputs = affine(inputs, weight, bias, _scratch(inputs, bias))
        if depth < last:
            inputs.clamp_min_(0)
            moved = relu_backward(tangent, inputs)  # masks a tangent as it masks a gradient
    return inputs, tangent
