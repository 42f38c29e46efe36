import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process.betas import Betas
from allegory.process.kernel import Gaussian, marginal, posterior, transition
from allegory.process.path import Path
from allegory.process.prediction import Prediction

NAMES = [name for name in PATHS if not name.startswith("straight")]


@pytest.mark.parametrize("name", NAMES)
def test_transition_after_marginal_is_the_marginal(name):
    """q(x_t | x0) = int q(x_t | x_s) q(x_s | x0) dx_s: means compose, variances add."""
    x0 = torch.randn(3, 2, dtype=torch.float64)
    s, t = PATHS[name].levels([0.3, 0.55])
    step = transition(marginal(x0, s).mean, s, t)
    torch.testing.assert_close(step.mean, marginal(x0, t).mean)
    gain = t.alpha / s.alpha
    assert (gain * s.sigma) ** 2 + step.std**2 == pytest.approx(t.sigma**2, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_bayes_rule_holds_pointwise(name):
    """q(x_s | x_t, x0) q(x_t | x0) = q(x_t | x_s) q(x_s | x0) at any three points (Luo 2022, eq.
    46, 71).
    """
    x0, x_s, x_t = torch.randn(3, 4, 2, dtype=torch.float64)
    s, t = PATHS[name].levels([0.35, 0.5])
    x_s, x_t = s.alpha * x0 + s.sigma * x_s, t.alpha * x0 + t.sigma * x_t
    backward = posterior(Prediction.solve("x0", x0, x_t, t), s).log_prob(x_s) + marginal(
        x0, t
    ).log_prob(x_t)
    forward = transition(x_s, s, t).log_prob(x_t) + marginal(x0, s).log_prob(x_s)
    torch.testing.assert_close(backward, forward, rtol=1e-8, atol=1e-8)


def test_posterior_and_transition_of_ddpm():
    """Luo 2022, eq. 31, 84 and 85, in the paper's own letters."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha, A = 1 - betas, torch.cumprod(1 - betas, 0)
    path, i = Path(Betas(betas)), 400
    s, t = path.levels([(i - 1) / 999, i / 999])
    x0, x_t = torch.randn(2, 3, 5, dtype=torch.float64)
    q = posterior(Prediction.solve("x0", x0, x_t, t), s)
    mean = (alpha[i].sqrt() * (1 - A[i - 1]) * x_t + A[i - 1].sqrt() * (1 - alpha[i]) * x0) / (
        1 - A[i]
    )
    torch.testing.assert_close(q.mean, mean)
    assert q.std**2 == pytest.approx(float((1 - alpha[i]) * (1 - A[i - 1]) / (1 - A[i])), rel=1e-9)
    step = transition(x0, s, t)
    torch.testing.assert_close(step.mean, alpha[i].sqrt() * x0)
    assert step.std**2 == pytest.approx(float(1 - alpha[i]), rel=1e-9)


def test_posterior_against_dense_gaussian_conditioning():
    s, t = PATHS["cosine-sub_vp"].levels([0.2, 0.7])
    x0, x_t = (
        torch.tensor([[0.7]], dtype=torch.float64),
        torch.tensor([[-0.4]], dtype=torch.float64),
    )
    cross = t.alpha / s.alpha * s.sigma**2  # Cov(x_s, x_t | x0)
    mean = s.alpha * x0 + cross / t.sigma**2 * (x_t - t.alpha * x0)
    q = posterior(Prediction.solve("x0", x0, x_t, t), s)
    torch.testing.assert_close(q.mean, mean)
    assert q.std**2 == pytest.approx(s.sigma**2 - cross**2 / t.sigma**2, rel=1e-10)


def test_neighbouring_levels_keep_their_digits():
    s, t = PATHS["linear-vp"].levels([0.5, 0.5 + 1e-9])
    exact = 15e-9  # d log_snr = -15 dt, so 1 - SNR_t/SNR_s = 15e-9 to first order
    assert (transition(torch.zeros(1, 1), s, t).std / t.sigma) ** 2 == pytest.approx(
        exact, rel=1e-6
    )


def test_log_prob_and_kl_match_torch_distributions():
    mean, x, other = torch.randn(3, 4, 2, 3, dtype=torch.float64)
    std, wide = torch.rand(4, 1, 1, dtype=torch.float64) + 0.5, 1.7
    p, q = (
        torch.distributions.Normal(mean, std.expand_as(mean)),
        torch.distributions.Normal(other, wide),
    )
    torch.testing.assert_close(Gaussian(mean, std).log_prob(x), p.log_prob(x).sum((1, 2)))
    expected = torch.distributions.kl_divergence(p, q).sum((1, 2))
    torch.testing.assert_close(Gaussian(mean, std).kl(Gaussian(other, wide)), expected)
