"""Isotropic mixtures in the span of their means: what the general formula gives."""

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process.mixture import Mixture

DIMS = 12
LABELS = torch.tensor([0, 0, 1, 1, 2])


def pair(path, rank=2, spread=8.0):
    """The same mixture twice: in the span of its means, and with full covariances."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    means = 1.0 + spread * normal(5, rank) @ normal(rank, DIMS)
    stds = 0.3 + torch.rand(5, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15])
    covariances = stds.square()[:, None, None] * torch.eye(DIMS, dtype=torch.float64)

    quick = Mixture(means, stds, path=path, weights=weights, labels=LABELS)
    full = Mixture(means, None, path=path, weights=weights, covariances=covariances, labels=LABELS)
    return quick, full


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["linear-vp", "cosine-sub_vp", "geometric-ve"])
def test_it_is_the_mixture_of_the_general_formula(name, rank):
    quick, full = pair(PATHS[name], rank)
    assert quick.span is not None
    assert quick.span.rank == rank
    assert full.span is None

    t = torch.tensor([0.02, 0.3, 0.6, 0.97, 0.5, 0.8], dtype=torch.float64)
    x = full.sample(range(6)) + 0.1
    condition = torch.tensor([0, 1, -1, 2, -1, 1])
    for time, given in ((t, None), (t, condition), (0.4, None)):
        mine, theirs = quick(x, time, given), full(x, time, given)
        torch.testing.assert_close(mine.x0, theirs.x0, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(mine.eps, theirs.eps, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(
            quick.log_prob(x, time, given), full.log_prob(x, time, given), rtol=1e-10, atol=1e-10
        )


def test_its_derivative_is_the_covariance():
    """Cov[x0 | x_t] = sigma^2/alpha d x0 / d x_t, at a state between two components."""
    quick, full = pair(PATHS["linear-vp"], spread=1.0)
    (level,) = quick.path.levels([0.55])
    x = full.sample(range(2), level)

    derivative = torch.autograd.functional.jacobian(lambda x: quick(x, level).x0.sum(0), x)
    tweedie = level.sigma**2 / level.alpha * derivative.transpose(0, 1)
    torch.testing.assert_close(tweedie, full.covariance(x, level), rtol=1e-9, atol=1e-9)


def test_means_of_many_directions_or_unequal_widths_are_not_reduced():
    path = PATHS["linear-vp"]
    quick, _ = pair(path)
    assert pair(path, rank=4)[0].span is None

    widths = torch.ones(5, DIMS)
    widths[0, 0] = 2.0
    assert Mixture(quick.means, widths, path=path).span is None


def test_it_moves_with_the_mixture_and_is_not_in_its_state():
    quick, _ = pair(PATHS["linear-vp"])
    assert not any("span" in name for name in quick.state_dict())
    x = torch.zeros(1, DIMS)
    assert quick.float()(x, 0.5).x0.dtype == torch.float32
