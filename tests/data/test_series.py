"""Series of a known law: the draws have it, and its log-density is that of a Gaussian in full."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from allegory import load
from allegory.data.series import ANGLES, DECAY, draw_series, series_log_density


def covariance(angle: float, length: int) -> torch.Tensor:
    """E x_s x_t^T = r^|s - t| R((s - t) theta) for all pairs of times, (2 length, 2 length)."""
    lag = torch.arange(length, dtype=torch.float64)
    lag = lag[:, None] - lag
    cos, sin = (f(lag * angle) * DECAY ** lag.abs() for f in (torch.cos, torch.sin))
    blocks = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return blocks.transpose(1, 2).reshape(2 * length, 2 * length)


def exact(x: torch.Tensor, label: int) -> torch.Tensor:
    matrix = covariance(ANGLES[label], x.shape[1])
    return MultivariateNormal(torch.zeros(len(matrix)).double(), matrix).log_prob(x.flatten(1))


def test_the_log_density_is_that_of_the_whole_gaussian():
    x = torch.randn(20, 7, 2, dtype=torch.float64)
    labels = torch.arange(20) % 3
    whole = torch.stack([exact(x, label) for label in range(3)], 1)
    own = whole.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(series_log_density(x, labels), own, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        series_log_density(x), whole.logsumexp(1) - math.log(3), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("known", [False, True])
def test_what_follows_is_a_ratio_of_densities(known):
    x = torch.randn(20, 7, 2, dtype=torch.float64)
    labels = torch.arange(20) % 3 if known else None
    ratio = series_log_density(x, labels) - series_log_density(x[:, :3], labels)
    found = series_log_density(x, labels, given=3)
    torch.testing.assert_close(found, ratio, rtol=1e-10, atol=1e-10)


def test_draws_have_this_covariance():
    count = 20_000
    for label in range(3):
        generator = torch.Generator().manual_seed(label)
        x = draw_series(torch.full((count,), label), 5, generator).double().flatten(1)
        found, wanted = x.T @ x / count, covariance(ANGLES[label], 5)
        # The variance of a product of two Gaussians is 1 + c^2.
        assert ((found - wanted).abs() < 5 * ((1 + wanted**2) / count).sqrt()).all()


def test_the_source_is_the_same_at_each_call_and_by_seed():
    data, again, other = load("series"), load("series"), load("series?seed=1&length=5")
    assert data.spec.shape == (32, 2) and data.spec.classes == 3
    assert torch.equal(data.test.x, again.test.x) and torch.equal(
        data.test.labels, again.test.labels
    )
    assert other.spec.shape == (5, 2)
    assert not torch.equal(data.test.x[:, :5], other.test.x)
    own = series_log_density(data.test.x, data.test.labels)
    wrong = series_log_density(data.test.x, (data.test.labels + 1) % 3)
    assert (own > wrong).double().mean() > 0.95


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("series?length=1", "length=1; give 2 to 1,000"),
        ("series?seed=-1", "seed=-1: give 0 or more"),
        ("moving_digits?frames=1", "frames=1; give 2 to 64"),
        ("moving_digits?count=5", "count=5; give 100 to 200,000"),
        ("moving_digits?seed=-1", "seed=-1: give 0 or more"),
    ],
)
def test_other_options_are_refused(source, says):
    with pytest.raises(ValueError, match=says):
        load(source)


def test_other_arguments_are_refused():
    x = torch.zeros(3, 4, 2)
    with pytest.raises(ValueError, match="give series of points"):
        series_log_density(x[..., :1])
    with pytest.raises(ValueError, match="given=4 of 4 points; give 0 to 3"):
        series_log_density(x, given=4)
