"""Expectation maximisation: it climbs, and finds the mixture that made the rows."""

import itertools
import math

import pytest
import torch
from tests.helpers.rows import drawn_rows, random_mixture
from torch.distributions import MultivariateNormal

from allegory.process.rows import (
    ObservedRows,
    RowMixture,
    RowState,
    best_mixture,
    criterion,
    fit_mixture,
    with_outliers,
)
from allegory.process.rows.fit import fitting


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def observed(rows, values=(), present=None, missing=None):
    """Rows of which all numbers are there, or some."""
    d = rows.numbers.shape[1]
    places = torch.full((d,), -1) if missing is None else torch.tensor(missing)
    every = torch.ones_like(rows.numbers).bool()
    return ObservedRows(rows, every if present is None else present, values, places)


def separated():
    """Two components, six standard deviations apart, of full covariances and other tokens."""
    means = torch.tensor([[3.0, 0.0], [-3.0, 1.0]], dtype=torch.float64)
    covariances = torch.tensor([[[1, 0.5], [0.5, 0.6]], [[0.4, -0.2], [-0.2, 1.0]]]).double()
    probs = torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]], [[0.3, 0.7, 0.0], [0.6, 0.3, 0.1]]])
    weights = torch.tensor([0.3, 0.7]).double()
    return RowMixture(weights, means, covariances, probs.double(), torch.full((2,), -1))


def log_posterior(data, mixture, scale, strength):
    """That of the docstring of `fit`, by distributions, from the rows that are all there.

    `scale` is the covariance within the groups that the fit begins with.
    """
    x, d = data.rows.numbers, data.rows.numbers.shape[1]
    total = mixture.log_prob(data.rows).sum()
    rows = strength * (d + 2)
    for s in mixture.covariances:
        total = total - 0.5 * rows * (s.logdet() + torch.trace(torch.linalg.inv(s) @ scale))
    for place, count in enumerate(data.values):
        seen = torch.bincount(data.rows.tokens[:, place], minlength=count) + 0.5
        prior = seen / seen.sum()
        total = total + (prior * mixture.probs[:, place, :count].log()).sum()
    return float(total) / len(x)


def scale_of(first, n, rows):
    """The scale of the prior, from the mixture of the groups: (N_k + rows) S_k sums to n times the
    covariance within the groups and the scale for each component.
    """
    total = torch.einsum("k,kde->de", n * first.weights + rows, first.covariances)
    floor = n * 1e-6 * torch.eye(total.shape[0], dtype=total.dtype)
    return (total + floor) / (n + len(first.weights) * rows)


def test_a_strong_prior_is_the_covariance_within_groups():
    """Of two classes, whose rows overlap, and of two groups of rows that lie apart."""
    rows = drawn_rows(random_mixture(values=(2,)), (2,), 400)
    label = rows.tokens[:, 0]
    for shift in (1.0, 40.0):
        numbers = rows.numbers + shift * label[:, None]
        data = observed(RowState(numbers, rows.tokens), (2,))
        found = fit_mixture(data, 2, 1e9, generator())
        within = sum(
            (label == each).double().mean() * torch.cov(numbers[label == each].T, correction=0)
            for each in (0, 1)
        )
        scale = (within + 1e-6 * torch.eye(3)).expand(2, 3, 3)
        torch.testing.assert_close(found.covariances, scale, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("values", [(), (2, 3)])
def test_the_log_posterior_never_falls(components, values):
    mixture = random_mixture(values=values)
    data = observed(drawn_rows(mixture, values, 60), values)
    rounds = list(itertools.islice(fitting(data, components, 1.0, generator()), 15))
    scale = scale_of(rounds[0][0], 60, 5.0)
    found = [log_posterior(data, each, scale, 1.0) for each, _ in rounds]
    rises = torch.tensor(found).diff()
    assert bool((rises > -1e-6).all())
    reported = [each for _, each in rounds]
    gaps = torch.tensor(found) - torch.tensor(reported)
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps))


def test_the_log_posterior_never_falls_with_missing_numbers():
    rows = drawn_rows(random_mixture(values=(2, 3)), (2, 3), 80)
    present = torch.rand(80, 3, generator=generator(1)) < 0.7
    data = observed(rows, (2, 3), present)
    rounds = itertools.islice(fitting(data, 3, 0.3, generator()), 25)
    rises = torch.tensor([each for _, each in rounds]).diff()
    assert bool((rises > -1e-9).all())
    assert float(rises.sum()) > 1e-3


def test_the_maximum_of_one_component_is_in_closed_form():
    """Mean and shrunk covariance of the rows, and token frequencies with one more row."""
    rows = drawn_rows(random_mixture(values=(3,)), (3,), 40)
    found = fit_mixture(observed(rows, (3,)), 1, 1.0, generator())
    x = rows.numbers
    common = torch.cov(x.T, correction=0)
    shrunk = (40 * common + 5 * (common + 1e-6 * torch.eye(3))) / 45
    torch.testing.assert_close(found.means[0], x.mean(0))
    torch.testing.assert_close(found.covariances[0], shrunk)
    counts = torch.bincount(rows.tokens[:, 0], minlength=3).double()
    prior = (counts + 0.5) / (counts + 0.5).sum()
    torch.testing.assert_close(found.probs[0, 0], (counts + prior) / 41)


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_a_well_separated_mixture_is_recovered(fraction):
    """Also where numbers are missing at random, within five standard errors."""
    truth, values, count = separated(), (2, 3), 6000
    rows = drawn_rows(truth, values, count)
    present = torch.rand(count, 2, generator=generator(5)) >= fraction
    rows = RowState(torch.where(present, rows.numbers, math.nan), rows.tokens)
    found = fit_mixture(observed(rows, values, present), 2, 0.03, generator())
    order = found.means[:, 0].argsort(descending=True)

    counts = count * truth.weights * (1 - fraction) ** 2
    error = 5 / counts.sqrt()
    assert (found.weights[order] - truth.weights).abs().max() < 5 * 0.5 / math.sqrt(count) + 0.005
    for place, k in enumerate(order):
        spread = truth.covariances[place].diagonal().max()
        gap = (found.means[k] - truth.means[place]).abs().max()
        assert float(gap) < float(error[place] * spread.sqrt())
        wide = (found.covariances[k] - truth.covariances[place]).abs().max()
        assert float(wide) < float(error[place] * math.sqrt(2) * spread)
        odd = (found.probs[k] - truth.probs[place]).abs().max()
        assert float(odd) < float(error[place] * 0.5)


def test_numbers_missing_by_what_is_seen_do_not_bias_the_mean():
    """The second is missing where the first is high; the mean of those left is far off."""
    root = torch.tensor([[1.0, 0.0], [0.8, 0.6]], dtype=torch.float64)
    x = torch.randn(4000, 2, generator=generator(2), dtype=torch.float64) @ root.T
    present = torch.ones(4000, 2, dtype=torch.bool)
    present[:, 1] = x[:, 0] < 0.5
    data = observed(RowState(x, torch.zeros(4000, 0).long()), (), present)
    *_, (found, _) = itertools.islice(fitting(data, 1, 0.03, generator()), 60)
    error = 1 / math.sqrt(int(present[:, 1].sum()))
    assert abs(float(x[present[:, 1], 1].mean())) > 10 * error
    assert abs(float(found.means[0, 1])) < 5 * 2 * error  # an extrapolation
    assert abs(float(found.covariances[0, 0, 1]) - 0.8) < 5 * 2 * error


def test_one_row_again_and_again_weighs_as_much():
    """Twice the rows with twice the prior is the same maximum of one component."""
    rows = drawn_rows(random_mixture(values=()), (), 12)
    twice = RowState(rows.numbers.repeat(2, 1), rows.tokens.repeat(2, 1))
    one = fit_mixture(observed(rows), 1, 1.0, generator())
    two = fit_mixture(observed(twice), 1, 2.0, generator())
    torch.testing.assert_close(one.means, two.means)
    torch.testing.assert_close(one.covariances, two.covariances)


ODD = {
    "five rows": lambda x: x[:5],
    "two rows": lambda x: x[:2],
    "one row": lambda x: x[:1],
    "one row many times": lambda x: x[:1].expand(50, -1),
    "rows that occur twice": lambda x: x[:20].repeat(2, 1),
    "a constant column": lambda x: x * torch.tensor([1.0, 0.0, 1.0]).double(),
    "a column twice": lambda x: x[:, [0, 1, 0]],
}


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("name", ODD)
def test_odd_tables_have_a_mixture_with_a_density(name, components):
    x = ODD[name](drawn_rows(random_mixture(values=()), (), 100).numbers)
    data = observed(RowState(x, torch.zeros(len(x), 0).long()))
    for present in (data.present, torch.rand(x.shape, generator=generator(3)) < 0.6):
        found = fit_mixture(observed(data.rows, (), present), components, 0.03, generator())
        fresh = x + 0.01 * torch.randn(x.shape, generator=generator(4), dtype=torch.float64)
        scores = found.log_prob(RowState(fresh, data.rows.tokens))
        assert bool(scores.isfinite().all())
        assert bool((torch.linalg.eigvalsh(found.covariances) > 0).all())
        mixed = [
            MultivariateNormal(mean, s).log_prob(fresh)
            for mean, s in zip(found.means, found.covariances, strict=True)
        ]
        expected = (torch.stack(mixed, 1) + found.weights.log()).logsumexp(1)
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


def test_more_columns_than_rows():
    x = torch.randn(10, 30, generator=generator(), dtype=torch.float64)
    data = observed(RowState(x, torch.zeros(10, 0).long()))
    best = best_mixture(data, data, generator(), math.inf)
    assert math.isfinite(best.score)
    assert bool(best.mixture.log_prob(data.rows).isfinite().all())


def test_the_best_mixture_is_that_of_the_validation_rows():
    """As good as the truth, which one component is not; and by the same seed the same."""
    truth = separated()
    data = observed(drawn_rows(truth, (2, 3), 2000), (2, 3))
    held_out = observed(drawn_rows(truth, (2, 3), 500, seed=9), (2, 3))
    best = best_mixture(data, held_out, generator(), math.inf, (1, 8))
    found, score = best.mixture, best.score
    assert score == pytest.approx(criterion(found, data, held_out))
    own = truth.log_prob(held_out.rows)
    error = float(own.std()) / math.sqrt(500)
    assert abs(score - float(own.mean())) < 5 * error
    one = fit_mixture(data, 1, 1.0, generator())
    assert float(one.log_prob(held_out.rows).mean()) < score - 5 * error
    again = best_mixture(data, held_out, generator(), math.inf, (1, 8)).mixture
    assert torch.equal(found.means, again.means)


def test_a_choice_is_fitted_to_other_rows():
    """The size and the prior stay; fitted to the same rows it is as good."""
    data = observed(drawn_rows(separated(), (2, 3), 3000), (2, 3))
    best = best_mixture(data, data, generator(), math.inf, (1, 4))
    more = observed(drawn_rows(separated(), (2, 3), 4000, seed=3), (2, 3))
    again = best.refitted(more, generator(1))
    assert again.means.shape == best.mixture.means.shape
    gap = again.log_prob(data.rows) - best.mixture.log_prob(data.rows)
    assert abs(float(gap.mean())) < 0.02


def test_few_rows_are_held_out_in_turn():
    """The criterion is the mean over the parts and the rows that were held out before."""
    rows = drawn_rows(separated(), (2, 3), 100)
    data, held_out = observed(rows, (2, 3)), observed(drawn_rows(separated(), (2, 3), 50), (2, 3))
    best = best_mixture(data, held_out, generator(), math.inf, (1, 1))

    expected = []
    for strength in (0.03, 1.0, 30.0):
        found = with_outliers(fit_mixture(data, 1, strength, generator()))
        each = [criterion(found, data, held_out)]
        for part in range(5):
            is_part = torch.arange(100) % 5 == part
            rest, own = data.take(~is_part), data.take(is_part)
            found = with_outliers(fit_mixture(rest, 1, strength, generator()))
            each.append(criterion(found, rest, own))
        expected.append(sum(each) / 6)
    assert best.score == pytest.approx(max(expected))


def test_tokens_alone_are_fitted():
    truth = separated()
    none = RowMixture(
        truth.weights,
        truth.means[:, :0],
        truth.covariances[:, :0, :0],
        truth.probs,
        truth.missing[:0],
    )
    data = observed(drawn_rows(none, (2, 3), 3000), (2, 3))
    best = best_mixture(data, data, generator(), math.inf, (1, 4))
    expected = none.log_prob(data.rows)
    assert best.score > float(expected.mean()) - 5 * float(expected.std()) / math.sqrt(3000)
    assert best.mixture.means.shape[1] == 0


def test_the_places_of_missing_numbers_are_kept():
    rows = drawn_rows(random_mixture(values=(2, 2), numbers=2), (2, 2), 30)
    present = rows.tokens == 0
    found = fit_mixture(observed(rows, (2, 2), present, (0, 1)), 1, 1.0, generator())
    assert found.missing.tolist() == [0, 1]


def test_a_fit_whose_time_is_spent_ends_after_its_first_round():
    data = observed(drawn_rows(random_mixture(values=()), (), 60))
    found = fit_mixture(data, 3, 1.0, generator(), seconds=0.0)
    first, _ = next(fitting(data, 3, 1.0, generator()))
    assert torch.equal(found.means, first.means)


def test_the_criterion_takes_off_what_training_rows_exceed():
    """Twice: the mixture of few rows is better for them than for others."""
    rows = torch.randn(300, 4, generator=generator(), dtype=torch.float64)
    few, other = (
        observed(RowState(x, torch.zeros(len(x), 0).long())) for x in rows.split([30, 270])
    )
    found = fit_mixture(few, 3, 0.03, generator())
    own, held_out = (float(found.log_prob(each.rows).mean()) for each in (few, other))
    assert own > held_out + 0.5
    assert criterion(found, few, other) == pytest.approx(2 * held_out - own)
    assert criterion(found, other, few) == pytest.approx(own, abs=0.5)


def test_a_row_far_from_all_others_has_the_density_of_the_wide_component():
    mixture = separated()
    wide = with_outliers(mixture)
    assert float(wide.weights.sum()) == pytest.approx(1.0)
    rows = drawn_rows(mixture, (2, 3), 200)
    torch.testing.assert_close(wide.log_prob(rows), mixture.log_prob(rows), rtol=0, atol=1e-2)

    many = drawn_rows(mixture, (2, 3), 20_000).numbers
    torch.testing.assert_close(wide.covariances[-1], 100 * many.T.cov(), rtol=0.1, atol=5.0)
    far = RowState(rows.numbers[:1] + 1000.0, rows.tokens[:1])
    last = MultivariateNormal(wide.means[-1], wide.covariances[-1]).log_prob(far.numbers)
    tokens = wide.probs[-1, [0, 1], far.tokens[0]].log().sum()
    torch.testing.assert_close(wide.log_prob(far), math.log(1e-5) + last + tokens)
    assert float(mixture.log_prob(far)) < 10 * float(last)
