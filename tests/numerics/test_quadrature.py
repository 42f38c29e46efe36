"""Gauss-Legendre rules against the integrals of polynomials."""

import pytest
import torch

from allegory.numerics.quadrature import gauss_legendre


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 5.0)])
@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_exact_up_to_degree_twice_the_nodes_minus_one_and_no_further(count, start, end):
    nodes, weights = gauss_legendre(count, start, end)
    assert bool((nodes[1:] > nodes[:-1]).all()) and weights.sum().item() == pytest.approx(
        end - start
    )

    x = (nodes - start) / (end - start)  # int_0^1 x^k dx = 1/(k + 1)
    moment = lambda k: float((weights * x**k).sum()) / (end - start)  # noqa: E731
    for k in range(2 * count):
        assert moment(k) == pytest.approx(1 / (k + 1), rel=1e-12)
    assert abs(moment(2 * count) - 1 / (2 * count + 1)) > 1e-12 or count > 8


def test_an_analytic_function_to_the_last_digits():
    nodes, weights = gauss_legendre(24, -2.0, 3.0)
    exact = (
        torch.tensor(3.0, dtype=torch.float64).exp() - torch.tensor(-2.0, dtype=torch.float64).exp()
    )
    torch.testing.assert_close((weights * nodes.exp()).sum(), exact, rtol=1e-14, atol=0)
