import torch
from torch import nn

from rsm.sac import networks

SIZES = (6, 5, 4, 3)


def drawn(rows: int) -> torch.Tensor:
    return torch.randn(rows, networks.parameter_count(SIZES), dtype=torch.float64)


def as_module(row: torch.Tensor) -> nn.Module:
    """The same network as plain torch modules."""
    modules: list[nn.Module] = []
    for weight, bias in networks.layers(row[None], SIZES):
        linear = nn.Linear(*weight.shape[1:], dtype=row.dtype)
        linear.weight.data, linear.bias.data = weight[0].T.clone(), bias[0, 0].clone()
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def test_published_actor_has_68098_parameters():
    assert networks.parameter_count((6, 256, 256, 2)) == 68_098


def test_stack_computes_what_separate_modules_compute():
    theta = drawn(3)
    inputs = torch.randn(3, 7, 6, dtype=torch.float64)
    outputs = networks.forward(networks.layers(theta, SIZES), inputs)
    for row, own, output in zip(theta, inputs, outputs, strict=True):
        torch.testing.assert_close(output, as_module(row)(own))


def test_layers_of_a_strided_slice_are_views_of_it():
    wide = torch.zeros(2, networks.parameter_count(SIZES) + 5)
    theta = wide[:, : networks.parameter_count(SIZES)]
    networks.layers(theta, SIZES)[1][0].fill_(7)
    assert int((wide == 7).sum()) == 2 * 5 * 4


def test_backward_fills_the_flat_gradient():
    theta = drawn(2)
    inputs = torch.randn(2, 7, 6, dtype=torch.float64)
    leaf = theta.clone().requires_grad_()
    networks.forward(networks.layers(leaf, SIZES), inputs).square().sum().backward()
    networks.forward(networks.trainable_layers(theta, SIZES), inputs).square().sum().backward()
    torch.testing.assert_close(theta.grad, leaf.grad)


def test_initial_parameters_stay_within_the_limit_of_their_fan_in():
    flat = networks.initial_parameters((4, 100, 1), torch.Generator().manual_seed(0))
    assert flat[:500].abs().max() <= 0.5
    assert 0.05 < flat[500:].abs().max() <= 0.1
