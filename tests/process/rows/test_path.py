"""The forward process of rows: marginals, known entries, and reverse steps."""

import pytest
import torch
from tests.helpers.rows import drawn_rows, nothing_known, path_of, random_mixture

from allegory.process.discrete import TokenPrediction
from allegory.process.prediction import Prediction
from allegory.process.rows import KnownEntries, RowPrediction, RowState

VALUES = (2, 3)


@pytest.fixture
def path():
    return path_of(random_mixture())


def test_a_token_is_masked_with_the_probability_of_the_square_of_the_time(path):
    rows = drawn_rows(random_mixture(), VALUES, 3)
    for t in (0.0, 0.3, 1.0):
        level = path.at(t, rows)
        assert float(level.tokens.noise) == pytest.approx(t * t)
        assert float(level.numbers.log_snr) == pytest.approx(6 - 11 * t)


def test_the_speed_of_the_tokens_is_the_slope_of_their_time(path):
    rows = drawn_rows(random_mixture(), VALUES, 1)
    t = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    level = path.at(t, rows)
    (slope,) = torch.autograd.grad(level.tokens.t.sum(), t)
    torch.testing.assert_close(torch.as_tensor(level.token_speed).detach(), slope)


def test_known_entries_stay_clean(path):
    rows = drawn_rows(random_mixture(), VALUES, 4)
    known = KnownEntries(torch.rand(4, 3) < 0.5, torch.rand(4, 2) < 0.5)
    masks = torch.full_like(rows.tokens, path.tokens.mask)
    level = path.at(0.6, rows)
    eps = torch.randn(4, 3, dtype=torch.float64)
    x_t = path.mix(rows, RowState(eps, masks), level, known)
    noisy = level.numbers.alpha * rows.numbers + level.numbers.sigma * eps
    assert torch.equal(x_t.numbers, torch.where(known.numbers, rows.numbers, noisy))
    assert torch.equal(x_t.tokens, torch.where(known.tokens, rows.tokens, masks))


def test_of_the_true_rows_a_step_has_the_marginals_of_its_time(path):
    """Mean and variance of q(x_s | x_t, x0) averaged over x_t, and the fraction of masks."""
    rows = drawn_rows(random_mixture(), VALUES, 1)
    t, s = path.at(0.8, rows), path.at(0.5, rows)
    eps = torch.tensor([[-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]], dtype=torch.float64)
    x0 = RowState(rows.numbers.expand(2, -1), rows.tokens.expand(2, -1))
    masks = torch.full_like(x0.tokens, path.tokens.mask)
    truth = RowPrediction(
        Prediction.of(x0.numbers, eps, t.numbers), TokenPrediction.of(x0.tokens, masks, t.tokens)
    )
    gaussian, tokens = path.step(truth, s)
    mean, spread = gaussian.mean.mean(0), gaussian.mean.var(0, correction=0)
    torch.testing.assert_close(mean, s.numbers.alpha * rows.numbers[0])
    variance = spread + float(torch.as_tensor(gaussian.std)) ** 2
    torch.testing.assert_close(variance, torch.full((3,), float(s.numbers.sigma) ** 2).double())

    stays = tokens.probs[..., path.tokens.mask]
    expected = torch.full_like(stays, float(s.tokens.noise) / float(t.tokens.noise))
    torch.testing.assert_close(stays, expected)


def test_no_entry_is_known_of_none():
    known = nothing_known(drawn_rows(random_mixture(), VALUES, 4))
    assert known.numbers.shape == (1, 3)
    assert known.tokens.shape == (1, 2)
    assert not bool(known.numbers.any() or known.tokens.any())
