"""The conventions of the field, in closed form: figures and formulas that papers and other systems
are quoted with.
"""

import math

import pytest
import torch

from allegory import Mixture, Path, Prediction
from allegory.guidance import ClassifierFree
from allegory.process import Betas, Cosine, Geometric, LinearLogSNR, RectifiedFlow

DDPM = Betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
STABLE = Betas(torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square())


def log_alpha_bar(step):
    """log prod_{j <= step} (1 - beta_j) with DDPM's betas, summed in Python."""
    return math.fsum(math.log1p(-(1e-4 + (0.02 - 1e-4) * j / 999)) for j in range(step))


def pair():
    return torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)


@pytest.mark.parametrize("step", [1, 2, 100, 500, 999, 1000])
def test_alpha_bar_of_ddpm(step):
    (level,) = Path(DDPM).levels([(step - 1) / 999])
    assert 2 * math.log(level.alpha) == pytest.approx(log_alpha_bar(step), rel=1e-12)
    assert level.sigma**2 == pytest.approx(-math.expm1(log_alpha_bar(step)), rel=1e-12)


def test_the_ends_of_ddpm():
    """alpha_bar_1 = 1 - 1e-4 and alpha_bar_1000 = 4.04e-5, whose log-SNR is -10.12 (Ho et al. 2020,
    section 4).
    """
    start, end = DDPM.ends
    assert start == pytest.approx(math.log(0.9999 / 1e-4), rel=1e-10)
    assert math.exp(end) / (1 + math.exp(end)) == pytest.approx(4.0358e-5, rel=1e-4)
    assert end == pytest.approx(-10.118, abs=1e-3)


def test_the_noise_levels_of_stable_diffusion():
    """sigma/alpha from 0.0292 to 14.6146, as its samplers quote them (Rombach et al. 2022)."""
    start, end = STABLE.ends
    assert math.exp(-start / 2) == pytest.approx(0.0292, abs=5e-5)
    assert math.exp(-end / 2) == pytest.approx(14.6146, abs=5e-5)


def test_the_noise_levels_of_edm():
    """sigma from 0.002 to 80 is log-SNR from 12.43 to -8.76 (Karras et al. 2022, table 1)."""
    path = Path(Geometric(0.002, 80.0), "ve")
    clean, noisy = path.levels([0.0, 1.0])
    assert (clean.sigma, noisy.sigma) == pytest.approx((0.002, 80.0), rel=1e-12)
    assert (clean.log_snr, noisy.log_snr) == pytest.approx((12.4292, -8.7641), abs=1e-4)
    assert (clean.alpha, noisy.alpha) == (1.0, 1.0)


def test_the_gamma_of_vdm():
    """alpha^2 = sigmoid(-gamma) and sigma^2 = sigmoid(gamma), gamma from -13.3 to 5 (Kingma et al.
    2021).
    """
    t = 0.25
    gamma = -13.3 + 18.3 * t
    (level,) = Path(LinearLogSNR(13.3, -5.0)).levels([t])
    assert level.alpha**2 == pytest.approx(1 / (1 + math.exp(gamma)), rel=1e-12)
    assert level.sigma**2 == pytest.approx(1 / (1 + math.exp(-gamma)), rel=1e-12)


def test_the_cosine_of_improved_ddpm():
    """alpha_bar = cos^2(pi t/2), so alpha and sigma are a cosine and a sine (Nichol & Dhariwal
    2021, with s = 0).
    """
    (third,) = Path(Cosine(math.inf, -math.inf)).levels([1 / 3])
    assert (third.alpha, third.sigma) == pytest.approx((math.sqrt(3) / 2, 0.5), rel=1e-12)
    assert third.log_snr == pytest.approx(math.log(3), rel=1e-12)


def test_the_velocity_of_flow_matching_points_from_data_to_noise():
    """x_t = (1 - t) x0 + t eps and dx_t/dt = eps - x0 (Liu et al. 2023), both ends included."""
    x0, eps = pair()
    for level in Path(RectifiedFlow(), "flow").levels([0.0, 0.25, 1.0]):
        truth = Prediction.of(x0, eps, level)
        torch.testing.assert_close(truth.x_t, (1 - level.t) * x0 + level.t * eps)
        torch.testing.assert_close(truth.view("flow"), eps - x0)
        back = Prediction.solve("flow", eps - x0, truth.x_t, level)
        torch.testing.assert_close(back.x0, truth.x_t - level.t * (eps - x0))
        torch.testing.assert_close(back.eps, truth.x_t + (1 - level.t) * (eps - x0))


def test_v_is_the_noise_at_the_data_and_minus_the_data_at_the_noise():
    """v = alpha eps - sigma x0, x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v (Salimans & Ho
    2022, app. D).
    """
    x0, eps = pair()
    clean, middle, noise = Path(Cosine(math.inf, -math.inf)).levels([0.0, 0.5, 1.0])
    torch.testing.assert_close(Prediction.of(x0, eps, clean).view("v"), eps)
    torch.testing.assert_close(Prediction.of(x0, eps, middle).view("v"), (eps - x0) / math.sqrt(2))
    torch.testing.assert_close(Prediction.of(x0, eps, noise).view("v"), -x0)
    torch.testing.assert_close(Prediction.solve("v", -x0, eps, noise).x0, x0)
    torch.testing.assert_close(Prediction.solve("v", eps, x0, clean).eps, eps)


def test_the_score_is_minus_the_noise_over_its_standard_deviation():
    """grad log q(x_t | x0) = -eps/sigma (Luo 2022, eq. 151)."""
    x0, eps = pair()
    (level,) = Path(LinearLogSNR(4, -4)).levels([0.3])
    x_t = level.mix(x0, eps).requires_grad_()
    normal = torch.distributions.Normal(level.alpha * x0, level.sigma)
    (gradient,) = torch.autograd.grad(normal.log_prob(x_t).sum(), x_t)
    torch.testing.assert_close(Prediction.of(x0, eps, level).view("score"), gradient)


def test_beta_and_the_variance_of_the_reverse_step_of_ddpm():
    """beta_t = 1 - alpha_bar_t/alpha_bar_{t-1}: the variance of one forward step is the entry of
    the array.
    """
    t = torch.arange(1000, dtype=torch.float64) / 999
    alpha_bar = torch.sigmoid(DDPM(t))
    torch.testing.assert_close(
        1 - alpha_bar[1:] / alpha_bar[:-1],
        torch.linspace(1e-4, 0.02, 1000).double()[1:],
        rtol=1e-6,
        atol=0,
    )


def test_a_guidance_scale_of_one_is_no_guidance_and_ho_and_salimans_write_one_less():
    """(1 + w') cond - w' uncond with w' = scale - 1 (Ho & Salimans 2022, eq. 6)."""
    path = Path(LinearLogSNR(5, -5))
    oracle = Mixture(
        torch.tensor([[1.0], [-1.0]]).double(), 0.5, path=path, labels=torch.tensor([0, 1])
    )
    x, one = torch.linspace(-2, 2, 7, dtype=torch.float64)[:, None], torch.ones(7, dtype=torch.long)
    cond, free = oracle(x, 0.5, one).eps, oracle(x, 0.5).eps
    torch.testing.assert_close(ClassifierFree(1.0)(oracle)(x, 0.5, one).eps, cond, rtol=0, atol=0)
    torch.testing.assert_close(
        ClassifierFree(3.0)(oracle)(x, 0.5, one).eps, (1 + 2) * cond - 2 * free
    )


def test_public_names_are_what_they_say_and_not_a_module():
    """A submodule of the name of a function would take its place in the package."""
    import importlib
    import pkgutil
    from types import ModuleType

    import allegory

    for folder in pkgutil.iter_modules(allegory.__path__):
        package = importlib.import_module(f"allegory.{folder.name}")
        for name in getattr(package, "__all__", ()):
            assert not isinstance(getattr(package, name), ModuleType), (
                f"allegory.{folder.name}.{name}"
            )
