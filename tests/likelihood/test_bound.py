"""The bound of an exact denoiser is the exact log-density, up to its own standard error."""

import math

import pytest
import torch
from tests.helpers.mixtures import two_modes

from allegory.likelihood import (
    Continuous,
    Discretised,
    loss_by_log_snr,
    prior_matching,
    reconstruction,
    variational_bound,
)
from allegory.process import Betas, Cosine, LinearLogSNR, Mixture, Path, estimate
from allegory.process.kernel import posterior
from allegory.process.noise import Noise, Stream
from allegory.process.prediction import Prediction

PATHS = {
    "vp": Path(LinearLogSNR(12, -12), "vp"),
    "cosine": Path(Cosine(12, -12), "vp"),
    "flow": Path(LinearLogSNR(12, -12), "flow"),
    "sub_vp": Path(LinearLogSNR(12, -12), "sub_vp"),
    "ve": Path(LinearLogSNR(12, -12), "ve"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", PATHS)
def test_the_bound_of_the_oracle_is_minus_log_p(name):
    path, n = PATHS[name], 2500
    oracle = two_modes(path)
    x = oracle.sample(range(n))
    bound = variational_bound(oracle, x, Continuous(), seeds=range(1, 1 + len(x)), draws=128)
    gap = estimate(bound.total - oracle.log_prob(x))
    assert abs(gap.mean) < 3 * gap.error + 2e-3, (
        gap
    )  # 2e-3: the noise of t = 0 and the tail at t = 1
    assert gap.error < (
        0.12 if name == "cosine" else 0.03
    )  # uniform times suit the straight line best


def test_a_wrong_denoiser_falls_below_log_p():
    path = PATHS["vp"]
    oracle, wrong = two_modes(path), Mixture(torch.zeros(1, 2, dtype=torch.float64), 1.0, path=path)
    x = oracle.sample(range(400))
    bound = variational_bound(wrong, x, Continuous(), seeds=range(1, 1 + len(x)), draws=64)
    gap = estimate(wrong.log_prob(x) - bound.total)  # it bounds its own model's density tightly
    assert abs(gap.mean) < 3 * gap.error + 2e-3
    assert bound.total.mean() < oracle.log_prob(x).mean() - 0.3


def test_schedules_with_the_same_ends_give_the_same_bound():
    ends = {name: PATHS[name] for name in ("vp", "cosine")}
    x = two_modes(ends["vp"]).sample(range(600))
    a, b = (
        estimate(
            variational_bound(
                two_modes(path), x, Continuous(), seeds=range(3, 3 + len(x)), draws=64
            ).total
        )
        for path in ends.values()
    )
    assert abs(a.mean - b.mean) < 3 * math.hypot(a.error, b.error)


def test_steps_sum_to_the_kl_of_the_posteriors():
    """T/2 expm1(d) |eps - eps_hat|^2, term by term, against the KL between the two Gaussians (Luo
    2022, eq. 58, 99).
    """
    path, steps = Path(LinearLogSNR(5, -5)), 4
    oracle, x0 = two_modes(path), torch.randn(3, 2, dtype=torch.float64)
    bound = variational_bound(
        oracle, x0, Continuous(), seeds=range(7, 7 + len(x0)), draws=steps, steps=steps
    )
    assert len(bound.divergences) == steps
    noise = Noise(range(7, 10), (2,), Stream.BOUND)
    noise.uniform()
    for i, got in enumerate(bound.divergences, start=1):
        eps = noise.draw(x0)
        t, s = path.levels([i / steps, (i - 1) / steps])
        truth = Prediction.of(x0, eps, t)
        kl = posterior(truth, s).kl(posterior(oracle(truth.x_t, t), s))
        torch.testing.assert_close(got, kl)


def test_more_steps_tighten_the_bound_at_the_rate_of_a_riemann_sum():
    """Steps of d log-SNR cost d/2 (D - m/2) to first order: D the diffusion term, m = E|eps -
    eps_hat|^2 = 2 at t = 0.

    expm1(d) = d + d^2/2 adds d D/2, and taking each step's error at its noisier end takes d m/4
    away.
    """
    path = Path(LinearLogSNR(12, -12))
    oracle = two_modes(path)
    x = oracle.sample(range(300))
    bounds = {
        T: variational_bound(
            oracle, x, Continuous(), seeds=range(5, 5 + len(x)), draws=200, steps=T
        )
        for T in (10, 1000, None)
    }
    cost = estimate(bounds[None].total - bounds[1000].total)
    expected = 0.5 * 24 / 1000 * (bounds[None].diffusion.mean().item() - 1)
    assert abs(cost.mean - expected) < 3 * cost.error + 0.03 * expected
    assert cost.error < 0.03 * expected
    assert bounds[10].total.mean() < bounds[1000].total.mean() - 1


def test_sampled_steps_are_unbiased_for_the_whole_sum():
    path = Path(Betas(torch.linspace(1e-3, 0.2, 50)))
    oracle = two_modes(path)
    x = oracle.sample(range(3000))
    whole = variational_bound(
        oracle, x, Continuous(), seeds=range(8, 8 + len(x)), draws=50, steps=50
    ).total
    part = variational_bound(
        oracle, x, Continuous(), seeds=range(9, 9 + len(x)), draws=5, steps=50
    ).total
    gap = estimate(whole - part)
    assert abs(gap.mean) < 3 * gap.error


def test_prior_matching_is_the_closed_form_kl():
    path = Path(LinearLogSNR(5, -2))
    x0 = torch.randn(4, 3, dtype=torch.float64)
    (level,) = path.levels([1.0])
    q = torch.distributions.Normal(level.alpha * x0, level.sigma)
    expected = torch.distributions.kl_divergence(
        q, torch.distributions.Normal(0.0, path.prior_std)
    ).sum(1)
    torch.testing.assert_close(prior_matching(path, x0), expected)


def test_discretised_reconstruction_against_a_plain_loop():
    path, values = Path(LinearLogSNR(3, -5)), torch.linspace(-1, 1, 5, dtype=torch.float64)
    x0, eps = values[torch.randint(5, (3, 2, 2))], torch.randn(3, 2, 2, dtype=torch.float64)
    (level,) = path.levels([0.0])
    z = level.alpha * x0 + level.sigma * eps
    expected = torch.zeros(3, dtype=torch.float64)
    for item in range(3):
        for pixel, truth in zip(z[item].flatten(), x0[item].flatten(), strict=True):
            density = (
                torch.distributions.Normal(level.alpha * values, level.sigma).log_prob(pixel).exp()
            )
            expected[item] += (density[(values - truth).abs().argmin()] / density.sum()).log()
    torch.testing.assert_close(reconstruction(path, Discretised(values), x0, eps), expected)


def test_discrete_data_costs_at_least_its_entropy():
    """Uniform bits: an exact model cannot beat 1 bit/dim, and a good path comes near it."""
    path, values = Path(LinearLogSNR(8, -8)), torch.tensor([-1.0, 1.0], dtype=torch.float64)
    oracle = Mixture(values[:, None], 1e-4, path=path)
    x = values[torch.randint(2, (2000, 1))]
    bits = estimate(
        -variational_bound(oracle, x, Discretised(values), draws=64).total / math.log(2)
    )
    assert 1 - 3 * bits.error < bits.mean < 1.01 + 3 * bits.error


def test_where_the_bits_go_integrates_to_the_diffusion_term():
    path = Path(Cosine(10, -10))
    oracle = two_modes(path)
    x = oracle.sample(range(800))
    log_snr, nats = loss_by_log_snr(oracle, x, seeds=range(2, 2 + len(x)), points=300)
    integral = nats.mean(0) * (path.schedule.ends[0] - path.schedule.ends[1])
    assert (log_snr.diff() > 0).all()
    gap = estimate(
        integral
        - variational_bound(oracle, x, Continuous(), seeds=range(3, 3 + len(x)), draws=64).diffusion
    )
    assert abs(gap.mean) < 3 * gap.error + 0.01


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="draws=0; give a whole"):
        variational_bound(
            two_modes(PATHS["vp"]),
            torch.zeros(1, 2).double(),
            Continuous(),
            draws=0,
        )


def test_an_item_has_the_same_bound_alone_and_in_a_batch():
    path = PATHS["vp"]
    oracle, x = two_modes(path), torch.randn(5, 2, dtype=torch.float64)
    together = variational_bound(oracle, x, Continuous(), seeds=range(10, 10 + len(x)), draws=4)
    alone = variational_bound(
        oracle, x[3:4], Continuous(), seeds=range(13, 13 + len(x[3:4])), draws=4
    )
    torch.testing.assert_close(together.total[3:4], alone.total, rtol=1e-12, atol=0)
