"""The bound of rows: exact where the predictor is, below log p elsewhere, without known entries."""

import itertools
import math

import numpy as np
import pytest
import torch
from tests.helpers.rows import all_rows, drawn_rows, nothing_known, path_of, random_mixture
from torch.distributions import MultivariateNormal

from allegory.likelihood.row_bound import RowTruth, antithetic_loss, row_bound, row_loss
from allegory.models.table import RowDenoiser, RowFeatures
from allegory.networks import MLPConfig
from allegory.process.rows import KnownEntries, RowMixture, RowState


def denoiser_of(mixture, values, start=8.0, end=-9.0):
    """The predictor of a mixture, with a network that adds nothing."""
    numbers = mixture.means.shape[1]
    features = RowFeatures(numbers, values)
    network = MLPConfig(8, 1).build((features.inputs,), None, outputs=features.outputs)
    path = path_of(mixture, start, end)
    return RowDenoiser(network, path, mixture, features).double()


def repeated(rows, count):
    """Each row `count` times."""
    return RowState(*(each.repeat_interleave(count, 0) for each in (rows.numbers, rows.tokens)))


def means_of(predict, rows, known, count, draws=8):
    """Means of `count` bounds of each row with other seeds, and their standard errors."""
    many = repeated(rows, count)
    if len(known.numbers) > 1 or len(known.tokens) > 1:
        known = KnownEntries(
            *(
                each.expand(len(rows), -1).repeat_interleave(count, 0)
                for each in (known.numbers, known.tokens)
            )
        )
    total = row_bound(predict, many, known, draws=draws).total.view(len(rows), count)
    return total.mean(1), total.std(1) / math.sqrt(count)


def quadrature(d, nodes=14):
    """Nodes and weights for the mean over d standard normal numbers."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    x, w = torch.from_numpy(x), torch.from_numpy(w / w.sum())
    if d == 0:
        return torch.zeros(1, 0).double(), torch.ones(1).double()
    if d == 1:
        return x[:, None], w
    return torch.cartesian_prod(x, x), torch.cartesian_prod(w, w).prod(1)


def exact_total(predict, row, known, steps=150):
    """The expectation of the bound of one row, by quadrature over time, noise and masks."""
    rest, hidden = ~known.numbers[0], ~known.tokens[0]
    nodes, weights = quadrature(int(rest.sum()))
    times = (torch.arange(steps).double() + 0.5) / steps
    time = times.repeat_interleave(len(nodes))
    many = repeated(row, len(time))
    eps = torch.zeros(len(time), len(rest)).double()
    eps[:, rest] = nodes.repeat(steps, 1)
    integral = 0.0

    for masks in itertools.product([0.0, 1.0], repeat=int(hidden.sum())):
        u = torch.ones(len(time), len(hidden)).double()
        u[:, hidden] = torch.tensor(masks).double()
        count = masks.count(0.0)
        chance = time.square() ** count * (1 - time.square()) ** (len(masks) - count)
        with torch.no_grad():
            loss = row_loss(predict, RowTruth(many, eps, u, known), time)
        integral += float((chance * loss * weights.repeat(steps)).sum()) / steps

    found = row_bound(predict, row, known, draws=1)
    return float(found.reconstruction - found.prior) - integral


def smoothed_log_prob(mixture, path, row, known):
    """E log p(x + w eps, tokens | known), where p has the noise w of t = 0, by quadrature."""
    level = path.numbers.at(0.0)
    rest, width = ~known.numbers[0], float(level.sigma / level.alpha)
    covariances = mixture.covariances + torch.diag(width**2 * rest.double())
    wide = RowMixture(mixture.weights, mixture.means, covariances, mixture.probs, mixture.missing)
    nodes, weights = quadrature(int(rest.sum()))
    many = repeated(row, len(nodes))
    many.numbers[:, rest] += width * nodes
    log_known = mixture.weights.log().clone()
    seen = ~rest
    if bool(seen.any()):
        marginal = MultivariateNormal(
            mixture.means[:, seen], mixture.covariances[:, seen][:, :, seen]
        )
        log_known += marginal.log_prob(row.numbers[:, seen])
    for place in known.tokens[0].nonzero()[:, 0]:
        log_known += mixture.probs[:, place, row.tokens[0, place]].log()
    return float((weights * wide.log_prob(many)).sum() - log_known.logsumexp(0))


KNOWN = {
    "nothing": ((0, 0), (0, 0)),
    "a number": ((1, 0), (0, 0)),
    "a token": ((0, 0), (0, 1)),
    "both": ((0, 1), (1, 0)),
    "numbers": ((1, 1), (0, 0)),
    "tokens": ((0, 0), (1, 1)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_with_the_exact_denoiser_it_is_the_conditional_log_probability(name):
    """log p(rest | known) in the mean, with the noise of t = 0."""
    values = (2, 3)
    mixture = random_mixture(components=2, numbers=2, values=values)
    predict = denoiser_of(mixture, values)
    row = drawn_rows(mixture, values, 1, seed=6)
    known = KnownEntries(*(torch.tensor([each]).bool() for each in KNOWN[name]))
    total = exact_total(predict, row, known)
    expected = smoothed_log_prob(mixture, predict.path, row, known)
    assert total == pytest.approx(expected, abs=2e-3)


def test_of_missing_numbers_that_are_known_to_be_it_is_that_of_noise():
    """log p(u) of the standard normal number in its place, smoothed, and of what depends on it."""
    mixture = random_mixture(numbers=2, values=(2,), missing=(0, -1))
    predict = denoiser_of(mixture, (2,))
    row = RowState(torch.tensor([[0.4, 0.9]]).double(), torch.ones(1, 1).long())
    known = KnownEntries(torch.zeros(1, 2).bool(), torch.ones(1, 1).bool())
    width = math.exp(-8)  # the variance of the noise at t = 0
    r = (mixture.weights.log() + mixture.probs[:, 0, 1].log()).log_softmax(0)
    normal = torch.distributions.Normal(mixture.means[:, 1], mixture.covariances[:, 1, 1].sqrt())
    expected = (r + normal.log_prob(row.numbers[0, 1])).logsumexp(0)
    fill = torch.distributions.Normal(0.0, math.sqrt(1 + width))
    expected = float(expected) + float(fill.log_prob(torch.tensor(0.4)))
    assert exact_total(predict, row, known) == pytest.approx(expected, abs=5e-3)


def test_the_bound_of_random_draws_has_that_expectation():
    values = (2, 3)
    mixture = random_mixture(components=2, numbers=2, values=values)
    predict = denoiser_of(mixture, values)
    row = drawn_rows(mixture, values, 1, seed=6)
    mean, error = means_of(predict, row, nothing_known(row), 1000)
    exact = exact_total(predict, row, nothing_known(row))
    assert abs(float(mean) - exact) < 5 * float(error)
    assert float(error) < 0.15


@pytest.mark.parametrize("values", [(2,), (2, 3, 2)])
def test_of_independent_tokens_it_is_the_log_probability(values):
    mixture = random_mixture(components=1, numbers=0, values=values)
    predict = denoiser_of(mixture, values)
    table = all_rows(values)
    rows = RowState(torch.zeros(len(table), 0).double(), table)
    mean, error = means_of(predict, rows, nothing_known(rows), 500)
    gap = (mean - mixture.log_prob(rows)) / error
    assert float(gap.abs().max()) < 5


def test_of_dependent_tokens_with_the_exact_denoiser_it_is_the_log_probability_as_well():
    """Masked diffusion reveals one token at a time: the bound is tight for the exact posterior."""
    values = (2, 2)
    mixture = random_mixture(components=2, numbers=0, values=values)
    predict = denoiser_of(mixture, values)
    table = all_rows(values)
    rows = RowState(torch.zeros(len(table), 0).double(), table)
    mean, error = means_of(predict, rows, nothing_known(rows), 1500)
    gap = (mean - mixture.log_prob(rows)) / error
    assert float(gap.abs().max()) < 5


def test_with_a_wrong_denoiser_it_is_below():
    """Tokens that depend on each other, of which the predictor knows the marginals alone."""
    probs = torch.tensor([[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]]).double()
    truth = RowMixture(
        torch.ones(2).double(),
        torch.zeros(2, 0).double(),
        torch.zeros(2, 0, 0).double(),
        probs,
        torch.zeros(0).long(),
    )
    wrong = RowMixture(
        torch.ones(1).double(),
        torch.zeros(1, 0).double(),
        torch.zeros(1, 0, 0).double(),
        probs.mean(0, keepdim=True),
        torch.zeros(0).long(),
    )
    table = all_rows((2, 2))
    rows = RowState(torch.zeros(4, 0).double(), table)
    mean, error = means_of(denoiser_of(wrong, (2, 2)), rows, nothing_known(rows), 500)
    log_p = truth.log_prob(rows)
    p = log_p.exp()
    divergence = float((p * (log_p - wrong.log_prob(rows))).sum())
    gap = float((p * (log_p - mean)).sum())
    spread = float((p.square() * error.square()).sum().sqrt())
    assert divergence > 0.1
    assert abs(gap - divergence) < 5 * spread


def test_of_known_rows_there_is_nothing_left():
    mixture = random_mixture(values=(2, 3))
    rows = drawn_rows(mixture, (2, 3), 3)
    known = KnownEntries(torch.ones(1, 3).bool(), torch.ones(1, 2).bool())
    total = row_bound(denoiser_of(mixture, (2, 3)), rows, known).total
    torch.testing.assert_close(total, torch.zeros(3).double(), atol=1e-12, rtol=0)


def test_known_entries_that_differ_by_row_are_those_of_each():
    values = (2, 3)
    mixture = random_mixture(values=values)
    predict = denoiser_of(mixture, values)
    rows = drawn_rows(mixture, values, 6)
    known = KnownEntries(torch.rand(6, 3) < 0.5, torch.rand(6, 2) < 0.5)
    seeds = [5, 3, 8, 1, 9, 2]
    together = row_bound(predict, rows, known, seeds=seeds)
    for place, seed in enumerate(seeds):
        part = slice(place, place + 1)
        alone = row_bound(
            predict,
            RowState(rows.numbers[part], rows.tokens[part]),
            KnownEntries(known.numbers[part], known.tokens[part]),
            seeds=[seed],
        )
        torch.testing.assert_close(alone.total[0], together.total[place], rtol=1e-9, atol=1e-9)


def test_the_loss_is_the_integral_over_time():
    """Of one row with one number and the exact eps of one Gaussian, in closed form."""
    mixture = random_mixture(components=1, numbers=1, values=())
    predict = denoiser_of(mixture, ())
    level_of = predict.path.numbers.at
    count = 4001
    times = (torch.arange(count).double() + 0.5) / count
    variance, x0 = float(mixture.covariances[0, 0, 0]), float(mixture.means[0, 0]) + 0.7
    rows = RowState(torch.full((count, 1), x0).double(), torch.zeros(count, 0).long())
    losses = []
    for eps in (-1.0, 1.0):
        truth = RowTruth(
            rows, torch.full((count, 1), eps).double(), rows.tokens.double(), nothing_known(rows)
        )
        losses.append(row_loss(predict, truth, times))

    alpha, sigma = (getattr(level_of(times), name) for name in ("alpha", "sigma"))
    spread = alpha**2 * variance + sigma**2
    bias = sigma * alpha * 0.7 / spread
    scale = sigma**2 / spread - 1
    expected = 0.5 * 17 * (bias.square() + scale.square())
    torch.testing.assert_close((losses[0] + losses[1]) / 2, expected, rtol=1e-6, atol=1e-6)


def test_known_entries_have_no_term_in_the_loss():
    values = (2, 3)
    mixture = random_mixture(values=values)
    rows = drawn_rows(mixture, values, 4)
    known = KnownEntries(torch.ones(1, 3).bool(), torch.ones(1, 2).bool())
    eps, u = torch.randn(4, 3).double(), torch.rand(4, 2).double()
    predict = denoiser_of(mixture, values)
    time = torch.rand(4).double()
    assert bool((row_loss(predict, RowTruth(rows, eps, u, known), time) == 0).all())

    some = KnownEntries(torch.tensor([[True, False, False]]), torch.ones(1, 2).bool())
    first = row_loss(predict, RowTruth(rows, eps, u, some), time)
    other = torch.cat([torch.randn(4, 1).double(), eps[:, 1:]], 1)
    second = row_loss(predict, RowTruth(rows, other, torch.rand(4, 2).double(), some), time)
    torch.testing.assert_close(first, second)


def test_the_antithetic_loss_is_the_mean_over_both_signs():
    values = (2, 3)
    mixture = random_mixture(values=values)
    predict = denoiser_of(mixture, values)
    rows, time = drawn_rows(mixture, values, 4), torch.rand(4).double()
    known = KnownEntries(torch.rand(4, 3) < 0.3, torch.zeros(1, 2).bool())
    eps, u = torch.randn(4, 3).double(), torch.rand(4, 2).double()
    both = [
        row_loss(predict, RowTruth(rows, sign * eps, each, known), time)
        for sign, each in ((1, u), (-1, 1 - u))
    ]
    found = antithetic_loss(predict, RowTruth(rows, eps, u, known), time)
    torch.testing.assert_close(found, (both[0] + both[1]) / 2)
