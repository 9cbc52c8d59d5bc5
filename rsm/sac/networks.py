"""Multilayer perceptrons whose parameters are rows of one tensor: `[M, d]` is M networks.

A layer is a pair of views into that tensor, so that acting, updating, slicing into segments, mixing and
averaging are operations on one storage, and M networks are one batched product.
"""

from __future__ import annotations

import itertools
import math
import warnings

import torch
from torch import Tensor

# A layer's gradient is strided like the layer, both being views; torch only remarks on it.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")

Sizes = tuple[int, ...]  # units from input to output, e.g. (6, 256, 256, 2)
Layers = list[tuple[Tensor, Tensor]]  # weights [M, in, out] and biases [M, 1, out]


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


def trainable_layers(theta: Tensor, sizes: Sizes) -> Layers:
    """Layers that collect gradients into `theta.grad`, which is created here.

    The views are leaves whose `.grad` are views of one flat gradient, so a backward pass fills
    `theta.grad` without a copy and one optimiser step serves all networks.
    """
    theta.grad = torch.zeros_like(theta)
    network = layers(theta, sizes)
    for values, gradients in zip(network, layers(theta.grad, sizes), strict=True):
        for value, gradient in zip(values, gradients, strict=True):
            value.requires_grad_(True)
            value.grad = gradient
    return network


def forward(network: Layers, inputs: Tensor) -> Tensor:
    """Outputs `[M, B, out]` of M networks for `inputs: [M, B, in]`, ReLU between the layers."""
    *hidden, (weight, bias) = network
    for hidden_weight, hidden_bias in hidden:
        inputs = torch.baddbmm(hidden_bias, inputs, hidden_weight).relu()
    return torch.baddbmm(bias, inputs, weight)
