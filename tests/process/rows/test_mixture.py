"""Exact denoisers of mixtures over rows against `Mixture`, joint tables, and Bayes row by row."""

import math

import pytest
import torch
from tests.helpers.rows import (
    all_rows,
    drawn_rows,
    nothing_known,
    path_of,
    posterior_by_bayes,
    random_mixture,
)
from torch.distributions import MultivariateNormal

import allegory as al
from allegory.process.rows import KnownEntries, RowMixture, RowState

CASES = {
    "numbers and tokens": ((2, 3), None),
    "two numbers that may be missing": ((3, 2, 2), (1, -1, 2)),
    "all numbers may be missing": ((2, 2, 2), (0, 1, 2)),
    "numbers alone": ((), None),
}


def noised(mixture, rows, path, t, seed=2):
    """Noisy rows at one time, and their Level."""
    generator = torch.Generator().manual_seed(seed)
    level = path.at(t, rows)
    eps = torch.randn(rows.numbers.shape, generator=generator, dtype=torch.float64)
    u = torch.rand(rows.tokens.shape, generator=generator, dtype=torch.float64)
    masks = torch.where(u < 0.5, path.tokens.mask, rows.tokens)
    return eps, masks, level


@pytest.mark.parametrize("t", [0.05, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("numbers", [1, 3])
def test_without_tokens_it_is_the_mixture_of_gaussians(t, numbers):
    mixture = random_mixture(numbers=numbers, values=())
    path = path_of(mixture)
    oracle = al.Mixture(
        mixture.means,
        None,
        path=path.numbers,
        weights=mixture.weights,
        covariances=mixture.covariances,
    )
    rows = drawn_rows(mixture, (), 6)
    x_t = RowState(3 * rows.numbers, rows.tokens)
    level = path.at(t, x_t)

    x0, eps, probs = mixture.expect(x_t, level.numbers, mixture.given(x_t, nothing_known(x_t)))
    expected = oracle(x_t.numbers, t)
    torch.testing.assert_close(x0, expected.x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(eps, expected.eps, rtol=1e-9, atol=1e-9)
    assert probs.shape == (6, 0, 2)
    torch.testing.assert_close(mixture.log_prob(rows), oracle.log_prob(rows.numbers))


def test_one_time_for_each_row_is_each_row_at_its_time():
    mixture = random_mixture()
    path, rows = path_of(mixture), drawn_rows(random_mixture(), (2, 3), 4)
    times = torch.tensor([0.1, 0.9, 0.3, 0.6], dtype=torch.float64)
    parts = mixture.given(rows, nothing_known(rows))
    together = mixture.expect(rows, path.at(times, rows).numbers, parts)
    for place, t in enumerate(times.tolist()):
        alone = mixture.expect(rows, path.at(t, rows).numbers, parts)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[place], other[place])


def test_tokens_alone_are_those_of_a_joint_table():
    values = (2, 3, 2)
    mixture = random_mixture(numbers=0, values=values)
    path = path_of(mixture)
    table = all_rows(values)
    joint = torch.zeros(values, dtype=torch.float64)
    for place in range(len(mixture.weights)):
        parts = [p[:count] for p, count in zip(mixture.probs[place], values, strict=True)]
        joint += mixture.weights[place] * torch.einsum("a,b,c->abc", *parts)
    clean = RowState(torch.zeros(len(table), 0).double(), table)
    torch.testing.assert_close(mixture.log_prob(clean), joint.flatten().log())

    seen = torch.tensor([[1, 3, 3], [3, 3, 3], [0, 2, 3], [3, 1, 0]])
    x_t = RowState(torch.zeros(4, 0).double(), seen)
    level = path.at(0.5, x_t)
    _, _, probs = mixture.expect(x_t, level.numbers, mixture.given(x_t, nothing_known(x_t)))
    for row, each in zip(seen, probs, strict=True):
        agrees = ((row == path.tokens.mask) | (row == table)).all(1)
        weights = joint.flatten() * agrees
        for place, count in enumerate(values):
            if row[place] == path.tokens.mask:
                found = torch.stack([weights[table[:, place] == v].sum() for v in range(count)])
                torch.testing.assert_close(each[place, :count], found / found.sum())
                assert float(each[place, count:].sum()) == 0


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_the_denoiser_is_the_posterior_by_bayes(name, t):
    """With masks, known numbers that differ by row, and numbers that are missing."""
    values, missing = CASES[name]
    mixture = random_mixture(values=values, missing=missing)
    path, clean = path_of(mixture), drawn_rows(random_mixture(values=values), values, 12)
    eps, tokens, level = noised(mixture, clean, path, t)
    is_known = torch.rand(12, 3) < torch.tensor([[0.0], [0.3], [0.7]]).repeat(4, 1)
    is_known &= ~mixture.is_missing(tokens)
    known = KnownEntries(is_known, torch.zeros(1, len(values), dtype=torch.bool))
    x_t = path.mix(clean, RowState(eps, tokens), level, known)

    parts = mixture.given(x_t, known)
    x0, found_eps, probs = mixture.expect(x_t, level.numbers, parts)
    at_once = mixture.expect_given(x_t, level.numbers, known)
    for one, other in zip(at_once, (x0, torch.where(is_known, 0.0, found_eps), probs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    log_r = mixture.log_responsibilities(x_t, level.numbers, parts).log_softmax(1)
    alpha, sigma = float(level.numbers.alpha), float(level.numbers.sigma)
    for row in range(12):
        logs, means = posterior_by_bayes(
            mixture, x_t.numbers[row], x_t.tokens[row], (alpha, sigma), is_known[row]
        )
        r = logs.softmax(0)
        torch.testing.assert_close(log_r[row], logs.log_softmax(0), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(x0[row], r @ means, rtol=1e-9, atol=1e-9)
        rest = ~is_known[row]
        noise = (x_t.numbers[row] - alpha * (r @ means)) / sigma
        torch.testing.assert_close(found_eps[row][rest], noise[rest], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(probs[row], torch.einsum("m,mkv->kv", r, mixture.probs))


def test_given_known_numbers_are_the_conditional_gaussians():
    """Schur complements, and log w_k N(known; m_k, S_k) up to one constant."""
    mixture = random_mixture(numbers=4, values=())
    rows = drawn_rows(mixture, (), 3)
    is_known = torch.tensor([[True, False, True, False]])
    parts = mixture.given(rows, KnownEntries(is_known, torch.zeros(1, 0, dtype=torch.bool)))
    covariances = parts.axes @ parts.variances.diag_embed() @ parts.axes.mT
    a, b = [0, 2], [1, 3]

    for place, (mean, s) in enumerate(zip(mixture.means, mixture.covariances, strict=True)):
        known_block, cross = s[a][:, a], s[b][:, a]
        gap = (rows.numbers[:, a] - mean[a]) @ torch.linalg.inv(known_block)
        means = parts.centres[:, place] @ parts.axes[0, place].mT
        torch.testing.assert_close(means[:, b], mean[b] + gap @ cross.T)
        torch.testing.assert_close(means[:, a], rows.numbers[:, a])
        schur = s[b][:, b] - cross @ torch.linalg.inv(known_block) @ cross.T
        torch.testing.assert_close(covariances[0, place][b][:, b], schur)
        assert covariances[0, place][a].abs().max() < 1e-12

    marginal = MultivariateNormal(mixture.means[:, a], mixture.covariances[:, a][:, :, a])
    logs = mixture.weights.log() + marginal.log_prob(rows.numbers[:, None, a])
    gap = parts.log_weights - logs
    torch.testing.assert_close(gap, gap[:, :1].expand_as(gap))


@pytest.mark.parametrize("rest", [0, 3])
def test_given_all_numbers_but_one(rest):
    """Its variance is the reciprocal of the entry of the precision."""
    mixture = random_mixture(numbers=4, values=())
    rows = drawn_rows(mixture, (), 3)
    is_known = torch.ones(1, 4, dtype=torch.bool)
    is_known[0, rest] = False
    parts = mixture.given(rows, KnownEntries(is_known, torch.zeros(1, 0, dtype=torch.bool)))
    variance = (parts.axes @ parts.variances.diag_embed() @ parts.axes.mT)[0, :, rest, rest]
    precision = torch.linalg.inv(mixture.covariances)
    torch.testing.assert_close(variance, 1 / precision[:, rest, rest])


def test_given_all_numbers_they_are_certain():
    mixture = random_mixture()
    rows = drawn_rows(mixture, (2, 3), 3)
    known = KnownEntries(torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool))
    parts = mixture.given(rows, known)
    assert parts.variances.abs().max() < 1e-12
    means = torch.einsum("med,bmd->bme", parts.axes[0], parts.centres)
    torch.testing.assert_close(means, rows.numbers[:, None].expand(-1, 3, -1))


def test_patterns_that_differ_by_row_are_one_row_at_a_time():
    mixture = random_mixture(values=(2, 2, 2), missing=(0, 1, 2))
    rows = drawn_rows(mixture, (2, 2, 2), 9)
    is_known = (torch.rand(9, 3) < 0.4) & ~mixture.is_missing(rows.tokens)
    level = path_of(mixture).at(0.3, rows)
    known = KnownEntries(is_known, torch.ones(1, 3, dtype=torch.bool))
    together = mixture.expect(rows, level.numbers, mixture.given(rows, known))

    for place in range(9):
        part = slice(place, place + 1)
        row = RowState(rows.numbers[part], rows.tokens[part])
        own = mixture.given(row, KnownEntries(is_known[part], known.tokens))
        alone = mixture.expect(row, path_of(mixture).at(0.3, row).numbers, own)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[part], other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [1, 12])
def test_log_prob_of_rows_with_missing_numbers_is_the_density_of_the_others(count):
    values = (2, 3, 2)
    mixture = random_mixture(values=values, missing=(0, -1, 2))
    rows = drawn_rows(mixture, values, count, seed=4)
    found = mixture.log_prob(rows)
    for place in range(count):
        there = ~mixture.is_missing(rows.tokens[place : place + 1])[0]
        logs = mixture.weights.log().clone()
        for k, probs in enumerate(mixture.probs):
            marginal = MultivariateNormal(
                mixture.means[k, there], mixture.covariances[k][there][:, there]
            )
            logs[k] += marginal.log_prob(rows.numbers[place, there])
            logs[k] += sum(p[c].log() for p, c in zip(probs, rows.tokens[place], strict=True))
        torch.testing.assert_close(found[place], logs.logsumexp(0))


def test_log_prob_where_every_number_of_a_row_is_missing():
    mixture = random_mixture(numbers=2, values=(2, 2), missing=(0, 1))
    rows = RowState(torch.full((1, 2), 5.0).double(), torch.ones(1, 2).long())
    expected = (mixture.weights * mixture.probs[:, :, 1].prod(1)).sum().log()
    torch.testing.assert_close(mixture.log_prob(rows)[0], expected)


@pytest.mark.parametrize("missing", [None, (1, 2)])
def test_the_density_integrates_to_one(missing):
    """Over a grid of two numbers and all tokens; missing numbers have no density."""
    values = (2, 2, 2)
    mixture = random_mixture(numbers=2, values=values, missing=missing)
    edge = torch.linspace(-12, 12, 97, dtype=torch.float64)
    grid = torch.cartesian_prod(edge, edge)
    total = 0.0
    for tokens in all_rows(values):
        rows = RowState(grid, tokens.expand(len(grid), -1))
        gone = int(mixture.is_missing(tokens[None]).sum())
        total += float(mixture.log_prob(rows).exp().sum()) * 0.25**2 / (97 * 0.25) ** gone
    assert total == pytest.approx(1, abs=1e-7)


def test_a_number_that_is_missing_says_nothing_of_the_others():
    """Whatever stands in its place, and however many."""
    mixture = random_mixture(numbers=2, values=(2,), missing=(0, -1))
    tokens = torch.ones(2, 1).long()
    rows = RowState(torch.tensor([[0.3, 0.7], [-4.0, 0.7]]).double(), tokens)
    level = path_of(mixture).at(0.5, rows)
    x0, _, _ = mixture.expect(rows, level.numbers, mixture.given(rows, nothing_known(rows)))
    assert x0[0, 1] == pytest.approx(float(x0[1, 1]), rel=1e-12)
    alpha = float(level.numbers.alpha)
    torch.testing.assert_close(x0[:, 0], alpha * rows.numbers[:, 0])


def test_weights_are_normalised():
    mixture = random_mixture()
    assert float(mixture.weights.sum()) == pytest.approx(1)
    twice = RowMixture(
        2 * mixture.weights, mixture.means, mixture.covariances, mixture.probs, mixture.missing
    )
    rows = drawn_rows(mixture, (2, 3), 3)
    torch.testing.assert_close(twice.log_prob(rows), mixture.log_prob(rows))


def test_loaded_weights_are_used():
    """Whatever is computed of them once is computed again."""
    one, other = random_mixture(seed=1), random_mixture(seed=2)
    rows = drawn_rows(one, (2, 3), 3)
    level = path_of(one).at(0.5, rows)
    one.expect(rows, level.numbers, one.given(rows, nothing_known(rows)))
    one.load_state_dict(other.state_dict())
    found = one.expect(rows, level.numbers, one.given(rows, nothing_known(rows)))
    expected = other.expect(rows, level.numbers, other.given(rows, nothing_known(rows)))
    for each, own in zip(found, expected, strict=True):
        torch.testing.assert_close(each, own)
    torch.testing.assert_close(one.log_prob(rows), other.log_prob(rows))


def test_all_masked_at_the_end_the_tokens_are_their_frequencies():
    mixture = random_mixture()
    path = path_of(mixture, end=-30.0)
    rows = RowState(torch.zeros(1, 3).double(), torch.full((1, 2), path.tokens.mask))
    level = path.at(1.0, rows)
    _, eps, probs = mixture.expect(rows, level.numbers, mixture.given(rows, nothing_known(rows)))
    expected = torch.einsum("m,mkv->kv", mixture.weights, mixture.probs)
    torch.testing.assert_close(probs[0], expected, atol=3 * math.exp(-15), rtol=0)
    assert eps.abs().max() < 3 * math.exp(-15)
