import math

import pytest
import torch
from tests.helpers.paths import FINITE, SCHEDULES

from allegory.process.betas import Betas
from allegory.process.schedule import Cosine, Geometric, LinearLogSNR, RectifiedFlow

T = torch.linspace(0.01, 0.99, 37, dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
def test_inverse_undoes_the_schedule(name):
    schedule = SCHEDULES[name]
    torch.testing.assert_close(schedule.inverse(schedule(T)), T, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SCHEDULES)
def test_slope_is_the_derivative(name):
    schedule = SCHEDULES[name]
    t = T + 0.37 / 999  # inside the segments of a table
    h = 1e-6
    numeric = (schedule(t + h) - schedule(t - h)) / (2 * h)
    torch.testing.assert_close(schedule.slope(t), numeric, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(
        schedule.scaled_slope(t), numeric * torch.exp(-schedule(t).abs() / 2), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SCHEDULES)
def test_log_snr_falls_strictly_in_every_dtype(name, dtype):
    log_snr = SCHEDULES[name](torch.linspace(0, 1, 400, dtype=dtype))
    assert not log_snr.isnan().any()
    assert (log_snr[1:] < log_snr[:-1]).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_tempered_slope_is_finite_at_both_ends(name):
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert SCHEDULES[name].scaled_slope(ends).isfinite().all()


def test_published_formulas():
    torch.testing.assert_close(LinearLogSNR(4, -6)(T), 4 - 10 * T)
    alpha_bar = torch.cos(torch.pi * T / 2) ** 2  # Nichol & Dhariwal 2021
    torch.testing.assert_close(
        Cosine(math.inf, -math.inf)(T), torch.log(alpha_bar / (1 - alpha_bar))
    )
    torch.testing.assert_close(RectifiedFlow()(T), 2 * torch.log((1 - T) / T))
    sigma = 0.02 * (40 / 0.02) ** T
    torch.testing.assert_close(torch.exp(-Geometric(0.02, 40)(T) / 2), sigma)


def test_cosine_has_the_ends_it_was_given():
    assert Cosine(9.5, -4).ends == pytest.approx((9.5, -4), abs=1e-12)
    assert Cosine(math.inf, -math.inf).ends == (math.inf, -math.inf)


def test_betas_meet_the_cumulative_product_at_every_entry():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    t = torch.arange(1000, dtype=torch.float64) / 999
    torch.testing.assert_close(torch.sigmoid(Betas(betas)(t)), alpha_bar, rtol=1e-12, atol=0)


def test_betas_keep_float64_through_a_half_precision_model():
    schedule = Betas(torch.linspace(1e-4, 0.02, 1000))
    before = schedule(T)
    torch.testing.assert_close(schedule.half()(T), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LinearLogSNR(-3, 3), "start > end"),
        (lambda: LinearLogSNR(math.inf, 0), "finite"),
        (lambda: Cosine(1, 1), "start > end"),
        (lambda: Geometric(1.0, 0.5), "sigma_min"),
        (lambda: Betas([0.1]), "two or more"),
        (lambda: Betas([0.1, 1.0]), r"inside \(0, 1\)"),
    ],
)
def test_bad_schedules_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_every_finite_schedule_reports_its_ends():
    for schedule in FINITE.values():
        start, end = schedule.ends
        assert math.isfinite(start) and math.isfinite(end) and start > end


@pytest.mark.parametrize("schedule", [LinearLogSNR, Cosine])
def test_a_log_snr_whose_sigma_is_no_double_is_refused(schedule):
    for start, end in ((1e308, 0.0), (0.0, -1e308)):
        with pytest.raises(ValueError, match="overflows; give -1000 to 1000"):
            schedule(start, end)
    inside = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    assert torch.isfinite(schedule(1000.0, -1000.0)(inside)).all()
