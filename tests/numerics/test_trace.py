"""Traces against matrices that are written down, and the variance of Rademacher probes in closed
form.
"""

import math

import pytest
import torch

from allegory.numerics.trace import rademacher_probes, traces
from allegory.process.noise import Noise, Stream


def probes_of(seeds, count, like):
    return rademacher_probes(Noise(seeds, like.shape[1:], Stream.PROBES).draw, count, like)


def linear(matrix, x):
    return (x.flatten(1) @ matrix.T).reshape(x.shape)


def leaf(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("shape", [(5,), (1, 3, 3), (2, 5, 7)])
def test_the_exact_trace_of_a_linear_map(shape):
    dims = math.prod(shape)
    matrix, x = (
        torch.randn(dims, dims, dtype=torch.float64),
        leaf(dims, *shape),
    )  # batch == width of (5,)
    torch.testing.assert_close(traces(linear(matrix, x), x, None), matrix.trace().expand(dims, 1))


def test_the_exact_trace_differs_from_item_to_item():
    """tr d(x^2 y)/dx = 2 x_i summed over an item."""
    x = leaf(4, 1, 3, 3)
    torch.testing.assert_close(traces(x.square(), x, None)[:, 0], 2 * x.detach().flatten(1).sum(1))


def test_a_diagonal_jacobian_needs_one_probe():
    x = leaf(6, 2, 3)
    probes = probes_of(range(6), 1, x)
    torch.testing.assert_close(traces(x.sin(), x, probes)[:, 0], x.detach().cos().flatten(1).sum(1))


def test_the_variance_of_a_probe_is_twice_the_squared_off_diagonal():
    """Var v^T J v = 2 sum_{i != j} S_ij^2.

    Over n probes the sample variance has a relative standard error of sqrt((kurtosis - 1)/n); 15 is
    the largest kurtosis of a quadratic form in normal variables, and signs have less.
    """
    matrix, n = torch.randn(6, 6, dtype=torch.float64), 8000
    x = leaf(n, 6)
    values = traces(linear(matrix, x), x, probes_of(range(n), 1, x))[:, 0]
    symmetric = (matrix + matrix.T) / 2
    expected = 2 * (symmetric - symmetric.diag().diag()).square().sum()
    assert abs(values.var() / expected - 1) < 4 * math.sqrt(14 / n)
    assert abs(values.mean() - matrix.trace()) < 4 * (expected / n).sqrt()


def test_probes_belong_to_their_item_and_differ_between_items():
    like = torch.zeros(4, 30)
    together = probes_of(range(10, 14), 2, like)
    assert torch.equal(together[:, 2:3], probes_of([12], 2, like[:1]))
    assert bool((together.abs() == 1).all())
    assert not torch.equal(together[:, 0], together[:, 1]) and not torch.equal(
        together[0], together[1]
    )


def test_a_graph_for_more_derivatives():
    """d/dx tr d(x^3)/dx = 6 x."""
    for probes in (None, torch.ones(1, 2, 3, dtype=torch.float64)):
        x = leaf(2, 3)
        traces(x**3, x, probes, create_graph=True).sum().backward()
        torch.testing.assert_close(x.grad, 6 * x.detach())


def test_an_output_without_gradient_is_refused():
    x = leaf(2, 3)
    with pytest.raises(ValueError, match="no_grad"):
        traces(x.detach(), x, None)
