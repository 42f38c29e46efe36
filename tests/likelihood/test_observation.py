"""Observations are distributions: they sum to one, agree with their own tables, and draw what they
say.
"""

import math

import pytest
import torch

from allegory.data.spec import DataSpec
from allegory.likelihood import (
    Bernoulli,
    CategoricalObservation,
    GaussianObservation,
    LogisticMixture,
)
from allegory.likelihood.observation import level_index
from allegory.process import Gaussian

SHAPE = (2, 3)


def levels(count=5):
    return CategoricalObservation(torch.randn(4, *SHAPE, count).double())


def bernoulli():
    return Bernoulli(3 * torch.randn(4, *SHAPE).double())


def mixture(count=9, components=3):
    parts = torch.randn(3, 4, components, *SHAPE).double()
    return LogisticMixture(parts[0], parts[1], parts[2] - 2, count)


MAKE = {"levels": (levels, 5), "bernoulli": (bernoulli, 2), "mixture": (mixture, 9)}


@pytest.mark.parametrize("name", MAKE)
def test_tables_sum_to_one_and_agree_with_log_prob(name):
    make, count = MAKE[name]
    observation, values = make(), torch.linspace(-1, 1, count, dtype=torch.float64)
    table = observation.log_pmf
    torch.testing.assert_close(
        table.logsumexp(-1), torch.zeros(4, *SHAPE).double(), rtol=0, atol=1e-10
    )
    index = torch.randint(count, (4, *SHAPE))
    expected = table.gather(-1, index[..., None]).flatten(1).sum(1)
    torch.testing.assert_close(observation.log_prob(values[index]), expected)


@pytest.mark.parametrize("name", MAKE)
def test_draws_have_the_probabilities_of_the_table(name):
    """Inverse of the distribution function: the noise is one normal number a number, each level as
    often as it should.
    """
    make, count = MAKE[name]
    observation = make()
    n = 1000
    middles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    found = torch.stack([observation.draw(u.expand(4, *SHAPE)) for u in middles])
    for k in range(count):
        share = (level_index(found, count) == k).double().mean(0)
        torch.testing.assert_close(share, observation.log_pmf[..., k].exp(), rtol=0, atol=1.01 / n)
    torch.testing.assert_close(found.mean(0), observation.mean, rtol=0, atol=4 / n)


def test_the_logistic_mixture_is_that_of_its_definition():
    """sum_k w_k [s((x + h - m)/b) - s((x - h - m)/b)], with everything beyond the end bins
    (Salimans et al. 2017).
    """
    observation = mixture(count=5, components=2)
    w, m, b = observation.weights.softmax(1), observation.means, observation.log_scales.exp()
    for k, x in enumerate([-1.0, -0.5, 0.0, 0.5, 1.0]):
        above = torch.ones_like(m) if k == 4 else torch.sigmoid((x + 0.25 - m) / b)
        below = torch.zeros_like(m) if k == 0 else torch.sigmoid((x - 0.25 - m) / b)
        torch.testing.assert_close(observation.log_pmf[..., k].exp(), (w * (above - below)).sum(1))


def test_the_logistic_mixture_keeps_its_digits_far_out():
    """Narrow components far from the data: float32 stays finite and near float64, in value and
    gradient.
    """
    means = torch.tensor([[[0.9]], [[-0.9]]])
    narrow = LogisticMixture(torch.zeros(2, 1, 1), means, torch.full((2, 1, 1), -6.0), 256)
    precise = LogisticMixture(
        *(p.double() for p in (narrow.weights, narrow.means, narrow.log_scales)), 256
    )
    x = torch.tensor([[-1.0], [1.0]])
    torch.testing.assert_close(
        narrow.log_prob(x).double(), precise.log_prob(x.double()), rtol=1e-4, atol=0
    )
    means.requires_grad_()
    LogisticMixture(narrow.weights, means, narrow.log_scales, 256).log_prob(x).sum().backward()
    assert means.grad.isfinite().all()


def test_bernoulli_is_the_cross_entropy():
    observation, x = bernoulli(), torch.randint(2, (4, *SHAPE)).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        observation.logits, x, reduction="none"
    )
    torch.testing.assert_close(observation.log_prob(2 * x - 1), -loss.flatten(1).sum(1))


@pytest.mark.parametrize("count", [2, 3, 17, 256])
def test_every_encoded_level_is_found_again(count):
    data = DataSpec((1,), low=0, high=count - 1, levels=count)
    assert torch.equal(level_index(data.values, count), torch.arange(count))


def test_a_density_counts_the_units_of_the_data():
    data, x = DataSpec((2,), low=-3, high=5), torch.rand(6, 2).double()
    observed = GaussianObservation(
        Gaussian(torch.zeros(6, 2).double(), 0.5), data.log_scale
    ).log_prob(x)
    raw = data.decode(x)
    own = (
        torch.distributions.Normal(1.0, 0.5 * 4).log_prob(raw).sum(1)
    )  # 4 data units a model unit, 1 in the middle
    torch.testing.assert_close(observed, own)
    assert math.isclose(data.log_scale, -2 * math.log(4))


def test_draws_of_a_logistic_mixture_of_many_levels_have_its_probabilities():
    torch.manual_seed(3)
    parts = torch.randn(3, 1, 5, 2)
    one = LogisticMixture(parts[0], parts[1], parts[2] - 1, 65)
    count = 200_000
    many = LogisticMixture(
        *(part.expand(count, 5, 2) for part in (one.weights, one.means, one.log_scales)), 65
    )
    index = ((many.draw(torch.randn(count, 2)) + 1) * 32).round().long()
    wanted = one.log_pmf[0].exp()
    for place in range(2):
        found = torch.bincount(index[:, place], minlength=65) / count
        error = (wanted[place] * (1 - wanted[place]) / count).sqrt()
        assert ((found - wanted[place]).abs() < 4.5 * error + 1e-5).all()
