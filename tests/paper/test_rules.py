"""The rules of integration against moments that everybody knows."""

import math

import pytest
import torch

from allegory.paper.dense import Dense, ladder
from allegory.paper.rules import cubature, draws, hermite, line, normal


def test_cubature_has_the_moments_of_a_standard_normal_to_degree_three():
    x = cubature(2, 3).flatten(1)
    torch.testing.assert_close(x.mean(0), torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(x.T @ x / len(x), torch.eye(6, dtype=torch.float64))
    assert torch.einsum("ni,nj,nk->ijk", x, x, x).abs().max() < 1e-12


def test_hermite_and_line_integrate_a_smooth_function():
    z, weight = hermite(0.3, 1.2)
    expected = math.cos(0.3) * math.exp(-0.72)  # E cos z = cos(mean) exp(-variance / 2)
    assert float(weight @ torch.cos(z[:, 0])) == pytest.approx(expected, rel=1e-12)
    x, dx = line()
    assert float(
        (normal(x[:, 0], 0.3, 1.44).exp() * torch.cos(x[:, 0])).sum() * dx
    ) == pytest.approx(expected, rel=1e-12)


def test_draws_are_the_same_in_every_run():
    torch.testing.assert_close(draws(5, 4), draws(5, 4), rtol=0, atol=0)
    assert not torch.equal(draws(5, 4), draws(6, 4))


def test_dense_moments_against_draws_of_the_ladder():
    case, count = ladder(2, 1), 100_000
    noise = draws(7, count, 2, 1)
    first = case.up[0].given(case.x.expand(count, -1)).draw(noise[:, 0])
    second = case.up[1].given(first).draw(noise[:, 1])
    both = torch.cat([first, second], 1)
    error = 5 / math.sqrt(
        count
    )  # of means and covariances, whose terms have standard deviation of at most 1
    torch.testing.assert_close(both.mean(0), case.q().mean[:, 0], rtol=0, atol=error)
    torch.testing.assert_close(both.T.cov(), case.q().cov, rtol=0, atol=error)


def test_conditioning_undoes_the_product_rule():
    law = ladder(3, 2).p()
    x = draws(8, 1, 4, 2)
    rest = law.given(x[0, :1]).log_prob(x[:, 1:])
    torch.testing.assert_close(law.some(0).log_prob(x[:, :1]) + rest, law.log_prob(x))


def test_expected_log_prob_of_itself_is_minus_the_entropy():
    law = Dense(draws(9, 2, 1), torch.tensor([[1.5, 0.4], [0.4, 0.7]], dtype=torch.float64))
    torch.testing.assert_close(law.expected_log_prob(law), -law.law.entropy().sum())
