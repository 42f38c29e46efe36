import math

import pytest
import torch
from tests.helpers.paths import ENDLESS, ONE_PER_SCALING, PATHS

from allegory.process.path import Path
from allegory.process.prediction import TARGETS, Prediction, Target, edm_target, target_named
from allegory.process.schedule import Cosine, LinearLogSNR, RectifiedFlow

TIMES = (0.0, 0.3, 0.8, 1.0)


def pair(shape=(7, 3), dtype=torch.float64):
    return torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)


def defined(target: Target, level) -> bool:
    """Where y is finite and fixes both x0 and eps."""
    return not (
        (target.needs_signal and level.alpha == 0)
        or (target.name in ("x0", "score") and level.sigma == 0)
    )


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", PATHS)
def test_every_target_gives_x0_and_eps_back_at_both_ends_and_between(name, target, t):
    path = PATHS[name]
    (level,) = path.levels([t])
    if not defined(TARGETS[target], level):
        pytest.skip(f"{target} says nothing where alpha={level.alpha}, sigma={level.sigma}")
    x0, eps = pair()
    truth = Prediction.of(x0, eps, level)
    back = Prediction.solve(target, truth.view(target), truth.x_t, level)
    # Dividing by a small alpha or sigma costs digits: the tolerance is the condition number times
    # rounding.
    loss = (
        1e-14 * (1 + 1 / max(level.alpha, 1e-12) + 1 / max(level.sigma, 1e-12)) * (1 + level.sigma)
    )
    torch.testing.assert_close(
        back.x0, x0, rtol=0, atol=max(loss, 1e-12) if level.alpha > 0 or target != "eps" else 1
    )
    torch.testing.assert_close(back.eps, eps, rtol=0, atol=max(loss, 1e-12))


@pytest.mark.parametrize("name", [*ONE_PER_SCALING, *ENDLESS])
@pytest.mark.parametrize("given", TARGETS)
@pytest.mark.parametrize("asked", TARGETS)
def test_every_conversion_between_two_targets_with_one_time_per_item(name, given, asked):
    """Batch equals width, where a scale along the wrong axis would pass unseen in shape."""
    path, (x0, eps) = PATHS[name], pair((5, 5))
    level = path.at(torch.linspace(0.1, 0.9, 5), like=x0)
    truth = Prediction.of(x0, eps, level)
    back = Prediction.solve(given, truth.view(given), truth.x_t, level)
    torch.testing.assert_close(back.view(asked), truth.view(asked), rtol=1e-8, atol=1e-8)


def test_targets_are_the_published_ones():
    """Round trips cannot see a swapped convention: each target meets its paper's formula."""
    (x0, eps), path = pair(), PATHS["linear-vp"]
    (at,) = path.levels([0.3])
    p = Prediction.of(x0, eps, at)
    x_t = at.alpha * x0 + at.sigma * eps
    torch.testing.assert_close(p.x_t, x_t)
    torch.testing.assert_close(p.view("v"), at.alpha * eps - at.sigma * x0)  # Salimans & Ho 2022
    torch.testing.assert_close(
        p.view("score"), (at.alpha * x0 - x_t) / at.sigma**2
    )  # grad log N(x_t; alpha x0, sigma^2)
    (line,) = Path(RectifiedFlow(), "flow").levels([0.3])
    torch.testing.assert_close(
        Prediction.of(x0, eps, line).view("flow"), eps - x0
    )  # Lipman et al. 2023
    (ve,) = PATHS["geometric-ve"].levels([0.4])
    s, sigma = 0.5, ve.sigma
    c_skip, c_out = (
        s**2 / (sigma**2 + s**2),
        sigma * s / math.sqrt(sigma**2 + s**2),
    )  # Karras et al. 2022, table 1
    target = (x0 - c_skip * (x0 + sigma * eps)) / c_out
    torch.testing.assert_close(Prediction.of(x0, eps, ve).view(edm_target(s)), target)


def test_the_flow_target_is_the_time_derivative_of_the_state():
    (x0, eps), path, h = pair(), PATHS["cosine-sub_vp"], 1e-6
    before, here, after = path.levels([0.4 - h, 0.4, 0.4 + h])
    numeric = (after.mix(x0, eps) - before.mix(x0, eps)) / (2 * h)
    torch.testing.assert_close(
        Prediction.of(x0, eps, here).view("flow"), numeric, rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("name", PATHS)
def test_edm_target_has_unit_variance(name):
    for level in PATHS[name].levels([0.0, 0.2, 0.7, 1.0]):
        a, b = edm_target(0.6).coefficients(level)
        assert (a * 0.6) ** 2 + b**2 == pytest.approx(1, rel=1e-10)


def test_a_prediction_at_another_level_is_the_mix_of_its_x0_and_eps():
    (x0, eps), path = pair(), PATHS["cosine-vp"]
    here, there = path.levels([0.6, 0.2])
    truth = Prediction.of(x0, eps, here)
    prediction = Prediction.solve("v", truth.view("v"), truth.x_t, here)
    torch.testing.assert_close(prediction.at(there), there.mix(x0, eps))


def test_extrapolation_is_linear_in_every_target():
    (x0, eps), (z0, zeps) = pair(), pair()
    (level,) = PATHS["linear-flow"].levels([0.5])
    x_t = level.mix(x0, eps)
    a, b = Prediction.solve("v", x0, x_t, level), Prediction.solve("v", z0, x_t, level)
    both = a.extrapolate(b, 2.5)
    for target in TARGETS:
        torch.testing.assert_close(
            both.view(target),
            a.view(target) + 2.5 * (b.view(target) - a.view(target)),
            rtol=1e-9,
            atol=1e-9,
        )
    mixed = a.extrapolate(
        Prediction.solve("eps", zeps, x_t, level), 0.25
    )  # two targets: meets in the pair
    torch.testing.assert_close(
        mixed.x0, a.x0 + 0.25 * (Prediction.solve("eps", zeps, x_t, level).x0 - a.x0)
    )


@pytest.mark.parametrize("target", ["eps", "score"])
@pytest.mark.parametrize("schedule", [Cosine(9, -math.inf), RectifiedFlow()])
def test_a_target_that_does_not_fix_x0_at_zero_terminal_snr_is_refused(target, schedule):
    with pytest.raises(ValueError, match="use target="):
        TARGETS[target].check(Path(schedule, "vp"))
    for fine in ("x0", "v", "flow", "edm"):
        TARGETS[fine].check(Path(schedule, "vp"))


def test_score_is_refused_without_noise_at_zero():
    with pytest.raises(ValueError, match="infinite"):
        TARGETS["score"].check(Path(Cosine(math.inf, -9), "vp"))
    TARGETS["score"].check(Path(LinearLogSNR(9, -9), "vp"))


def test_two_targets_that_do_not_fix_x0_and_eps_are_refused():
    (level,) = Path(RectifiedFlow(), "flow").levels([0.0])
    x = torch.randn(2, 3)
    with pytest.raises(ValueError, match="do not determine x0 and eps"):
        _ = Prediction.solve("x0", x, x, level).eps


def test_an_unknown_target_suggests_the_closest():
    with pytest.raises(ValueError, match="did you mean 'score'"):
        target_named("scor")


def test_an_output_of_another_shape_is_refused():
    (level,) = PATHS["linear-vp"].levels([0.5])
    with pytest.raises(ValueError, match="shape of x_t"):
        Prediction.solve("v", torch.ones(4, 1), torch.ones(4, 2), level)


@pytest.mark.parametrize("asked", TARGETS)
@pytest.mark.parametrize("given", TARGETS)
def test_the_squared_error_of_any_target_follows_from_the_predicted_one(given, asked):
    (x0, eps), (level,) = pair(), PATHS["cosine-sub_vp"].levels([0.4])
    truth = Prediction.of(x0, eps, level)
    prediction = Prediction.solve(given, torch.randn_like(x0), truth.x_t, level)
    expected = (prediction.view(asked) - truth.view(asked)).square()
    torch.testing.assert_close(
        prediction.squared_error(truth, asked), expected, rtol=1e-9, atol=1e-9
    )
