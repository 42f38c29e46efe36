"""Formulas that keep their digits where the textbook's would cancel."""

import math

import pytest
import torch

from allegory import Path
from allegory.process import Betas, Cosine, LinearLogSNR, RectifiedFlow


def test_a_tiny_beta_keeps_its_digits():
    """log-SNR of beta_1 = 1e-13 is log((1 - beta)/beta); 1 - alpha_bar would keep three digits of
    it.
    """
    start, end = Betas([1e-13, 1e-12]).ends
    assert abs(start - (math.log1p(-1e-13) - math.log(1e-13))) < 1e-12
    assert (
        abs(end - (-1.1e-12 - math.log(1.1e-12))) < 1e-12
    )  # alpha_bar_2 = 1 - 1.1e-12 to this accuracy


def test_both_scales_near_both_ends():
    """sigma near the data and alpha near the noise, where one minus the other's square is 0 in
    float32.
    """
    t = torch.tensor([1e-9], dtype=torch.float64)
    cosine, straight = Path(Cosine(math.inf, -math.inf)), Path(RectifiedFlow(), "flow")
    for path, slope in ((cosine, math.pi / 2), (straight, 1.0)):
        torch.testing.assert_close(path.at(t).sigma, slope * t, rtol=1e-12, atol=0)
    # 1 - 1e-9 is itself rounded: half a unit in the last place is 1e-16/1e-9 of the distance to 1.
    torch.testing.assert_close(cosine.at(1 - t).alpha, math.pi / 2 * t, rtol=2e-7, atol=0)
    torch.testing.assert_close(straight.at(1 - t).alpha, t, rtol=2e-7, atol=0)


def test_half_precision_data_is_noised_with_scales_in_float32():
    """alpha^2 = 4e-8 at log-SNR -17 is 0 in float16; alpha-bar is never stored."""
    level = Path(Cosine(9, -17)).at(1.0, like=torch.zeros(2, 3, dtype=torch.float16))
    assert level.alpha.dtype == torch.float32
    torch.testing.assert_close(
        level.alpha.double(),
        torch.tensor(1 / math.sqrt(1 + math.exp(17))).double(),
        rtol=1e-6,
        atol=0,
    )


def test_a_time_given_as_a_number_keeps_its_digits():
    assert float(Path(LinearLogSNR(8, -7)).at(0.83).log_snr) == pytest.approx(
        8 - 15 * 0.83, rel=1e-13
    )
