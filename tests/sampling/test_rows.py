"""Samples of rows: each its own, known entries kept, and the law of the mixture."""

import math

import pytest
import torch
from tests.helpers.rows import drawn_rows, path_of, random_mixture

from allegory.models.table import RowDenoiser, RowFeatures
from allegory.networks import MLPConfig
from allegory.process.rows import KnownEntries, RowState
from allegory.sampling.rows import RowBatch, RowSampler, sample_rows


def denoiser_of(mixture, values, start=9.0):
    """The predictor of a mixture, with a network that adds nothing."""
    numbers = mixture.means.shape[1]
    features = RowFeatures(numbers, values)
    network = MLPConfig(8, 1).build((features.inputs,), None, outputs=features.outputs)
    return RowDenoiser(network, path_of(mixture, start, -9.0), mixture, features).double()


def disturbed(predict):
    """The predictor with a network that adds something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in predict.network.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=generator).double()
    return predict


def part_of(batch, place):
    """One row of a batch."""
    part = slice(place, place + 1)
    numbers, tokens = (
        each if len(each) == 1 else each[part] for each in (batch.known.numbers, batch.known.tokens)
    )
    rows = RowState(batch.x.numbers[part], batch.x.tokens[part])
    return RowBatch(rows, KnownEntries(numbers, tokens), batch.seeds[place : place + 1])


@pytest.mark.parametrize("fixed", [True, False])
def test_a_row_is_the_same_alone_and_in_a_batch(fixed):
    """Where each row has other known and missing entries, also where that is drawn."""
    values = (2, 3, 2)
    mixture = random_mixture(values=values, missing=(0, -1, 2))
    predict = disturbed(denoiser_of(mixture, values))
    rows = drawn_rows(mixture, values, 6)
    is_missing = mixture.is_missing(rows.tokens)
    known = KnownEntries((torch.rand(6, 3) < 0.5) & ~is_missing, torch.rand(6, 3) < 0.5)
    known.tokens[:, [0, 2]] |= fixed
    batch = RowBatch(rows, known, [7, 3, 9, 1, 2**40, 5])
    together = sample_rows(predict, batch, RowSampler(20))
    for place in range(6):
        alone = sample_rows(predict, part_of(batch, place), RowSampler(20))
        assert torch.equal(alone.tokens[0], together.tokens[place])
        torch.testing.assert_close(alone.numbers[0], together.numbers[place], rtol=1e-8, atol=1e-8)


def test_known_entries_are_kept():
    values = (2, 3)
    mixture = random_mixture(values=values)
    rows = drawn_rows(mixture, values, 8)
    known = KnownEntries(torch.rand(8, 3) < 0.5, torch.rand(8, 2) < 0.5)
    found = sample_rows(
        disturbed(denoiser_of(mixture, values)), RowBatch(rows, known, range(8)), RowSampler(5)
    )
    assert torch.equal(found.numbers[known.numbers], rows.numbers[known.numbers])
    assert torch.equal(found.tokens[known.tokens], rows.tokens[known.tokens])
    assert not torch.equal(found.numbers, rows.numbers)
    assert bool((found.tokens < torch.tensor(values)).all())


@pytest.mark.parametrize("steps", [1, 3])
def test_samples_are_clean(steps):
    """No token is masked, and no noise of t = 0 (0.03 here) is left on numbers without width."""
    values = (2, 3)
    mixture = random_mixture(components=1, values=values)
    mixture.covariances.copy_(1e-12 * torch.eye(3, dtype=torch.float64))
    predict = denoiser_of(mixture, values, start=7.0)

    rows = drawn_rows(mixture, values, 50)
    found = sample_rows(
        predict, RowBatch(rows, KnownEntries.none(rows), range(50)), RowSampler(steps)
    )
    assert bool((found.tokens < torch.tensor(values)).all())
    torch.testing.assert_close(found.numbers, mixture.means.expand(50, -1), rtol=0, atol=1e-5)


def test_samples_of_tokens_have_the_probabilities_of_the_mixture():
    """With many steps, so that few tokens are revealed together."""
    values = (2, 3)
    mixture = random_mixture(components=2, numbers=0, values=values)
    count = 3000
    rows = RowState(torch.zeros(count, 0).double(), torch.zeros(count, 2).long())
    known = KnownEntries.none(rows)
    found = sample_rows(
        denoiser_of(mixture, values), RowBatch(rows, known, range(count)), RowSampler(100)
    )
    joint = torch.einsum("m,ma,mb->ab", mixture.weights, *mixture.probs.unbind(1))[:2]
    seen = torch.bincount(3 * found.tokens[:, 0] + found.tokens[:, 1], minlength=6) / count
    error = (joint * (1 - joint) / count).sqrt().flatten()
    assert bool(((seen - joint.flatten()).abs() < 5 * error + 0.002).all())


def test_the_first_token_given_the_second_is_drawn_by_bayes():
    values = (2, 3)
    mixture = random_mixture(components=2, numbers=0, values=values)
    count = 3000
    rows = RowState(torch.zeros(count, 0).double(), torch.full((count, 2), 2))
    known = KnownEntries(torch.zeros(1, 0).bool(), torch.tensor([[False, True]]))
    found = sample_rows(
        denoiser_of(mixture, values), RowBatch(rows, known, range(count)), RowSampler(30)
    )
    r = mixture.weights * mixture.probs[:, 1, 2]
    p = float((r / r.sum()) @ mixture.probs[:, 0, 1])
    assert abs(float(found.tokens[:, 0].double().mean()) - p) < 5 * math.sqrt(p * (1 - p) / count)


def sampled_moments(predict, row, known, steps):
    """Mean and covariance of ancestral samples of one Gaussian, whose every step is affine.

    x_s = A x_t + b + std noise, with A and b from the predictions of the unknown numbers.
    """
    path, d = predict.path, row.numbers.shape[1]
    rest = ~known.numbers[0]
    count = int(rest.sum())
    probes = torch.cat([torch.zeros(1, count), torch.eye(count)]).double()
    mean = torch.zeros(count).double()
    covariance = torch.eye(count).double()

    for step in range(steps, 0, -1):
        numbers = row.numbers.expand(count + 1, d).clone()
        numbers[:, rest] = probes
        rows = RowState(numbers, row.tokens.expand(count + 1, -1))
        t, s = (path.at(i / steps, rows) for i in (step, step - 1))
        with torch.no_grad():
            prediction = predict(rows, t, known)
        gaussian, _ = path.step(prediction, s)
        ends = prediction.numbers.x0 if step == 1 else gaussian.mean
        std = 0.0 if step == 1 else float(torch.as_tensor(gaussian.std))
        a = (ends[1:] - ends[0])[:, rest].T
        mean = a @ mean + ends[0, rest]
        covariance = a @ covariance @ a.T + std**2 * torch.eye(count).double()
    return mean, covariance


@pytest.mark.parametrize("steps", [10, 250])
def test_conditional_samples_of_a_gaussian_have_its_mean_and_covariance(steps):
    """Those of the chain of steps, which for many are the Schur complement."""
    mixture = random_mixture(components=1, values=())
    predict = denoiser_of(mixture, (), 11.0)
    row = drawn_rows(mixture, (), 1)
    known = KnownEntries(torch.tensor([[True, False, False]]), torch.zeros(1, 0).bool())
    mean, covariance = sampled_moments(predict, row, known, steps)

    s, gap = mixture.covariances[0], row.numbers[0, 0] - mixture.means[0, 0]
    exact_mean = mixture.means[0, 1:] + s[1:, 0] / s[0, 0] * gap
    exact = s[1:, 1:] - s[1:, :1] @ s[:1, 1:] / s[0, 0]
    if steps == 250:
        torch.testing.assert_close(mean, exact_mean, rtol=0, atol=0.02)
        torch.testing.assert_close(covariance, exact, rtol=0.03, atol=0.01)

    count = 2000 if steps == 10 else 300
    rows = RowState(row.numbers.expand(count, -1), row.tokens.expand(count, -1))
    found = sample_rows(predict, RowBatch(rows, known, range(count)), RowSampler(steps))
    x = found.numbers[:, 1:]
    error = (covariance.diagonal() / count).sqrt()
    assert bool(((x.mean(0) - mean).abs() < 5 * error).all())
    root = torch.linalg.inv(torch.linalg.cholesky(covariance))
    white = root @ torch.cov(x.T) @ root.T
    assert float((white - torch.eye(2)).abs().max()) < 5 * math.sqrt(2 / count)


def test_a_mixture_of_numbers_and_tokens_is_sampled():
    """Fractions of the token, and mean and variance of the number with each, as in exact draws."""
    values = (2,)
    mixture = random_mixture(components=2, numbers=1, values=values)
    count = 2000
    rows = RowState(torch.zeros(count, 1).double(), torch.zeros(count, 1).long())
    predict = denoiser_of(mixture, values, 11.0)
    found = sample_rows(
        predict, RowBatch(rows, KnownEntries.none(rows), range(count)), RowSampler(150)
    )
    for token in range(2):
        w = mixture.weights * mixture.probs[:, 0, token]
        own = found.numbers[found.tokens[:, 0] == token, 0]
        assert abs(len(own) / count - float(w.sum())) < 5 * 0.5 / math.sqrt(count)
        mean = (w / w.sum()) @ mixture.means[:, 0]
        second = (w / w.sum()) @ (mixture.covariances[:, 0, 0] + mixture.means[:, 0].square())
        std = (second - mean.square()).sqrt()
        assert abs(float(own.mean() - mean)) < 5 * float(std) / math.sqrt(len(own)) + 0.02
        assert float(own.std() / std) == pytest.approx(1, abs=5 / math.sqrt(len(own)) + 0.02)


def test_progress_is_reported_at_each_step():
    mixture = random_mixture(values=())
    rows = drawn_rows(mixture, (), 1)
    seen = []
    batch = RowBatch(rows, KnownEntries.none(rows), [0])
    sample_rows(denoiser_of(mixture, ()), batch, RowSampler(4), lambda *x: seen.append(x))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("steps", [0, -1])
def test_a_number_of_steps_below_one_is_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        RowSampler(steps)
