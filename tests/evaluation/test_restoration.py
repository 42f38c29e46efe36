"""PSNR and energy score, against closed forms."""

import math

import pytest
import torch

from allegory.evaluation import energy_score, psnr


def test_psnr_of_a_constant_error():
    truth = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    estimate = torch.stack([torch.full((1, 4, 4), 25.5), torch.full((1, 4, 4), 255.0)])
    assert psnr(estimate, truth, 255).tolist() == pytest.approx([20.0, 0.0])
    truth[1] = 255
    assert psnr(estimate, truth, 255)[1] == math.inf


def test_energy_score_by_hand():
    draws = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]])
    # |x - truth|: 0, 5, 8; pairs: 5, 8, 5.
    expected = 13 / 3 - (5 + 8 + 5) / 3 / 2
    assert energy_score(draws, torch.zeros(1, 2)).item() == pytest.approx(expected)


def test_energy_score_of_normal_numbers():
    """E|x - y| is 2/sqrt(pi) for two standard normal numbers, so the score is 1/sqrt(pi) for draws
    of the truth's own distribution, and higher for wider, narrower and shifted ones.
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20000, 1, generator=generator)
    draws = torch.randn(20000, 4, 1, generator=generator)
    score = energy_score(draws, truth)
    error = score.std().item() / 20000**0.5
    assert score.mean().item() == pytest.approx(math.pi**-0.5, abs=5 * error)
    for other in (1.5 * draws, 0.5 * draws, draws + 0.5):
        assert energy_score(other, truth).mean() > score.mean() + 5 * error


def test_the_score_does_not_depend_on_the_number_of_draws():
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(20000, 1, generator=generator)
    for m in (2, 8):
        score = energy_score(torch.randn(20000, m, 1, generator=generator), truth).mean()
        assert score.item() == pytest.approx(math.pi**-0.5, abs=0.03)


def test_bad_input():
    with pytest.raises(ValueError, match="1 of each item; give two or more"):
        energy_score(torch.zeros(3, 1, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="those of the same items"):
        energy_score(torch.zeros(3, 4, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="width=0"):
        psnr(torch.zeros(1, 2), torch.zeros(1, 2), 0)
