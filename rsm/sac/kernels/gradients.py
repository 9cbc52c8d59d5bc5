"""The backward pass of M multilayer perceptrons, written out by hand.

What autograd would do, without what nobody needs: no graph, no gradient of a layer's input but where it is
asked for, no gradient of the critics in the actor's loss, and every intermediate in a buffer that is used
again. With h₀ the input, hₗ = max(hₗ₋₁ Wₗ + bₗ, 0) and the last layer linear, the flow δₗ = ∂L/∂(layer l
before its ReLU) runs back as

    ∂L/∂Wₗ = hₗ₋₁ᵀ δₗ        ∂L/∂bₗ = Σ_batch δₗ        δₗ₋₁ = (δₗ Wₗᵀ) where hₗ₋₁ > 0, else 0
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rsm.sac.kernels.products import product, relu_backward
from rsm.sac.mlp import Layers, Sizes


class Buffers:
    """Inputs, layer outputs and flows of M networks, `[M, …, width]`: `rows` forward, `batch` of them back."""

    def __init__(self, sizes: Sizes, networks: int, rows: int, batch: int, like: Tensor) -> None:
        self.inputs = like.new_empty(networks, rows, sizes[0])
        self.outputs = [like.new_empty(networks, rows, width) for width in sizes[1:]]
        self.flows = [like.new_empty(networks, batch, width) for width in sizes[1:-1]]

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
    flow: Tensor,
    flows: Sequence[Tensor],
    gradients: Layers | None,
) -> Tensor:
    """Run `flow: [M, B, out]`, ∂L/∂output, back to δ₁ `[M, B, width of layer 1]`, which is returned.

    `activations` are h₀ (the input) and the hidden layers' outputs; `flows` is scratch for each hidden layer.
    Every entry of `gradients` is overwritten; None where only the way back to the input is wanted, and h₀ is
    then never read.
    """
    for depth in range(len(network) - 1, -1, -1):
        if gradients is not None:
            weight_gradient, bias_gradient = gradients[depth]
            product(activations[depth].mT, flow, weight_gradient)
            torch.sum(flow, dim=1, keepdim=True, out=bias_gradient)
        if depth > 0:
            behind = product(flow, network[depth][0].mT, flows[depth - 1])
            flow = relu_backward(behind, activations[depth])
    return flow
