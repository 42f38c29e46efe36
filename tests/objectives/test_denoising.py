"""Every weight against its paper's formula, in the paper's own letters; equal gradients whatever
the target.
"""

import math

import pytest
import torch
from tests.helpers.paths import PATHS, SCALINGS

from allegory.models import Denoiser
from allegory.networks import MLPConfig
from allegory.objectives import (
    OBJECTIVES,
    WEIGHTS,
    EdmWeight,
    WeightedDenoising,
    denoising_loss,
    objective_named,
    register_weight,
    stratified_times,
    weight_named,
)
from allegory.objectives.weights import (
    elbo_weight,
    min_snr_weight,
    p2_weight,
    sigmoid_weight,
    simple_weight,
)
from allegory.process import (
    TARGETS,
    Cosine,
    Geometric,
    LinearLogSNR,
    Path,
    Prediction,
    as_predict,
    edm_target,
)

T = torch.tensor([0.05, 0.2, 0.45, 0.7, 0.97], dtype=torch.float64)
N = 24_000


def true_pair(path, x0, eps, t=T):
    """x0 and eps at the time t on the path."""
    return Prediction.of(x0, eps, path.at(t, like=x0))


def believing(x0_hat, path, target="x0"):
    """A Predict that predicts x0_hat and says so on the given target."""

    def predict(x_t, t, condition=None):
        pair = Prediction.solve("x0", x0_hat, x_t, t)
        return Prediction.solve(target, pair.view(target), x_t, t)

    return as_predict(predict, path)


def case(path):
    """Truth, times, and what the weight is tested on: the errors of x0, eps and v, summed over each
    item.
    """
    x0, eps, x0_hat = torch.randn(3, 5, 3, dtype=torch.float64)
    level = path.at(T, like=x0)
    truth = Prediction.of(x0, eps, level)
    prediction = Prediction.solve("x0", x0_hat, truth.x_t, level)
    errors = {
        target: (prediction.view(target) - truth.view(target)).square().sum(1)
        for target in ("x0", "eps", "v")
    }
    return x0, eps, x0_hat, errors


def paper_weights(path):
    """name -> (target, weight of that target's squared error), on a variance-preserving path, from
    SNR alone.
    """
    h = 1e-6
    snr = torch.exp(path.schedule(T))
    speed = -(path.schedule(T + h) - path.schedule(T - h)) / (2 * h)  # -d log SNR/dt
    capped = snr.clamp(max=5.0)
    return {
        "elbo": [("eps", speed / 2), ("x0", snr * speed / 2), ("v", snr / (1 + snr) * speed / 2)],
        "simple": [("eps", torch.ones_like(T)), ("x0", snr)],
        "min_snr": [("x0", capped), ("eps", capped / snr), ("v", capped / (snr + 1))],
        "p2": [("eps", 1 / (1 + snr)), ("v", snr / (1 + snr) ** 2)],
        "sigmoid": [
            ("eps", speed / 2 / (1 + snr * math.e)),
            ("x0", speed / 2 / math.e / (1 + 1 / (math.e * snr))),
        ],
    }


@pytest.mark.parametrize("name", ["linear-vp", "cosine-vp"])
@pytest.mark.parametrize("weight", ["elbo", "simple", "min_snr", "p2", "sigmoid"])
def test_a_weight_is_the_published_one_on_every_target_that_its_paper_gives(name, weight):
    """Kingma et al. 2021, eq. 17; Ho et al. 2020, eq. 14; Hang et al. 2023, section 3.4; Choi et
    al. 2022, section 3; Hoogeboom et al. 2024: e^b sigmoid(log_snr - b) |x0|^2 and sigmoid(b -
    log_snr) |eps|^2 with b = -1.
    """
    path = PATHS[name]
    x0, eps, x0_hat, errors = case(path)
    got = denoising_loss(believing(x0_hat, path), true_pair(path, x0, eps), WEIGHTS[weight])
    for target, factor in paper_weights(path)[weight]:
        torch.testing.assert_close(got, factor * errors[target], rtol=1e-7, atol=0)


def test_p2_with_its_own_k_and_gamma():
    path = PATHS["linear-vp"]
    x0, eps, x0_hat, errors = case(path)
    snr = torch.exp(path.schedule(T))
    got = denoising_loss(
        believing(x0_hat, path), true_pair(path, x0, eps), p2_weight(k=0.3, gamma=0.5)
    )
    torch.testing.assert_close(got, errors["eps"] / (0.3 + snr) ** 0.5)


def test_the_ceiling_of_min_snr_is_its_parameter():
    level = PATHS["linear-vp"].at(
        PATHS["linear-vp"].schedule.inverse(torch.log(torch.tensor([2.0, 4.0]).double()))
    )
    torch.testing.assert_close(min_snr_weight(3.0)(level), torch.tensor([2.0, 3.0]).double())


@pytest.mark.parametrize("data_std", [0.5, 1.3])
@pytest.mark.parametrize("scaling", ["ve", "vp"])
def test_edm_is_the_expectation_over_ln_sigma(scaling, data_std):
    """E_{ln sigma ~ N(-1.2, 1.2^2)} (sigma^2 + s^2)/(sigma s)^2 |D - x0|^2 (Karras et al. 2022,
    table 1).
    """

    def miss(sigma):  # how far D is from x0 at this noise level
        return sigma / (1 + sigma**2)

    wide = Path(LinearLogSNR(2.4 + 26, 2.4 - 26), scaling)
    t = (torch.arange(N, dtype=torch.float64) + 0.5) / N
    sigma = torch.exp(-wide.schedule(t) / 2)
    x0 = torch.zeros(N, 1, dtype=torch.float64)
    ours = denoising_loss(
        believing(miss(sigma)[:, None], wide), true_pair(wide, x0, x0, t), EdmWeight(data_std)
    ).mean()
    z = torch.linspace(-10, 10, N, dtype=torch.float64)
    s = torch.exp(-1.2 + 1.2 * z)
    integrand = (
        (s**2 + data_std**2)
        / (s * data_std) ** 2
        * miss(s) ** 2
        * torch.exp(-(z**2) / 2)
        / math.sqrt(2 * math.pi)
    )
    torch.testing.assert_close(ours, torch.trapezoid(integrand, z), rtol=1e-3, atol=0)


def test_edm_takes_the_standard_deviation_of_the_data_from_the_denoiser():
    path = Path(Geometric(0.002, 80.0), "ve")
    level = path.at(T)
    mine = EdmWeight(0.3, mean=2.4, std=2.4)(level)
    torch.testing.assert_close(weight_named("edm", 0.3)(level), mine, rtol=0, atol=0)
    assert weight_named(EdmWeight(0.7), 0.3) == EdmWeight(0.7)
    assert weight_named("edm:-0.5", 0.3) == EdmWeight(0.3, mean=-0.5)
    with pytest.raises(ValueError, match="give data_std, or train a Denoiser"):
        weight_named("edm")
    denoiser = Denoiser(MLPConfig(4, 1).build((2,)), path, data_std=0.3)
    x0 = torch.randn(5, 2)
    got = WeightedDenoising("edm")(denoiser, x0, None, torch.Generator())
    own = WeightedDenoising(EdmWeight(0.3))(denoiser, x0, None, torch.Generator())
    torch.testing.assert_close(got, own, rtol=0, atol=0)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("target", [*TARGETS, edm_target(0.5)], ids=[*TARGETS, "edm(0.5)"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_gradient_does_not_depend_on_the_target(weight, target, scaling):
    """d loss / d x0_hat = 2 weight (x0_hat - x0) whatever the network predicts; min-SNR for v is
    where others erred.
    """
    path = Path(Cosine(7, -6), scaling)
    x0, eps, x0_hat = torch.randn(3, 5, 3, dtype=torch.float64)
    x0_hat.requires_grad_()
    chosen = weight_named(weight, 0.5)
    loss = denoising_loss(believing(x0_hat, path, target), true_pair(path, x0, eps), chosen)
    (gradient,) = torch.autograd.grad(loss.sum(), x0_hat)
    factor = chosen(path.at(T))[:, None]
    torch.testing.assert_close(
        gradient, (2 * factor * (x0_hat - x0)).detach(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("target", [*TARGETS, edm_target(0.5)], ids=[*TARGETS, "edm(0.5)"])
def test_the_squared_error_is_that_of_x0_number_by_number(target):
    path = PATHS["cosine-sub_vp"]
    x0, eps, x0_hat = torch.randn(3, 5, 5, dtype=torch.float64)  # batch = width
    truth = Prediction.of(x0, eps, path.at(T, like=x0))
    prediction = believing(x0_hat, path, target)(truth.x_t, truth.level)
    torch.testing.assert_close(
        prediction.squared_error(truth, "x0"), (x0_hat - x0).square(), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("end", [-8.0, -math.inf])
def test_min_snr_of_v_is_finite_where_nothing_of_the_data_is_left(end):
    path = Path(Cosine(8, end), "vp")
    x0, eps, x0_hat = torch.randn(3, 2, 3, dtype=torch.float64)
    t = torch.tensor([0.999, 1.0], dtype=torch.float64)

    def predict(x_t, t, condition=None):
        return Prediction.solve("v", x0_hat, x_t, t)

    assert (
        denoising_loss(as_predict(predict, path), true_pair(path, x0, eps, t), WEIGHTS["min_snr"])
        .isfinite()
        .all()
    )


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("schedule", [LinearLogSNR(9, -8), Cosine(9, -8)], ids=["linear", "cosine"])
def test_the_elbo_knows_only_the_ends_of_the_schedule(schedule, scaling):
    """On N(0, s^2) the integral is 1/2 log((1 + s^2 SNR_0)/(1 + s^2 SNR_1)): the information
    between the ends.
    """
    path, std = Path(schedule, scaling), 0.7
    signs = torch.tensor(
        [[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64
    )  # exact for quadratics
    t = ((torch.arange(N // 4, dtype=torch.float64) + 0.5) * 4 / N).repeat_interleave(4)
    x0, eps = (std * signs[:, :1]).repeat(N // 4, 1), signs[:, 1:].repeat(N // 4, 1)

    def exact(x_t, level, condition=None):
        pull = x_t / (level.alpha**2 * std**2 + level.sigma**2)
        return Prediction.of(level.alpha * std**2 * pull, level.sigma * pull, level)

    start, end = schedule.ends
    expected = 0.5 * (math.log1p(std**2 * math.exp(start)) - math.log1p(std**2 * math.exp(end)))
    assert denoising_loss(
        as_predict(exact, path), true_pair(path, x0, eps, t), elbo_weight
    ).mean().item() == pytest.approx(expected, rel=1e-4)


def test_the_sigmoid_tends_to_the_elbo():
    level = PATHS["cosine-vp"].at(T)
    torch.testing.assert_close(sigmoid_weight(40.0)(level), elbo_weight(level))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_times_of_low_discrepancy_are_even_and_each_is_uniform(count):
    generator, number = torch.Generator(), 600
    draws = torch.stack([stratified_times(count, generator) for _ in range(number)])
    assert draws.shape == (number, count) and draws.dtype == torch.float64
    assert (draws >= 0).all() and (draws < 1).all()
    gaps = draws.sort(1).values.diff(dim=1)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / count), rtol=0, atol=1e-12)
    for times in draws.T:  # Kolmogorov-Smirnov at 0.1 % of false alarms
        steps = (torch.arange(number, dtype=torch.float64) + 0.5) / number
        assert (times.sort().values - steps).abs().max() < 1.95 / math.sqrt(number)


def test_the_condition_and_the_level_reach_the_predict():
    path, seen = PATHS["linear-vp"], []
    x0, eps, labels = torch.zeros(5, 2), torch.ones(5, 2), torch.arange(5)

    def predict(x_t, t, condition=None):
        seen.append((x_t, t.alpha, condition))
        return Prediction.solve("eps", eps, x_t, t)

    assert (
        denoising_loss(as_predict(predict, path), true_pair(path, x0, eps), elbo_weight, labels)
        == 0
    ).all()
    ((x_t, alpha, condition),) = seen
    assert condition is labels and alpha.shape == (5, 1)
    torch.testing.assert_close(x_t, path.at(T, like=x0).sigma * eps)


def test_weights_by_name():
    assert weight_named("p2") is WEIGHTS["p2"]
    assert weight_named(elbo_weight) is elbo_weight
    level = PATHS["linear-vp"].at(T)
    capped = weight_named("min_snr:2")(level)
    torch.testing.assert_close(capped, simple_weight(level).clamp(max=2.0), rtol=0, atol=0)
    with pytest.raises(ValueError, match="did you mean 'min_snr'"):
        weight_named("minsnr")


def test_every_weight_is_an_objective_by_the_same_name():
    assert set(WEIGHTS) <= set(OBJECTIVES)
    assert objective_named("min_snr:2") == WeightedDenoising("min_snr:2")
    assert objective_named("simple").unit == "simple-weighted error"
    with pytest.raises(ValueError, match="did you mean 'simple'"):
        objective_named("simpel")


def test_a_weight_from_outside_becomes_an_objective():
    def flat(level):
        return torch.as_tensor(level.alpha) ** 0

    register_weight("flat_of_a_test", flat, "a weight of one")
    path = PATHS["linear-vp"]
    denoiser = Denoiser(MLPConfig(4, 1).build((2,)), path)
    x0 = torch.randn(5, 2)
    by_name = objective_named("flat_of_a_test")(denoiser, x0, None, torch.Generator())
    by_value = WeightedDenoising(flat)(denoiser, x0, None, torch.Generator())
    torch.testing.assert_close(by_name, by_value, rtol=0, atol=0)
    assert WeightedDenoising(flat).unit == "flat-weighted error"
    with pytest.raises(ValueError, match="registered already"):
        register_weight("simple", flat, "taken")
