import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process.empirical import Empirical
from allegory.process.mixture import Mixture
from allegory.process.path import Path
from allegory.process.schedule import LinearLogSNR

NAMES = ("linear-vp", "cosine-sub_vp", "betas-flow", "geometric-ve")


def mixture(path, labels=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    means = torch.randn(3, 2, generator=generator, dtype=dtype)
    stds = 0.2 + torch.rand(3, 2, generator=generator, dtype=dtype)
    return Mixture(means, stds, path=path, weights=torch.tensor([0.5, 0.2, 0.3]), labels=labels)


def full(path):
    generator = torch.Generator().manual_seed(6)
    root = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    covariances = root @ root.mT + 0.05 * torch.eye(2, dtype=torch.float64)
    return Mixture(
        torch.randn(3, 2, generator=generator, dtype=torch.float64),
        None,
        path=path,
        covariances=covariances,
    )


@pytest.mark.parametrize("make", [mixture, full])
@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_the_gradient_of_the_log_density(name, make):
    oracle = make(PATHS[name])
    t = torch.tensor([0.05, 0.3, 0.6, 0.95, 0.5], dtype=torch.float64)
    x = torch.randn(5, 2, dtype=torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(oracle.log_prob(x, t).sum(), x)
    prediction = oracle(x, t)
    torch.testing.assert_close(prediction.view("score"), grad, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(prediction.x_t, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [mixture, full])
def test_the_density_is_that_of_the_mixture_of_noised_normals(make):
    path = PATHS["linear-vp"]
    oracle = make(path)
    (level,) = path.levels([0.4])
    if oracle.axes is None:
        clean = torch.diag_embed(oracle.variances)
    else:
        clean = oracle.axes @ torch.diag_embed(oracle.variances) @ oracle.axes.mT
    components = torch.distributions.MultivariateNormal(
        level.alpha * oracle.means,
        level.alpha**2 * clean + level.sigma**2 * torch.eye(2, dtype=torch.float64),
    )
    mixed = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=oracle.log_weights), components
    )
    x = torch.randn(9, 2, dtype=torch.float64)
    torch.testing.assert_close(oracle.log_prob(x, 0.4), mixed.log_prob(x))
    torch.testing.assert_close(oracle.log_prob(x, level), mixed.log_prob(x))


@pytest.mark.thorough
@pytest.mark.parametrize("make", [mixture, full, "empirical"])
def test_posterior_mean_and_covariance_by_importance_sampling(make):
    """E and Cov of x0 given x_t from many prior draws, weighted by q(x_t | x0)."""
    path = PATHS["cosine-vp"]
    oracle = (
        Empirical(torch.randn(6, 2, dtype=torch.float64), path, std=0.3)
        if make == "empirical"
        else make(path)
    )
    (level,) = path.levels([0.5])
    x_t = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    x0 = oracle.sample(range(50_000))
    weight = torch.softmax(-(x_t - level.alpha * x0).square().sum(1) / (2 * level.sigma**2), 0)
    mean = weight @ x0
    spread = (weight[:, None] * (x0 - mean)).T @ (x0 - mean)
    tolerance = (
        5 * weight.square().sum().sqrt().item()
    )  # five standard errors of unit-scale averages
    torch.testing.assert_close(oracle(x_t, 0.5).x0[0], mean, rtol=0, atol=tolerance)
    torch.testing.assert_close(oracle.covariance(x_t, 0.5)[0], spread, rtol=0, atol=tolerance)


@pytest.mark.parametrize("make", [mixture, full, "empirical"])
def test_covariance_is_the_jacobian_of_the_posterior_mean(make):
    """Cov[x0 | x_t] = sigma^2/alpha d E[x0 | x_t]/d x_t (second-order Tweedie)."""
    path = PATHS["linear-flow"]
    oracle = (
        Empirical(torch.randn(4, 2, dtype=torch.float64), path, std=0.2)
        if make == "empirical"
        else make(path)
    )
    (level,) = path.levels([0.45])
    x = torch.randn(1, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda z: oracle(z, level).x0[0], x)[:, 0]
    torch.testing.assert_close(
        oracle.covariance(x, level)[0], level.sigma**2 / level.alpha * jacobian
    )


@pytest.mark.parametrize("std", [0.15, 0.0])
def test_empirical_is_the_mixture_at_the_data(std):
    path, data = PATHS["cosine-vp"], torch.randn(7, 1, 2, 2, dtype=torch.float64)
    narrow = Mixture(data, max(std, 1e-9), path=path)
    oracle = Empirical(data, path, std)
    x, t = torch.randn(5, 1, 2, 2, dtype=torch.float64), torch.linspace(0.1, 0.9, 5)
    for given in (t, 0.4):
        torch.testing.assert_close(oracle(x, given).x0, narrow(x, given).x0)
        torch.testing.assert_close(oracle(x, given).eps, narrow(x, given).eps)
        torch.testing.assert_close(oracle.log_prob(x, given), narrow.log_prob(x, given))


@pytest.mark.thorough
@pytest.mark.parametrize("make", [mixture, full])
def test_samples_have_the_exact_moments(make):
    path, n = PATHS["linear-vp"], 40_000
    oracle = make(path)
    (level,) = path.levels([0.35])
    weights = oracle.log_weights.exp()
    mean = weights @ oracle.means
    within = torch.diag_embed(oracle.variances)
    within = within if oracle.axes is None else oracle.axes @ within @ oracle.axes.mT
    centred = oracle.means - mean
    cov = torch.einsum("k,kij->ij", weights, within + centred[:, :, None] * centred[:, None])
    cov = level.alpha**2 * cov + level.sigma**2 * torch.eye(2, dtype=torch.float64)
    x = oracle.sample(range(n), t=0.35)
    error = (cov.diagonal() / n).sqrt()
    assert ((x.mean(0) - level.alpha * mean).abs() < 4 * error).all()
    torch.testing.assert_close(
        x.T.cov(), cov, rtol=0, atol=4 * math.sqrt(2 / n) * cov.abs().max().item() * 2
    )


def test_a_label_keeps_its_components():
    path = PATHS["linear-vp"]
    oracle = mixture(path, labels=torch.tensor([0, 1, 1]))
    only = Mixture(
        oracle.means[1:], oracle.variances[1:].sqrt(), path=path, weights=torch.tensor([0.2, 0.3])
    )
    x = torch.randn(4, 2, dtype=torch.float64)
    one = torch.ones(4, dtype=torch.long)
    torch.testing.assert_close(oracle(x, 0.5, one).x0, only(x, 0.5).x0)
    torch.testing.assert_close(oracle.log_prob(x, 0.5, one), only.log_prob(x, 0.5))
    torch.testing.assert_close(oracle(x, 0.5, -one).x0, oracle(x, 0.5).x0)  # -1: no condition
    labelled = oracle.sample(range(50), condition=torch.zeros(50, dtype=torch.long))
    assert (oracle.log_prob(labelled, condition=torch.zeros(50, dtype=torch.long)) > -20).all()
    with pytest.raises(ValueError, match="no labels"):
        mixture(path)(x, 0.5, one)


def test_an_item_does_not_see_its_batch():
    oracle = mixture(PATHS["cosine-vp"])
    x, t = torch.randn(6, 2, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    alone = torch.cat([oracle(x[i : i + 1], t[i : i + 1]).x0 for i in range(6)])
    torch.testing.assert_close(oracle(x, t).x0, alone, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"means": torch.zeros(3)}, "components"),
        ({"stds": torch.zeros(3, 2)}, "positive widths"),
        ({"stds": torch.ones(2)}, "stds: shape"),
        ({"stds": None}, "either stds or covariances"),
        ({"weights": torch.tensor([1.0, -1.0, 1.0])}, "positive number each"),
    ],
)
def test_bad_mixtures_are_refused(arguments, says):
    given = {"means": torch.randn(3, 2), "stds": 0.5, "weights": None} | arguments
    with pytest.raises(ValueError, match=says):
        Mixture(given["means"], given["stds"], path=Path(LinearLogSNR()), weights=given["weights"])
    with pytest.raises(ValueError, match="std=-1"):
        Empirical(torch.zeros(2, 2), Path(LinearLogSNR()), std=-1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: Mixture(torch.full((2, 2), torch.nan), 1.0, path=p), "NaN"),
        (
            lambda p: Mixture(
                torch.zeros(2, 2), 1.0, path=p, weights=torch.tensor([1.0, torch.inf])
            ),
            "positive number each",
        ),
        (
            lambda p: Mixture(
                torch.zeros(2, 2), 1.0, path=p, labels=torch.zeros(3, dtype=torch.long)
            ),
            "labels: shape",
        ),
        (
            lambda p: Mixture(torch.zeros(2, 2), None, path=p, covariances=torch.eye(2)[None]),
            "covariances: shape",
        ),
        (
            lambda p: Mixture(
                torch.zeros(1, 2),
                None,
                path=p,
                covariances=torch.tensor([[[1.0, 0.5], [0.0, 1.0]]]),
            ),
            "symmetric",
        ),
        (
            lambda p: Mixture(
                torch.zeros(1, 2), 1.0, path=p, labels=torch.zeros(1, dtype=torch.long)
            )(torch.zeros(1, 2), 0.5, torch.tensor([4])),
            "out of",
        ),
        (lambda p: Empirical(torch.zeros(2, 2), p).log_prob(torch.zeros(1, 2)), "without noise"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make(Path(LinearLogSNR()))


def test_empirical_needs_no_array_of_batch_times_points_times_dims():
    """Per-item times: distances as cdist makes them, and right at zero terminal SNR too."""
    path = PATHS["straight-flow"]
    data, x = torch.randn(6, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    t = torch.tensor([0.3, 1.0, 0.7, 0.95], dtype=torch.float64)
    level = path.at(t, like=x)
    squared = (x[:, None] - level.alpha[:, None] * data).square().sum(-1)
    weights = torch.softmax(-squared / (2 * level.sigma**2), 1)
    torch.testing.assert_close(Empirical(data, path)(x, t).x0, weights @ data)


def test_an_item_is_drawn_from_its_own_seed_alone():
    means = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]]).double()
    labels = torch.tensor([0, 1, 1])
    oracle = Mixture(means, 0.1, path=Path(LinearLogSNR()), labels=labels)
    together = oracle.sample([5, 6, 7, 2**40], t=0.3)
    for i, seed in enumerate((5, 6, 7, 2**40)):
        assert torch.equal(oracle.sample([seed], t=0.3)[0], together[i])

    chosen = torch.tensor([0, 1, -1, 0])
    conditional = oracle.sample(range(4), condition=chosen)
    assert torch.equal(oracle.sample([3], condition=chosen[3:])[0], conditional[3])
    assert bool((conditional[[0, 3], 0] < -1).all()) and conditional[1].max() > 1
