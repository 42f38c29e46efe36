import math

import pytest
import torch
from tests.helpers.paths import INFINITE, PATHS, SCALINGS, SMOOTH

from allegory.process.betas import Betas
from allegory.process.path import Path
from allegory.process.schedule import Cosine, LinearLogSNR, RectifiedFlow

T = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)


@pytest.mark.parametrize("name", PATHS)
def test_the_scales_have_the_log_snr_and_obey_the_scaling(name):
    path = PATHS[name]
    at = path.at(T)
    torch.testing.assert_close(
        2 * torch.log(at.alpha / at.sigma), at.log_snr, rtol=1e-10, atol=1e-10
    )
    rule = {
        "vp": at.alpha**2 + at.sigma**2,
        "sub_vp": at.alpha**2 + at.sigma,
        "flow": at.alpha + at.sigma,
        "ve": at.alpha,
    }[path.scaling.name]
    torch.testing.assert_close(rule, torch.ones_like(T), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_and_the_sde_match_finite_differences(name):
    path, h = SMOOTH[name], 1e-5
    at, after, before = path.at(T), path.at(T + h), path.at(T - h)

    def slope(f):
        return (f(after) - f(before)) / (2 * h)

    torch.testing.assert_close(at.dalpha, slope(lambda level: level.alpha), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(at.dsigma, slope(lambda level: level.sigma), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        at.drift, slope(lambda level: level.alpha.log()), rtol=1e-6, atol=1e-7
    )
    # The variance that the SDE transports: d sigma^2/dt = 2 f sigma^2 + g^2. A factor 2 in g^2
    # fails here.
    transported = 2 * at.drift * at.sigma**2 + at.diffusion
    torch.testing.assert_close(
        transported, slope(lambda level: level.sigma**2), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", PATHS)
def test_closed_form_slopes_agree_with_each_other_to_1e_10(name):
    at = PATHS[name].at(T)
    torch.testing.assert_close(at.dalpha, at.drift * at.alpha, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        2 * at.sigma * at.dsigma, 2 * at.drift * at.sigma**2 + at.diffusion, rtol=1e-10, atol=1e-10
    )


def test_vp_is_the_sde_of_ddpm():
    """f = -beta/2 and g^2 = beta for one beta(t) (Song et al. 2021, eq. 11)."""
    at = Path(LinearLogSNR(8, -7), "vp").at(T)
    torch.testing.assert_close(at.diffusion, -2 * at.drift, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PATHS)
def test_both_ends_are_finite(name):
    at = PATHS[name].at(torch.tensor([0.0, 1.0], dtype=torch.float64))
    for value in (at.alpha, at.sigma, at.dalpha, at.dsigma, at.alpha_sigma_dlog_snr):
        assert value.isfinite().all()


def test_flow_matching_is_the_straight_line_to_the_last_bit_of_its_ends():
    at = Path(RectifiedFlow(), "flow").at(torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(
        at.alpha, torch.tensor([1, 0.75, 0], dtype=torch.float64), rtol=1e-15, atol=0
    )
    torch.testing.assert_close(at.dalpha, -torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(at.dsigma, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_data_gets_finite_scales_in_float32(name, dtype):
    x = torch.zeros(50, 3, dtype=dtype)
    at = PATHS[name].at(torch.linspace(0, 1, 50), like=x)
    assert at.alpha.dtype == torch.float32
    assert at.alpha.isfinite().all() and at.sigma.isfinite().all()
    if not any(name.startswith(infinite) for infinite in INFINITE):
        assert (at.alpha > 0).all() and (at.sigma > 0).all()


def test_levels_broadcast_against_data_of_any_shape():
    path = PATHS["linear-vp"]
    t = torch.rand(4)
    assert path.at(t, like=torch.zeros(4, 4)).alpha.shape == (
        4,
        1,
    )  # batch = width: still one time per item
    assert path.at(t, like=torch.zeros(4, 1, 8, 8)).alpha.shape == (4, 1, 1, 1)
    assert path.at(0.5, like=torch.zeros(4, 2)).alpha.shape == ()
    with pytest.raises(ValueError, match="one time, or one per item"):
        path.at(torch.rand(3), like=torch.zeros(4, 2))


def test_a_level_is_passed_through_and_reshaped_when_it_must_be():
    path, x = PATHS["cosine-flow"], torch.zeros(5, 1, 2, 2)
    level = path.at(torch.rand(5), like=x)
    assert path.at(level, like=x) is level
    flat = path.at(level, like=x.flatten(1))
    assert flat.alpha.shape == (5, 1)
    torch.testing.assert_close(flat.alpha.flatten(), level.alpha.flatten())


@pytest.mark.parametrize("name", PATHS)
def test_unbound_levels_hold_the_same_numbers_as_floats(name):
    path = PATHS[name]
    whole = path.at(T)
    for i, level in enumerate(path.levels(T)):
        assert isinstance(level.alpha, float)
        for field in (
            "log_snr",
            "alpha",
            "sigma",
            "dlog_snr",
            "dalpha",
            "dsigma",
            "drift",
            "diffusion",
        ):
            assert getattr(level, field) == getattr(whole, field).expand(len(T))[i].item()


def test_clean_is_the_data_itself():
    clean = PATHS["betas-vp"].clean
    assert (clean.alpha, clean.sigma, clean.log_snr) == (1.0, 0.0, math.inf)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_prior_std(scaling):
    path = Path(LinearLogSNR(5, -3), scaling)
    at = path.at(1.0)
    assert path.prior_std == pytest.approx(float((at.alpha**2 + at.sigma**2).sqrt()), rel=1e-14)
    if scaling == "vp":
        assert path.prior_std == pytest.approx(1, abs=1e-14)


def test_an_unknown_scaling_suggests_the_closest():
    with pytest.raises(ValueError, match="did you mean 'sub_vp'"):
        Path(Cosine(), "subvp")


def test_a_path_is_a_module_whose_schedule_moves_with_it():
    path = Path(Betas(torch.linspace(1e-4, 0.02, 10)))
    assert "schedule" in dict(path.named_children())


@pytest.mark.parametrize("name", SMOOTH)
def test_drift_and_diffusion_hold_at_the_clean_end(name):
    """f and g^2 by finite differences just inside t = 0, infinite start or not."""
    path, h = SMOOTH[name], 1e-7
    (start,), (after,) = path.levels([0.0]), path.levels([h])
    slope = (math.log(after.alpha) - math.log(start.alpha)) / h
    variance = (after.sigma**2 - start.sigma**2) / h
    assert start.drift == pytest.approx(slope, rel=1e-4, abs=1e-5)
    assert start.diffusion + 2 * start.drift * start.sigma**2 == pytest.approx(
        variance, rel=1e-4, abs=1e-5
    )


@pytest.mark.parametrize("t", [500, -0.1, float("nan")])
def test_times_outside_the_unit_interval_are_refused(t):
    path = PATHS["linear-vp"]
    for give in (
        lambda: path.at(t),
        lambda: path.levels([0.5, t]),
        lambda: path.at(torch.tensor([t, t])),
    ):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
            give()


def test_scales_along_the_wrong_axis_are_refused():
    level = PATHS["linear-vp"].at(torch.rand(3))
    with pytest.raises(ValueError, match="like=x0"):
        level.mix(torch.ones(3, 3), torch.zeros(3, 3))


def test_neighbouring_levels_keep_their_digits_in_float32():
    path, x = PATHS["linear-vp"], torch.zeros(1, 2)
    near, far = (
        path.at(torch.tensor([0.5]), like=x),
        path.at(torch.tensor([0.50001], dtype=torch.float64), like=x),
    )
    assert float(near.log_snr_minus(far)) == pytest.approx(15 * 1e-5, rel=1e-6)


def test_clean_data_are_clean_on_any_path():
    one, other = PATHS["linear-vp"], PATHS["cosine-flow"]
    assert one.at(other.clean, like=torch.zeros(2, 2)).sigma == 0
