"""The backward pass of M multilayer perceptrons, written out by hand.

It computes what autograd would, with less work: it keeps no graph, reuses its buffers, and forms the gradients
of parameters only where they are asked for (the actor's loss needs none of the critics). With h₀ the input,
hₗ = max(hₗ₋₁ Wₗ + bₗ, 0) and a linear last layer, δₗ = ∂L/∂(layer l before its ReLU) is passed back as

    ∂L/∂Wₗ = hₗ₋₁ᵀ δₗ        ∂L/∂bₗ = Σ_batch δₗ        δₗ₋₁ = (δₗ Wₗᵀ) where hₗ₋₁ > 0, else 0
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rsm.sac.kernels.products import product, relu_backward
from rsm.sac.mlp import Layers, Sizes


class Buffers:
    """Inputs, outputs and δ of every layer of M networks, `[M, …, width]`.

    The forward pass has `rows` rows, the backward pass `batch` of them.
    """

    def __init__(self, sizes: Sizes, networks: int, rows: int, batch: int, like: Tensor) -> None:
        self.inputs = like.new_empty(networks, rows, sizes[0])
        self.outputs = [like.new_empty(networks, rows, width) for width in sizes[1:]]
        self.deltas = [like.new_empty(networks, batch, width) for width in sizes[1:-1]]

    @property
    def activations(self) -> list[Tensor]:
        """h₀ and the hidden layers' outputs of the last pass."""
        return [self.inputs, *self.outputs[:-1]]


def clip_norm_(gradients: Tensor, limit: float) -> Tensor:
    """Scale every row of `gradients: [M, d]`, in place, to a Euclidean norm of at most `limit`.

    A row is the gradient of one network, so that each actor, and each of the two critics of an agent, is
    clipped on its own. The formula is that of `torch.nn.utils.clip_grad_norm_`.
    """
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    return gradients.mul_((limit / (norms + 1e-6)).clamp_max(1))


def backward(
    network: Layers,
    activations: Sequence[Tensor],
    delta: Tensor,
    deltas: Sequence[Tensor],
    gradients: Layers | None,
) -> Tensor:
    """Pass `delta: [M, B, out]`, ∂L/∂output, back to δ₁ `[M, B, width of layer 1]`, which is returned.

    `activations` are h₀ (the input) and the outputs of the hidden layers; `deltas` is scratch, one tensor for
    each hidden layer. `gradients` receives the gradients of the parameters; with None they are not computed and
    h₀ is not read.
    """
    for depth in range(len(network) - 1, -1, -1):
        if gradients is not None:
            weight_gradient, bias_gradient = gradients[depth]
            product(activations[depth].mT, delta, weight_gradient)
            torch.sum(delta, dim=1, keepdim=True, out=bias_gradient)
        if depth > 0:
            passed = product(delta, network[depth][0].mT, deltas[depth - 1])
            delta = relu_backward(passed, activations[depth])
    return delta
