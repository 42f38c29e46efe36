"""Each named process against the formulas of its paper."""

import math

import pytest
import torch

from allegory.process import (
    SCHEDULES,
    Betas,
    LearnedSchedule,
    LinearBeta,
    LinearBetaSubVP,
    Path,
)

T = torch.linspace(0.01, 1.0, 34, dtype=torch.float64)
BETA_MIN, BETA_MAX, T_MIN = 0.1, 20.0, 1e-5
S = T_MIN + (1 - T_MIN) * T
BETA = BETA_MIN + S * (BETA_MAX - BETA_MIN)
INTEGRAL = S * BETA_MIN + S**2 * (BETA_MAX - BETA_MIN) / 2


def close(found, expected, rtol=1e-11):
    torch.testing.assert_close(torch.as_tensor(found), expected, rtol=rtol, atol=0)


def test_the_vp_sde_has_the_kernel_and_the_coefficients_of_score_sde():
    """N(x0 exp(-B/2), (1 - exp(-B)) I); f = -beta/2, g^2 = beta (Song et al. 2021, eq. 11)."""
    level = Path.vp_sde().at(T)
    close(level.alpha, torch.exp(-INTEGRAL / 2))
    close(level.sigma, torch.sqrt(1 - torch.exp(-INTEGRAL)))
    close(level.drift / (1 - T_MIN), -BETA / 2)  # dt of the path is ds / (1 - t_min)
    close(level.diffusion / (1 - T_MIN), BETA)


def test_the_sub_vp_sde_has_the_kernel_and_the_coefficients_of_score_sde():
    """N(x0 exp(-B/2), (1 - exp(-B))^2 I); f = -beta/2, g^2 = beta (1 - exp(-2 B)) (Song et al.
    2021, eq. 12).
    """
    level = Path.sub_vp_sde().at(T)
    close(level.alpha, torch.exp(-INTEGRAL / 2))
    close(level.sigma, 1 - torch.exp(-INTEGRAL))
    close(level.drift / (1 - T_MIN), -BETA / 2)
    close(level.diffusion / (1 - T_MIN), BETA * (1 - torch.exp(-2 * INTEGRAL)))


def test_sub_vp_from_time_zero_begins_with_clean_data_and_finite_slopes():
    """alpha' = 0 - beta_min/2 and sigma' = beta_min at s = 0, where log-SNR is infinite."""
    level = Path.sub_vp_sde(BETA_MIN, BETA_MAX, t_min=0.0).at(
        torch.tensor(0.0, dtype=torch.float64)
    )
    assert level.log_snr == math.inf and level.alpha == 1 and level.sigma == 0
    close(level.dalpha, torch.tensor(-BETA_MIN / 2, dtype=torch.float64))
    close(level.dsigma, torch.tensor(BETA_MIN, dtype=torch.float64))
    assert level.diffusion == 0


@pytest.mark.parametrize("make", [LinearBeta, LinearBetaSubVP])
def test_linear_beta_keeps_its_digits_at_both_ends(make):
    """Against the same formulas in numbers of 60 digits, where 1 - exp(-B) loses none."""
    mpmath = pytest.importorskip("mpmath")
    schedule = make(0.1, 60.0, 1e-9)
    times = torch.tensor([0.0, 1e-9, 1e-6, 0.3, 0.999, 1.0], dtype=torch.float64)
    with mpmath.workdps(60):
        for t, found, slope in zip(times, schedule(times), schedule.slope(times), strict=True):
            low, t_min = mpmath.mpf(0.1), mpmath.mpf(1e-9)
            s = t_min + (1 - t_min) * mpmath.mpf(float(t))
            rise = 60 - low
            b = low * s + rise * s**2 / 2
            fraction = 1 - mpmath.exp(-b)
            power = 1 if make is LinearBeta else 2
            log_snr = -b - power * mpmath.log(fraction)
            exact = -(1 - t_min) * (low + rise * s) * (1 + power / mpmath.expm1(b))
            assert float(found) == pytest.approx(float(log_snr), rel=1e-14)
            assert float(slope) == pytest.approx(float(exact), rel=1e-14)
    torch.testing.assert_close(schedule.inverse(schedule(times)), times, rtol=1e-9, atol=1e-15)


def test_ddpm_is_the_cumulative_product_of_linear_betas():
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    level = Path.ddpm().at(torch.arange(1000, dtype=torch.float64) / 999)
    close(torch.as_tensor(level.alpha).square(), alpha_bar)


def test_scaled_linear_betas_have_equally_spaced_roots():
    betas = torch.tensor(Betas.scaled_linear().arguments()["betas"], dtype=torch.float64)
    assert betas[0] == pytest.approx(0.00085) and betas[-1] == pytest.approx(0.012)
    steps = betas.sqrt().diff()
    close(steps, steps[:1].expand(999), rtol=1e-9)


def test_cosine_betas_are_the_table_of_improved_ddpm():
    """alpha_bar_i = f(i/T)/f(0), f(u) = cos^2((u + s)/(1 + s) pi/2), below the cut of beta."""
    i = torch.arange(1, 990, dtype=torch.float64)
    f = lambda u: torch.cos((u + 0.008) / 1.008 * math.pi / 2).square()  # noqa: E731
    found = torch.sigmoid(Betas.cosine()((i - 1) / 999))
    close(found, f(i / 1000) / f(torch.zeros(1, dtype=torch.float64)), rtol=1e-9)
    assert max(Betas.cosine().arguments()["betas"]) == 0.999


def test_the_other_processes():
    level = Path.cosine(math.inf, -math.inf).at(T[:-1])
    close(level.alpha, torch.cos(math.pi * T[:-1] / 2), rtol=1e-9)
    level = Path.ve_sde(0.02, 30.0).at(T)
    close(level.alpha, torch.ones_like(T))
    close(level.sigma, 0.02 * (30.0 / 0.02) ** T)
    level = Path.edm().at(torch.tensor([0.0, 1.0], dtype=torch.float64))
    close(level.sigma, torch.tensor([0.002, 80.0], dtype=torch.float64))
    level = Path.rectified_flow().at(T)
    torch.testing.assert_close(level.alpha, 1 - T)
    torch.testing.assert_close(level.sigma, T)
    close(Path.vdm(8, -5).at(T).log_snr, 8 - 13 * T, rtol=1e-10)
    assert isinstance(Path.vdm(8, -5, learned=True).schedule, LearnedSchedule)


PROCESSES = {
    "ddpm": Path.ddpm,
    "cosine": Path.cosine,
    "vp_sde": Path.vp_sde,
    "sub_vp_sde": Path.sub_vp_sde,
    "ve_sde": Path.ve_sde,
    "edm": Path.edm,
    "rectified_flow": Path.rectified_flow,
    "vdm": Path.vdm,
    "vdm, learned": lambda: Path.vdm(8, -5, learned=True),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_path_can_be_built_again_from_the_name_and_the_arguments_of_its_schedule(name):
    path = PROCESSES[name]()
    schedule = path.schedule
    (registered,) = [key for key, make in SCHEDULES.items() if make is type(schedule)]
    again = Path(SCHEDULES[registered](**schedule.arguments()), path.scaling.name)
    assert torch.equal(again.schedule(T), schedule(T))
    assert all(isinstance(value, float | int | tuple) for value in schedule.arguments().values())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LinearBeta(5.0, 1.0), "beta_min <= beta_max"),
        (lambda: LinearBeta(-0.1, 1.0), "0 <= beta_min"),
        (lambda: LinearBetaSubVP(0.0, 0.0), "beta_max > 0"),
        (lambda: LinearBeta(t_min=1.0), "t_min < 1"),
        (lambda: LinearBeta(t_min=0.0), "infinite slope"),
    ],
)
def test_rates_that_cannot_be_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
