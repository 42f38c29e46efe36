"""Score matching against closed forms: one minimiser for all, the derived variances, and weights
that are one.
"""

import itertools
import math

import pytest
import torch
from tests.helpers.paths import PATHS, SMOOTH

from allegory import Mixture, Path, Prediction
from allegory.objectives import (
    denoising_score_matching,
    dual_score_matching,
    exact_score_matching,
    fisher_divergence,
    random_signs,
    score_at,
    score_weighting,
    sliced_score_matching,
    uniform_in_log_snr,
)
from allegory.objectives.denoising import denoising_loss
from allegory.objectives.weights import elbo_weight, simple_weight
from allegory.process import Cosine, LinearLogSNR, as_predict, marginal

D = 3
COVARIANCE = torch.tensor(
    [[1.0, 0.5, 0.1], [0.5, 0.8, -0.2], [0.1, -0.2, 0.4]], dtype=torch.float64
)
MEAN = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
SIGNS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=D)), dtype=torch.float64)


def moments_exact(n=64):
    """x0 and eps whose sample moments are those of N(MEAN, COVARIANCE) and N(0, I), independent: to
    the last digit.
    """
    raw = torch.randn(n, 2 * D, dtype=torch.float64)
    raw = raw - raw.mean(0)
    white = raw @ torch.linalg.inv(torch.linalg.cholesky(raw.T @ raw / n)).T
    return MEAN + white[:, :D] @ torch.linalg.cholesky(COVARIANCE).T, white[:, D:]


def minimiser(loss):
    """(A, b) of the score A x + b that minimises a quadratic loss: one Newton step."""
    flat = torch.randn(D * D + D, dtype=torch.float64)

    def mean(p):
        return loss(lambda x: x @ p[: D * D].reshape(D, D).T + p[D * D :]).mean()

    gradient = torch.autograd.functional.jacobian(mean, flat)
    step = torch.linalg.solve(torch.autograd.functional.hessian(mean, flat), gradient)
    found = flat - step
    return found[: D * D].reshape(D, D), found[D * D :]


def test_exact_sliced_and_denoising_have_one_minimiser_on_a_gaussian():
    """It is -V^-1 (x - m) with V = alpha^2 C + sigma^2 I: exact moments, all probes."""
    path = Path(LinearLogSNR(4, -4), "vp")
    level = path.at(0.4)
    x0, eps = moments_exact()
    x_t = level.mix(x0, eps)
    probes = SIGNS[:, None].expand(-1, len(x_t), -1)
    A = -torch.linalg.inv(
        level.alpha**2 * COVARIANCE + level.sigma**2 * torch.eye(D, dtype=torch.float64)
    )
    b = -level.alpha * A @ MEAN

    def denoise(score):
        def predict(x, t, condition=None):
            return Prediction.solve("score", score(x), x, path.at(t, like=x))

        t = torch.full((len(x0),), 0.4, dtype=torch.float64)
        truth = Prediction.of(x0, eps, path.at(t, like=x0))
        return denoising_score_matching(as_predict(predict, path), truth)

    for loss in (
        lambda score: exact_score_matching(score, x_t),
        lambda score: sliced_score_matching(score, x_t, probes),
        lambda score: sliced_score_matching(score, x_t, probes, project=True),
        denoise,
        lambda score: fisher_divergence(score, lambda x: x @ A.T + b, x_t),
    ):
        found_A, found_b = minimiser(loss)
        torch.testing.assert_close(found_A, A, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found_b, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("project", [False, True])
def test_the_variance_of_one_sliced_probe_is_the_derived_one(project):
    """2 sum_{i != j} S_ij^2, over all eight probes, which are all there are: exact."""
    jacobian = torch.tensor(
        [[0.5, 1.0, 0.0], [-0.4, 0.2, 0.7], [0.3, 0.1, -1.0]], dtype=torch.float64
    )
    x = torch.tensor([[0.4, -1.1, 0.6]], dtype=torch.float64)
    s = (x @ jacobian.T)[0]
    losses = [
        sliced_score_matching(lambda y: y @ jacobian.T, x, v[None, None], project=project).item()
        for v in SIGNS
    ]
    S = (jacobian + jacobian.T) / 2 + (0.5 * s[:, None] * s if project else 0.0)
    off = S - S.diag().diag()
    assert torch.tensor(losses).double().var(correction=0).item() == pytest.approx(
        2 * off.square().sum().item(), rel=1e-6
    )
    exact = exact_score_matching(lambda y: y @ jacobian.T, x).item()
    assert torch.tensor(losses).double().mean().item() == pytest.approx(exact, rel=1e-6)


def test_gaussian_probes_vary_more():
    """v ~ N(0, I) has 2 sum_ij S_ij^2, the diagonal too: within 4 standard errors of a sample
    variance.
    """
    jacobian = torch.diag(torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64))
    n, x = 40_000, torch.zeros(1, D, dtype=torch.float64)
    many, v = x.expand(n, -1), torch.randn(1, n, D, dtype=torch.float64)
    losses = sliced_score_matching(lambda y: y @ jacobian.T, many, v)
    variance, kurtosis = 2 * jacobian.square().sum().item(), 15.0  # at most that of one chi-square
    assert losses.var().item() == pytest.approx(
        variance, abs=4 * variance * math.sqrt((kurtosis - 1) / n)
    )
    signs = sliced_score_matching(
        lambda y: y @ jacobian.T, many, random_signs(1, many, torch.Generator())
    )
    assert signs.var().item() < 1e-20  # a diagonal Jacobian needs one sign


def test_exact_is_fisher_up_to_a_constant():
    """E exact = Fisher - 1/2 E|grad log p|^2, for a score that is none of the family: within 4
    standard errors.
    """
    path = Path(LinearLogSNR(6, -6), "flow")
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
    oracle, level = (
        Mixture(means, 0.4, path=path, weights=torch.tensor([0.3, 0.7]).double()),
        path.at(0.5),
    )
    x, truth = oracle.sample(range(40_000), 0.5), score_at(oracle, level)

    def score(y):
        return torch.tanh(y @ torch.tensor([[1.0, 0.3], [-0.5, 0.8]], dtype=torch.float64))

    zero = fisher_divergence(torch.zeros_like, truth, x)
    gap = exact_score_matching(score, x) - fisher_divergence(score, truth, x) + zero
    for difference in (gap, exact_score_matching(truth, x) + zero):
        assert abs(difference.mean().item()) < 4 * difference.std().item() / math.sqrt(len(x))


def test_weights_of_the_score_are_weights_of_x0():
    for path in SMOOTH.values():
        level = path.at(torch.linspace(0.02, 0.98, 9, dtype=torch.float64))
        torch.testing.assert_close(
            score_weighting(lambda a: a.sigma * a.sigma)(level),
            simple_weight(level),
            rtol=1e-9,
            atol=0,
        )
        torch.testing.assert_close(
            score_weighting(lambda a: a.diffusion / 2)(level), elbo_weight(level), rtol=1e-9, atol=0
        )


def test_denoising_score_matching_is_the_squared_error_of_the_score():
    path = PATHS["cosine-sub_vp"]
    x0, eps, t = (
        torch.randn(5, 2).double(),
        torch.randn(5, 2).double(),
        torch.linspace(0.1, 0.9, 5).double(),
    )
    oracle = Mixture(torch.randn(3, 2).double(), 0.5, path=path)
    level = path.at(t, like=x0)
    x_t = level.mix(x0, eps)
    missed = (oracle(x_t, t).view("score") + eps / level.sigma).square().sum(1)
    truth = Prediction.of(x0, eps, level)
    found = denoising_score_matching(oracle, truth, lambda at: at.diffusion / 2)
    torch.testing.assert_close(found, level.diffusion[:, 0] / 2 * missed)
    plain = denoising_score_matching(oracle, truth)
    torch.testing.assert_close(plain, level.sigma[:, 0] ** 2 / 2 * missed)
    torch.testing.assert_close(
        2 * plain, denoising_loss(oracle, truth, simple_weight)
    )  # NCSN's loss, twice


def test_times_even_in_log_snr_keep_the_mean_and_lower_the_variance():
    """int f(t) dt by both; the bound of an exact Gaussian denoiser varies less, for a schedule with
    steep ends.
    """
    path = Path(Cosine(9, -9), "vp")
    t, factor = uniform_in_log_snr(path, 4000, torch.Generator())
    assert factor.mean().item() == pytest.approx(
        1.0, rel=1e-3
    )  # evenly spread: an error of order 1/n
    assert (factor * t.square()).mean().item() == pytest.approx(1 / 3, rel=1e-2)
    oracle = Mixture(torch.zeros(1, 2).double(), 0.5, path=path)
    x0, eps = 0.5 * torch.randn(4000, 2).double(), torch.randn(4000, 2).double()

    def loss(t):
        return denoising_loss(oracle, Prediction.of(x0, eps, path.at(t, like=x0)), elbo_weight)

    uniform = loss(torch.rand(4000).double())
    even = factor * loss(t)
    error = math.hypot(uniform.std().item(), even.std().item()) / math.sqrt(4000)
    assert abs(uniform.mean().item() - even.mean().item()) < 4 * error
    assert even.var() < uniform.var() / 2


def test_gradients_reach_the_parameters():
    """Of all losses, in training; and no graph is kept where none is wanted."""
    weight = torch.randn(D, D, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, D, dtype=torch.float64)

    def score(y):
        return torch.tanh(y @ weight)

    for loss in (
        exact_score_matching(score, x),
        sliced_score_matching(score, x, random_signs(2, x, torch.Generator())),
    ):
        (gradient,) = torch.autograd.grad(loss.sum(), weight)
        assert gradient.abs().min() > 0
    with torch.no_grad():
        assert not exact_score_matching(score, x).requires_grad


def test_images_have_scores_too():
    """Any shape: the trace of the Jacobian of a picture, entry by entry."""
    x = torch.randn(2, 1, 3, 3, dtype=torch.float64)
    found = exact_score_matching(lambda y: y**3, x)
    torch.testing.assert_close(found, (3 * x.square() + x**6 / 2).flatten(1).sum(1))


def test_bad_input_is_refused():
    x = torch.randn(4, 2)
    with pytest.raises(ValueError, match="at least one"):
        sliced_score_matching(lambda y: -y, x, torch.zeros(0, 4, 2))
    with pytest.raises(ValueError, match="shape of x"):
        exact_score_matching(lambda y: y.sum(1), x)
    with pytest.raises(ValueError, match="no_grad and detach"):
        exact_score_matching(lambda y: -y.detach(), x)
    with pytest.raises(ValueError, match="two finite ends"):
        uniform_in_log_snr(PATHS["straight-flow"], 8, torch.Generator())


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["linear-vp", "cosine-sub_vp", "linear-ve", "learned-flow"])
def test_dual_score_matching_has_the_log_density_for_its_minimum(name):
    """The gradient there is 0 within 4 standard errors, in a direction that weighs one mode up; and
    it is a minimum.
    """
    path, n = PATHS[name], 20_000
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
    oracle = Mixture(means, 0.3, path=path, weights=torch.tensor([0.3, 0.7]).double())
    x0, t = oracle.sample(range(n)), 0.1 + 0.8 * torch.rand(n, dtype=torch.float64)
    eps = torch.randn(n, 2, dtype=torch.float64)
    truth = Prediction.of(x0, eps, path.at(t, like=x0))

    def loss(by):
        def energy(x, t, condition=None):
            level = path.at(t, like=x)
            return oracle.energy(x, t) + by * torch.tanh(x[:, 0] / level.marginal_std[:, 0]) * (
                1 + level.log_snr[:, 0] / 5
            )

        predict = as_predict(oracle, path)
        predict.energy = energy
        return dual_score_matching(predict, truth).detach()

    at, up, down = loss(0.0), loss(0.05), loss(-0.05)
    assert abs((up - down).mean().item()) < 4 * (up - down).std().item() / math.sqrt(n)
    assert (up + down - 2 * at).mean() > 0


def test_dual_score_matching_by_its_definition():
    """1/2 |sigma grad E - eps|^2 and 1/2 (dE/dl + d log q(x_t | x0)/dl)^2, by finite differences at
    fixed x_t.
    """
    path, h = PATHS["cosine-sub_vp"], 1e-5
    oracle = Mixture(torch.randn(3, 2).double(), 0.4, path=path)
    x0, eps, t = (
        torch.randn(5, 2).double(),
        torch.randn(5, 2).double(),
        torch.linspace(0.2, 0.8, 5).double(),
    )
    x_t = path.at(t, like=x0).mix(x0, eps)

    def log_kernel(t):
        return marginal(x0, path.at(t, like=x0)).log_prob(x_t)

    def slope(of):
        return (of(t + h) - of(t - h)) / (path.schedule(t + h) - path.schedule(t - h))

    missed = slope(lambda s: oracle.energy(x_t, s)) + slope(log_kernel)
    score = (oracle(x_t, t).eps - eps).square().sum(1)  # sigma grad E = E[eps | x_t]
    found = dual_score_matching(oracle, Prediction.of(x0, eps, path.at(t, like=x0)))
    torch.testing.assert_close(found, (score + missed.square()) / 2, rtol=1e-6, atol=1e-6)
