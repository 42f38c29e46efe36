"""Hierarchies whose every density is known: linear-Gaussian chains, and diffusion unrolled into
one.
"""

import math
from itertools import pairwise

import pytest
import torch
from tests.helpers.mixtures import two_modes

from allegory import Mixture, Path
from allegory.data.spec import DataSpec
from allegory.likelihood import (
    Continuous,
    GaussianObservation,
    iwae_bound,
    log_mean_weight,
    variational_bound,
)
from allegory.models import DiffusionChain, Hierarchy, generate_top_down, unroll
from allegory.models.as_hierarchy import step_levels
from allegory.process import Gaussian, LinearLogSNR, estimate
from allegory.process.noise import Noise, Stream

DATA = DataSpec((3,), low=-1, high=1)
FAR = DataSpec((2,), low=-50, high=50)


def affine(weight, bias, std):
    return lambda z: Gaussian(z @ weight.mT + bias, std)


class LinearGaussian:
    """p(z) = N(0, I), p(x | z) = N(W z + b, s^2 I): density and posterior in closed form (Luo 2022,
    eq. 1, 2).
    """

    def __init__(self, dims=3, latents=2, std=0.4):
        self.W, self.b, self.std = (
            torch.randn(dims, latents).double(),
            torch.randn(dims).double(),
            std,
        )
        self.precision = self.W.T @ self.W / std**2 + torch.eye(latents).double()

    def log_prob(self, x):
        covariance = self.W @ self.W.T + self.std**2 * torch.eye(len(self.W)).double()
        return torch.distributions.MultivariateNormal(self.b, covariance).log_prob(x)

    def posterior(self, x):
        """Mean; the covariance is the inverse of `precision`."""
        return (x - self.b) @ self.W @ torch.linalg.inv(self.precision) / self.std**2

    def rotated(self):
        """The same model with latents along the axes of the posterior, whose covariance is then
        diagonal.
        """
        _, axes = torch.linalg.eigh(self.precision)
        self.W, self.precision = self.W @ axes, axes.T @ self.precision @ axes
        return self

    def vae(self, shift=0.0, stretch=1.0):
        """L = 1 with the exact posterior, moved and widened. Densities are in model units."""
        std = self.precision.diagonal().rsqrt() * stretch
        return Hierarchy(
            DATA,
            [lambda x: Gaussian(self.posterior(x) + shift, std)],
            [],
            lambda z: GaussianObservation(affine(self.W, self.b, self.std)(z)),
            top=(2,),
        )


def draws(model, x, count, seed=0):
    noise = Noise(range(seed, seed + len(x)), x.shape[1:], Stream.BOUND)
    return [model.infer(x, noise.draw) for _ in range(count)]


def exact_mean(infer, x, numbers):
    """The mean of an inference's bound over its draws, without drawing: for an item x (1, d) whose
    log-densities are quadratic in the noise, f(0) + 1/2 sum_j [f(e_j) + f(-e_j) - 2 f(0)] over the
    `numbers` coordinates of the noise.
    """
    units = torch.eye(numbers, dtype=torch.float64)
    points = torch.cat([torch.zeros(1, numbers, dtype=torch.float64), units, -units])
    left = [points]

    def draw(like):
        count = like[0].numel()
        now, left[0] = left[0][:, :count], left[0][:, count:]
        return now.reshape(like.shape)

    total = infer(x.expand(len(points), -1), draw).bound.total
    assert left[0].shape[1] == 0, "every number of the noise was used"
    return total[0] + 0.5 * (total[1:].sum() - 2 * numbers * total[0])


def test_the_exact_posterior_makes_the_bound_an_equality():
    """ELBO = log p(x) - KL(q || p(z | x)) (Luo 2022, eq. 15): per draw for log w, and in mean with
    the analytic KL.
    """
    exact, x = LinearGaussian().rotated(), torch.randn(6, 3).double()
    one, *_ = draws(exact.vae(), x, 1)
    torch.testing.assert_close(one.log_weight, exact.log_prob(x), rtol=0, atol=1e-6)
    for item, log_p in zip(x.split(1), exact.log_prob(x), strict=True):
        assert exact_mean(exact.vae().infer, item, 2) == pytest.approx(log_p.item(), abs=1e-9)


def test_a_wrong_posterior_costs_its_divergence():
    """The gap is KL(q || p(z | x)) = sum_i (s^2 - 1 - log s^2 + shift^2 precision_i) / 2 for
    stretch s.
    """
    exact, x, shift, stretch = LinearGaussian().rotated(), torch.randn(4, 3).double(), 0.3, 1.5
    precision = exact.precision.diagonal()
    kl = 0.5 * (stretch**2 - 1 - 2 * math.log(stretch) + shift**2 * precision).sum()
    for item, log_p in zip(x.split(1), exact.log_prob(x), strict=True):
        assert exact_mean(exact.vae(shift, stretch).infer, item, 2) == pytest.approx(
            (log_p - kl).item(), abs=1e-9
        )


@pytest.mark.thorough
def test_importance_weights_are_unbiased_and_tighten_the_bound():
    """E w = p(x) (eq. 7); one draw is the ELBO; more draws never loosen it (Burda et al. 2016,
    theorem 1).
    """
    exact, x = LinearGaussian().rotated(), torch.randn(5, 3).double()
    model = exact.vae(shift=0.2, stretch=1.4)
    many = draws(model, x.repeat(400, 1), 50)
    weights = torch.cat(
        [found.log_weight.reshape(400, 5) for found in many]
    )  # 20,000 draws an item
    ratio = (weights - exact.log_prob(x)).exp()
    error = ratio.std(0) / math.sqrt(len(ratio))
    assert ((ratio.mean(0) - 1).abs() < 4 * error).all()
    gaps = {}
    for k in (1, 5, 50):
        groups = (
            weights.unflatten(0, (20_000 // k, k)).movedim(1, 0).flatten(1)
        )  # k draws of (groups x items)
        gaps[k] = estimate(log_mean_weight(groups) - exact.log_prob(x).repeat(20_000 // k))
    assert gaps[1].mean < gaps[5].mean - 0.02 < gaps[50].mean - 0.04 < 3 * gaps[50].error


def test_one_importance_draw_is_one_draw_of_the_log_weight():
    model, x = LinearGaussian().rotated().vae(0.1), torch.rand(3, 3)
    assert torch.equal(
        iwae_bound(model, x, 1, seeds=range(4, 4 + len(x))),
        model.log_weights(x, seeds=range(4, 4 + len(x)))[0],
    )
    with pytest.raises(ValueError, match="at least 1"):
        iwae_bound(model, x, 0, seeds=range(4, 4 + len(x)))


def scalar_chain(levels=4):
    """x -> z_1 -> ... -> z_L with q(z_i | z_{i-1}) = N(c_i z, v_i) and p(z_{i-1} | z_i) = N(a_i z +
    b_i, s_i^2).
    """
    c, v, a, s = (torch.rand(levels + 1).double() * 0.5 + 0.4 for _ in range(4))
    model = Hierarchy(
        DataSpec((1,), low=-1, high=1),
        [lambda z, i=i: Gaussian(c[i] * z, v[i].sqrt()) for i in range(1, levels + 1)],
        [lambda z, i=i: Gaussian(a[i] * z + 0.1 * i, s[i]) for i in range(2, levels + 1)],
        lambda z: GaussianObservation(Gaussian(a[1] * z, s[1])),
        top=(1,),
    )
    return model, c, v, a, s


def test_the_chain_is_the_product_of_its_factors():
    """log w = log p(x, z) - log q(z | x) with every factor written out (Luo 2022, eq. 23, 24, 28,
    29).
    """
    model, c, v, a, s = scalar_chain()
    x = torch.randn(7, 1).double()
    one, *_ = draws(model, x, 1)
    z = [x, *(latent.z for latent in one.latents)]
    normal = torch.distributions.Normal
    log_p = normal(0.0, 1.0).log_prob(z[4]) + normal(a[1] * z[1], s[1]).log_prob(x)
    log_q = torch.zeros(7, 1).double()
    for i in range(1, 5):
        log_q += normal(c[i] * z[i - 1], v[i].sqrt()).log_prob(z[i])
        if i > 1:
            log_p += normal(a[i] * z[i] + 0.1 * i, s[i]).log_prob(z[i - 1])
    torch.testing.assert_close(one.log_weight, (log_p - log_q)[:, 0])
    top_kl = torch.distributions.kl_divergence(normal(c[4] * z[3], v[4].sqrt()), normal(0.0, 1.0))[
        :, 0
    ]
    difference = normal(c[4] * z[3], v[4].sqrt()).log_prob(z[4]) - normal(0.0, 1.0).log_prob(z[4])
    torch.testing.assert_close(one.bound.total, one.log_weight + difference[:, 0] - top_kl)


def test_the_consistency_bound_is_looser_by_its_closed_form():
    """Luo 2022, eq. 44 -> 45 is no equality: the gap is sum_i a_{i+1} c_{i+1} v_i / s_{i+1}^2 (d =
    1).
    """
    model, c, v, a, s = scalar_chain()
    x = torch.full((4000, 1), 0.3).double()
    found = draws(model, x, 25)
    gap = estimate(torch.cat([d.bound.total - d.consistency.total for d in found]))
    expected = sum((a[i + 1] * c[i + 1] * v[i] / s[i + 1] ** 2).item() for i in range(1, 4))
    assert abs(gap.mean - expected) < 4 * gap.error and gap.error < 0.02 * expected


def test_one_level_is_a_vae_whatever_the_form():
    model, x = LinearGaussian().rotated().vae(0.3), torch.randn(2, 3).double()
    one, *_ = draws(model, x, 1)
    assert torch.equal(one.bound.total, one.consistency.total) and one.bound.divergences == ()


PATH = Path(LinearLogSNR(4, -4))


def both_ways(x, steps, seed):
    """The inference from the data upwards, and the one from the top downwards, with noise of their
    own.
    """
    oracle, shape = two_modes(PATH), x.shape[1:]
    noise = Noise(range(seed, seed + len(x)), shape, Stream.BOUND)
    other = Noise(range(seed + len(x), seed + 2 * len(x)), shape, Stream.BOUND)
    up = unroll(oracle, FAR, Continuous(), steps).infer(x, noise.draw)
    chain = DiffusionChain(oracle, Continuous(), step_levels(PATH, steps))
    return up, generate_top_down(chain, x, other.draw)


@pytest.mark.thorough
def test_unrolled_diffusion_has_the_bound_of_denoising_matching():
    """The generic bound (eq. 29, 37), eq. 57 and eq. 58 have one mean on the same model; so has the
    VDM's estimator.
    """
    x, steps = two_modes(PATH).sample(range(20_000)), 8
    up, down = both_ways(x, steps, seed=2)
    vdm = variational_bound(
        two_modes(PATH),
        x,
        Continuous(),
        seeds=range(10**6, 10**6 + len(x)),
        draws=steps,
        steps=steps,
    ).total
    for other in (down.bound.total, down.log_weight, vdm):
        gap = estimate(up.bound.total - other)
        assert abs(gap.mean) < 3 * gap.error and gap.error < 0.05, gap


def test_closed_form_divergences_vary_less_than_draws_of_them():
    """Rao-Blackwell: each KL of eq. 58 is a conditional mean of its term in eq. 57, which has
    separate expectations.

    Summed along *one* path the order may turn round: the draws of a good model cancel (log w of an
    exact one is constant).
    """
    x = two_modes(PATH).sample(range(1)).expand(4000, -1)
    _, down = both_ways(x, 8, seed=5)
    for latent in down.latents[:-1]:
        gap = estimate(latent.kl - latent.log_ratio)
        assert abs(gap.mean) < 3.5 * gap.error
        assert latent.kl.var() < 0.9 * latent.log_ratio.var()
    assert down.log_weight.var() < down.bound.total.var()


def expected_bound(path, steps, std, x):
    """Eq. 58 in closed form for data N(0, std^2) in one dimension, at the item x, with the exact
    denoiser.

    With E[x0 | z_t] = gain z_t each KL is SNR-weighted: 1/2 (SNR_s - SNR_t) E (x - gain z_t)^2 (eq.
    99, 110).
    """
    levels = step_levels(path, steps)
    first, last = levels[0], levels[-1]
    total = -0.5 * (1 + math.log(2 * math.pi)) - math.log(first.sigma / first.alpha)
    total -= 0.5 * (last.sigma**2 + last.alpha**2 * x**2 - 1 - math.log(last.sigma**2))
    for s, t in pairwise(levels):
        gain = t.alpha * std**2 / (t.alpha**2 * std**2 + t.sigma**2)
        missed = (x - gain * t.alpha * x) ** 2 + (gain * t.sigma) ** 2
        total -= 0.5 * (math.exp(s.log_snr) - math.exp(t.log_snr)) * missed
    return total


@pytest.mark.parametrize("steps", [1, 2, 6, 40])
def test_a_linear_gaussian_diffusion_has_one_bound_in_all_forms(steps):
    """Data N(0, 0.8^2): the chain (eq. 37), denoising matching (eq. 58) and the closed form are
    equal, not only close.
    """
    oracle = Mixture(torch.zeros(1, 1).double(), 0.8, path=PATH)
    x, levels = torch.full((1, 1), 0.5).double(), step_levels(PATH, steps)
    chain = unroll(oracle, FAR, Continuous(), steps)
    expected = expected_bound(PATH, steps, 0.8, 0.5)
    assert exact_mean(chain.infer, x, steps + 1) == pytest.approx(expected, rel=1e-9)
    matching = exact_mean(
        lambda x0, draw: generate_top_down(DiffusionChain(oracle, Continuous(), levels), x0, draw),
        x,
        steps + 1,
    )
    assert matching == pytest.approx(expected, rel=1e-9)


def test_the_chain_samples_what_it_models():
    """Down the chain of an exact denoiser the mean and the spread of the data come out, at many
    steps.
    """
    hierarchy = unroll(two_modes(Path(LinearLogSNR(9, -7))), FAR, Continuous(), 200)
    noise = Noise(range(4000), (2,), Stream.START)
    x = hierarchy.generate(4000, noise.draw).mean
    weights, means = torch.tensor([0.7, 0.3]).double(), two_modes(PATH).means
    mean = weights @ means
    std = (0.4**2 + weights @ (means - mean).square()).sqrt()
    assert ((x.mean(0) - mean).abs() < 4 * std / math.sqrt(4000)).all()
    assert ((x.std(0) / std - 1).abs() < 0.05).all()


def test_alone_is_as_in_a_batch():
    model, x = LinearGaussian().rotated().vae(0.3), torch.rand(5, 3)
    together, alone = (
        model.bound(x, seeds=range(10, 10 + len(x)), draws=3),
        model.bound(x[2:3], seeds=[12], draws=3),
    )
    torch.testing.assert_close(together.total[2:3], alone.total, rtol=1e-12, atol=1e-12)


def test_kernels_must_fit():
    with pytest.raises(ValueError, match="L - 1 down"):
        Hierarchy(
            DATA,
            [lambda z: Gaussian(z, 1.0)],
            [lambda z: Gaussian(z, 1.0)],
            lambda z: GaussianObservation(Gaussian(z, 1.0)),
            top=(3,),
        )
    with pytest.raises(ValueError, match="at least 1"):
        step_levels(PATH, 0)
