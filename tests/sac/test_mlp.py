import pytest
import torch
from torch import nn

from rsm.sac import mlp
from rsm.sac.kernels.gradients import Buffers, backward, clip_norm_
from rsm.sac.kernels.products import affine, product
from rsm.sac.reference import network_of

SIZES = (6, 5, 4, 3)


@pytest.fixture
def draw():
    """Standard normal numbers in float64, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_published_actor_has_68098_parameters():
    assert mlp.parameter_count((6, 256, 256, 2)) == 68_098


def test_stack_computes_what_separate_modules_compute(draw):
    theta = draw(3, mlp.parameter_count(SIZES))
    inputs = draw(3, 7, 6)
    outputs = mlp.forward(mlp.layers(theta, SIZES), inputs)
    for row, own, output in zip(theta, inputs, outputs, strict=True):
        torch.testing.assert_close(output, network_of(row, SIZES)(own))


def test_layers_of_a_strided_slice_are_views_of_it():
    wide = torch.zeros(2, mlp.parameter_count(SIZES) + 5)
    theta = wide[:, : mlp.parameter_count(SIZES)]
    mlp.layers(theta, SIZES)[1][0].fill_(7)
    assert int((wide == 7).sum()) == 2 * 5 * 4


def test_backward_pass_gives_the_gradient_of_autograd(draw):
    theta, inputs = draw(2, mlp.parameter_count(SIZES)), draw(2, 7, 6)
    leaf, moving = theta.clone().requires_grad_(), inputs.clone().requires_grad_()
    mlp.forward(mlp.layers(leaf, SIZES), moving).pow(3).sum().backward()

    network, gradient = mlp.layers(theta, SIZES), torch.full_like(theta, torch.nan)
    buffers = Buffers(SIZES, 2, 7, 7, theta)
    buffers.inputs.copy_(inputs)
    with torch.no_grad():
        delta = 3 * mlp.forward(network, buffers.inputs, buffers.outputs).square()
        into = mlp.layers(gradient, SIZES)
        first = backward(network, buffers.activations, delta, buffers.deltas, into)
    torch.testing.assert_close(gradient, leaf.grad)
    torch.testing.assert_close(torch.bmm(first, network[0][0].mT), moving.grad)


def test_each_network_is_clipped_as_torch_clips_its_own_module(draw):
    count, limit = mlp.parameter_count(SIZES), 0.5
    gradients = draw(4, count) * torch.tensor([[1.0], [1e-3], [0.0], [30.0]])
    modules = [network_of(row, SIZES) for row in draw(4, count)]
    for module, row in zip(modules, gradients, strict=True):
        for parameter, gradient in zip(
            module.parameters(), network_of(row, SIZES).parameters(), strict=True
        ):
            parameter.grad = gradient.detach().clone()
        nn.utils.clip_grad_norm_(module.parameters(), limit)
    clipped = clip_norm_(gradients.clone(), limit)
    for module, row in zip(modules, clipped, strict=True):
        for parameter, expected in zip(
            module.parameters(), network_of(row, SIZES).parameters(), strict=True
        ):
            torch.testing.assert_close(parameter.grad, expected.detach())
    assert (clipped.norm(dim=1) <= limit).all()
    assert torch.equal(clipped[1:3], gradients[1:3])


@pytest.mark.parametrize("sizes", [SIZES, (6, 5, 3), (13, 12, 11, 1)])
def test_tangent_is_that_of_forward_mode_differentiation(sizes, draw):
    count = mlp.parameter_count(sizes)
    theta, direction = draw(2, 2, count) / sizes[0] ** 0.5
    inputs = draw(2, 7, sizes[0])

    def outputs(parameters: torch.Tensor) -> torch.Tensor:
        return mlp.forward(mlp.layers(parameters, sizes), inputs)

    expected = torch.func.jvp(outputs, (theta,), (direction,))
    pair = mlp.layers(theta, sizes), mlp.layers(direction, sizes)
    torch.testing.assert_close(mlp.forward_tangent(*pair, inputs), expected)


@pytest.mark.parametrize("shape", [(14, 13, 15), (14, 13, 2), (3, 14, 1), (14, 1, 13)])
def test_products_are_those_of_torch_and_keep_nan(shape, draw):
    rows, inner, columns = shape
    wide = draw(3, inner * columns + columns + 9).float()
    weight = wide[:, : inner * columns].unflatten(1, (inner, columns))
    bias = wide[:, inner * columns : inner * columns + columns].unsqueeze(1)
    inputs = draw(3, rows, inner).float()
    inputs[1, 0, 0] = torch.nan
    close = {"rtol": 1e-4, "atol": 1e-4, "equal_nan": True}
    out = torch.empty(3, rows, columns)
    torch.testing.assert_close(affine(inputs, weight, bias, out), inputs @ weight + bias, **close)
    torch.testing.assert_close(product(inputs, weight, out), inputs @ weight, **close)
    transposed = draw(3, inner, rows).float().mT
    torch.testing.assert_close(product(transposed, weight, out), transposed @ weight, **close)


def test_initial_parameters_stay_within_the_limit_of_their_fan_in():
    flat = mlp.initial_parameters((4, 100, 1), torch.Generator().manual_seed(0))
    assert flat[:500].abs().max() <= 0.5
    assert 0.05 < flat[500:].abs().max() <= 0.1
