"""Latent diffusion: the bound of a linear-Gaussian model in closed form, scale, loss, samples."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import allegory as al
from allegory.data import DataSpec
from allegory.guidance import Agree, ClassifierGuidance
from allegory.inverse import Mask, Matrix, Measurement, Posterior
from allegory.likelihood.flow_ode import FlowSolver
from allegory.likelihood.level_placement import node_levels
from allegory.likelihood.observation import GaussianObservation
from allegory.models import VAE, Hierarchy, LadderConfig
from allegory.models.as_hierarchy import unroll
from allegory.models.base import check_guides
from allegory.models.latent import (
    LatentDiffusion,
    LatentScale,
    LatentSteps,
    PictureAutoencoderConfig,
)
from allegory.networks import MLPConfig, UNetConfig
from allegory.process.bound_terms import diffusion_loss, prior_matching
from allegory.process.flow_map import GaussianFlowMap
from allegory.process.kernel import Gaussian
from allegory.process.prediction import Prediction
from allegory.recipes import ClassifierConfig
from allegory.recipes.edit import edit, interpolations, variations
from allegory.recipes.editing import EditConfig

D = 2
W = torch.tensor([1.5, -0.7], dtype=torch.float64)
TAU = 0.3
M = torch.tensor([0.4, -1.1], dtype=torch.float64)
S = torch.tensor([0.8, 1.7], dtype=torch.float64)
SHIFT = torch.tensor([0.2, -0.5], dtype=torch.float64)
STD = torch.tensor([1.3, 0.9], dtype=torch.float64)
X = torch.tensor([0.9, 1.3], dtype=torch.float64)


def log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * ((x - mean) ** 2 / variance + (2 * math.pi * variance).log())


def log_evidence() -> float:
    """log p(x) of x = W z + TAU eps, z of N(M, S^2)."""
    return log_normal(X, W * M, (W * S) ** 2 + TAU**2).sum().item()


def exact_posterior() -> tuple[Tensor, Tensor]:
    precision = W**2 / TAU**2 + 1 / S**2
    return (W * X / TAU**2 + M / S**2) / precision, precision**-0.5


def posterior_kernel(mean_off: float = 0.0, std_off: float = 1.0):
    """q(z | x), the exact one, or one that is off by these."""
    _, std = exact_posterior()

    def kernel(x: Tensor) -> Gaussian:
        mean = std**2 * (W * x / TAU**2 + M / S**2)
        return Gaussian(mean + mean_off, std * std_off)

    return kernel


def linear_model(
    path: al.Path, mean_off: float = 0.0, std_off: float = 1.0, scaling: str = "vp"
) -> LatentDiffusion:
    spec = DataSpec((D,), -1.0, 1.0)
    autoencoder = Hierarchy(
        spec,
        [posterior_kernel(mean_off, std_off)],
        [],
        lambda z: GaussianObservation(Gaussian(W * z, TAU), 0.0),
        top=(D,),
    )
    denoiser = GaussianFlowMap((M - SHIFT) / STD, torch.diag((S / STD) ** 2), path)
    model = LatentDiffusion(autoencoder, denoiser, "simple").double()
    model.scale.mean.copy_(SHIFT)
    model.scale.std.copy_(STD)
    return model


class Cubature:
    """Noise at the points of a rule that is exact for quadratic functions of n draws."""

    def __init__(self, n: int) -> None:
        self.n, self.call = n, 0

    def __call__(self, like: Tensor) -> Tensor:
        noise = torch.zeros_like(like)
        noise[2 * self.call] = math.sqrt(self.n)
        noise[2 * self.call + 1] = -math.sqrt(self.n)
        self.call += 1
        return noise


def exact_step_bound(model: LatentDiffusion, steps: int) -> float:
    """The expected bound with so many steps: draws of infer at the points of the rule."""
    n = steps + 2
    with torch.no_grad():
        hierarchy = model.as_hierarchy(steps)
        found = hierarchy.infer(X.expand(2 * n, D), Cubature(n)).bound
    return found.total.mean().item()


def closed_form(path: al.Path, steps: int, mean_off: float, std_off: float) -> float:
    """E_q[log p(x, z, u_0..u_T) - log q] by the means and covariances of the chain."""
    levels = path.levels(torch.arange(steps + 1, dtype=torch.float64) / steps)
    scales = [(float(level.alpha), float(level.sigma)) for level in levels]
    return sum(_chain_of_one_number(scales, j, mean_off, std_off) for j in range(D))


def _chain_of_one_number(scales, j: int, mean_off: float, std_off: float) -> float:
    """The same for number j; the rows of `loads` are z, u_0, ..., u_T as sums of noise under q."""
    mean, std = (float(each[j]) for each in exact_posterior())
    w, m, s, shift, unit = (float(each[j]) for each in (W, M, S, SHIFT, STD))
    mu, s2 = (m - shift) / unit, (s / unit) ** 2
    steps = len(scales) - 1
    means = torch.zeros(steps + 2, dtype=torch.float64)
    loads = torch.zeros(steps + 2, steps + 2, dtype=torch.float64)
    means[0], loads[0, 0] = mean + mean_off, std * std_off
    stds = [std * std_off]
    before, row = (means[0] - shift) / unit, loads[0] / unit
    last = (1.0, 0.0)
    for i, (alpha, sigma) in enumerate(scales):
        ratio = alpha / last[0]
        added = math.sqrt(sigma**2 - (ratio * last[1]) ** 2)
        before, row, last = ratio * before, ratio * row, (alpha, sigma)
        row = row.clone()
        row[i + 1] = added
        means[i + 1], loads[i + 1] = before, row
        stds.append(added)

    def expected(form: dict[int, float], offset: float, variance: float) -> float:
        """E_q log N(0; form + offset, variance) of a linear form of the latents."""
        weights = torch.zeros(steps + 2, dtype=torch.float64)
        for place, weight in form.items():
            weights[place] = weight
        square = ((weights @ means) + offset) ** 2 + ((weights @ loads) ** 2).sum()
        return float(-0.5 * (square / variance + math.log(2 * math.pi * variance)))

    alpha, sigma = scales[0]
    value = expected({0: -w}, float(X[j]), TAU**2)
    value += expected({0: 1.0, 1: -unit / alpha}, -shift, (unit * sigma / alpha) ** 2)
    for i in range(1, steps + 1):
        (a_s, sigma_s), (a, sigma) = scales[i - 1], scales[i]
        gain = s2 * a / (a * a * s2 + sigma**2)
        ratio = a / a_s
        added = sigma**2 - (ratio * sigma_s) ** 2
        of_state, of_x0 = ratio * sigma_s**2 / sigma**2, a_s * added / sigma**2
        form = {i: 1.0, i + 1: -(of_state + of_x0 * gain)}
        value += expected(form, -of_x0 * mu * (1 - gain * a), added * sigma_s**2 / sigma**2)
    value += expected({steps + 1: 1.0}, 0.0, 1.0)
    return value + sum(0.5 * math.log(2 * math.pi * math.e) + math.log(each) for each in stds)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(("mean_off", "std_off"), [(0.0, 1.0), (0.3, 0.6)])
def test_bound_of_steps_is_that_of_the_chain(steps: int, mean_off: float, std_off: float) -> None:
    path = al.Path.vdm(6.0, -5.0)
    found = exact_step_bound(linear_model(path, mean_off, std_off), steps)
    assert found == pytest.approx(closed_form(path, steps, mean_off, std_off), abs=1e-8)


def quadrature_bound(model: LatentDiffusion, formula: bool) -> float:
    """The bound in continuous time: Gauss-Legendre over t, the rule for noise of z and u_t.

    By the formula of Vahdat et al. 2021 (eq. 6 and 8), or by the parts of the library.
    """
    path = model.denoiser.path
    nodes, weights = torch.from_numpy(_legendre(400)[0]), torch.from_numpy(_legendre(400)[1])
    rule = Cubature(2)
    x = X.expand(4, D)
    encoded = model.autoencoder.infer(x, rule)
    q, z = encoded.latents[-1].q, encoded.latents[-1].z
    eps = rule(z)
    u = (z - SHIFT) / STD if formula else model.scale(z)

    integral = torch.zeros(4, dtype=torch.float64)
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        level = path.at(t.expand(4), like=u)
        truth = Prediction.of(u, eps, level)
        if formula:
            error = (model.denoiser(truth.x_t, level).eps - eps).square().sum(1)
            slope = torch.as_tensor(level.dlog_snr).reshape(-1)
            integral += weight * -0.5 * slope * error
        else:
            integral += weight * diffusion_loss(model.denoiser, truth)

    entropy = (torch.as_tensor(q.std).log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
    first, last = path.at(0.0), path.at(1.0)
    if formula:
        ratio = float(first.sigma / first.alpha)
        last_mean, last_std = float(last.alpha) * u, float(last.sigma)
        kl = 0.5 * (last_std**2 + last_mean**2 - 1 - 2 * math.log(last_std)).sum(1)
        at_start = D / 2 * math.log(2 * math.pi * math.e * ratio**2) + STD.log().sum()
        cross_entropy = integral + kl + at_start
    else:
        likely = model.decoder.log_prob(u, eps, first)
        cross_entropy = integral + prior_matching(path, u) - likely
    return (encoded.likelihood + entropy - cross_entropy).mean().item()


def _legendre(count: int):
    import numpy as np

    return np.polynomial.legendre.leggauss(count)


@pytest.mark.parametrize(("mean_off", "std_off"), [(0.0, 1.0), (0.3, 0.6)])
def test_continuous_bound_is_the_formula_of_lsgm(mean_off: float, std_off: float) -> None:
    model = linear_model(al.Path.vdm(20.0, -20.0), mean_off, std_off)
    by_formula = quadrature_bound(model, formula=True)
    assert quadrature_bound(model, formula=False) == pytest.approx(by_formula, abs=1e-8)
    gap = log_evidence() - by_formula

    mean, std = exact_posterior()
    kl = Gaussian(mean[None] + mean_off, std * std_off).kl(Gaussian(mean[None], std)).item()
    assert gap == pytest.approx(kl, abs=1e-7)


def test_with_the_exact_posterior_the_bound_is_log_p() -> None:
    model = linear_model(al.Path.vdm(24.0, -24.0))
    assert quadrature_bound(model, formula=False) == pytest.approx(log_evidence(), abs=1e-8)


def test_gap_of_steps_falls_as_one_over_steps() -> None:
    model = linear_model(al.Path.vdm(6.0, -6.0))
    limit = quadrature_bound(model, formula=False)
    gaps = [limit - exact_step_bound(model, steps) for steps in (128, 256, 512)]
    assert gaps[0] > 0
    assert gaps[0] / gaps[1] == pytest.approx(2.0, abs=0.04)
    assert gaps[1] / gaps[2] == pytest.approx(2.0, abs=0.02)


def test_bound_has_the_mean_of_the_closed_form() -> None:
    path = al.Path.vdm(8.0, -6.0)
    model = linear_model(path, 0.2, 0.8)
    items = X.float().expand(4000, D)
    for steps, wanted in ((20, closed_form(path, 20, 0.2, 0.8)), (None, None)):
        found = model.bound(items, steps=steps, draws=20).total
        wanted = quadrature_bound(model, formula=True) if wanted is None else wanted
        error = found.std().item() / math.sqrt(len(found))
        assert abs(found.mean().item() - wanted) < 4 * error
        assert error < 0.1


def test_log_weights_of_the_exact_posterior_and_the_flow() -> None:
    model = linear_model(al.Path.vdm(20.0, -20.0))
    items = X.float().expand(8, D)
    solver = FlowSolver(data_std=1.0)
    found = model.flow_bound(items, solver=solver).total
    assert found.double() == pytest.approx(torch.full((8,), log_evidence()).double(), abs=1e-3)

    model = linear_model(al.Path.vdm(8.0, -6.0))
    weights = model.log_weights(X.float().expand(500, D), draws=8, steps=60).double()
    mean = weights.flatten().exp().mean().log().item()
    assert mean == pytest.approx(log_evidence(), abs=0.1)


def test_generated_items_have_the_marginal_of_the_model() -> None:
    model = linear_model(al.Path.vdm(12.0, -12.0))
    generator = torch.Generator().manual_seed(0)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    observed = model.as_hierarchy(200).generate(20_000, draw)
    x = observed.draw(draw(observed.mean)).double()
    wanted = ((W * S) ** 2 + TAU**2).sqrt()
    assert x.mean(0) == pytest.approx(W * M, abs=0.05)
    assert x.std(0) == pytest.approx(wanted, rel=0.03)


def small(kind: str = "picture", **more) -> tuple[LatentDiffusion, al.Dataset]:
    """A new latent diffusion model of the digits."""
    torch.manual_seed(0)
    data = al.load("digits")
    if kind == "ladder":
        autoencoder = LadderConfig(((4, 2), (0, 8)), (8, 8), decoder="logistic").build(data.spec)
    elif kind == "vae":
        autoencoder = VAE(data.spec, (6,), width=32, depth=1)
    else:
        autoencoder = PictureAutoencoderConfig(4, (8, 8)).build(data.spec)
    is_picture = len(autoencoder.top) == 3 and autoencoder.top[-1] > 1
    config = (
        UNetConfig(channels=8, multipliers=(1,), blocks=1, attention=())
        if is_picture
        else MLPConfig(width=32, depth=1)
    )
    network = config.build(autoencoder.top, data.spec.given)
    denoiser = al.Denoiser(network, al.Path.vdm(8.0, -6.0), "edm", 1.0)
    return LatentDiffusion(autoencoder, denoiser, **more), data


@pytest.mark.parametrize("kind", ["picture", "vae", "ladder"])
def test_every_autoencoder_samples_and_bounds(kind: str) -> None:
    model, data = small(kind)
    model.measure_scale(data.train.x[:200])
    items = data.test.x[:6]

    bound = model.bound(items, draws=2)
    assert bound.total.shape == (6,)
    assert bound.total.isfinite().all()
    samples = model.sample(range(5), data.test.labels[:5])
    assert tuple(samples.shape) == (5, 1, 8, 8)
    assert samples.dtype == torch.uint8
    alone = model.sample([3], data.test.labels[3:4])
    assert torch.equal(alone[0], samples[3])


def test_a_new_denoiser_of_latents_is_that_of_a_normal_prior() -> None:
    """D(u_t) = alpha_t u_t, so that a new joint model has the bound of its autoencoder."""
    model, _ = small("vae", objective="elbo", joint=True)
    u = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    for t in (0.0, 0.3, 1.0):
        level = model.denoiser.path.at(t)
        found = model.denoiser(u, t, None).x0
        assert (found - float(level.alpha) * u).abs().max() < 1e-6


def test_joint_loss_is_the_negative_bound() -> None:
    model, data = small(objective="elbo", joint=True, condition_dropout=1.0)
    model.measure_scale(data.train.x[:200])
    items = data.train.x[:1000]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        loss = torch.stack([model.loss((items, None), generator) for _ in range(8)]).mean(0)
    bound = model.bound(items, draws=8).bits_per_dim(data.spec)
    gap = loss - bound
    assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(len(gap)) + 2e-3


@pytest.mark.parametrize("joint", [False, True])
def test_only_joint_training_moves_the_autoencoder(joint: bool) -> None:
    model, data = small(objective="elbo", joint=joint)
    model.measure_scale(data.train.x[:100])
    model.loss((data.train.x[:8], None), torch.Generator().manual_seed(0)).mean().backward()
    moved = [each.grad is not None for each in model.autoencoder.parameters()]
    assert any(moved) == joint
    assert any(each.grad is not None for each in model.denoiser.parameters())


def test_scale_gives_mean_0_and_std_1_and_is_saved() -> None:
    scale = LatentScale((3, 4, 4))
    z = 5 + 2 * torch.randn(500, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scale.measure(z)
    u = scale(z)
    assert u.mean((0, 2, 3)).abs().max() < 1e-5
    assert (u.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert (scale.inverse(u) - z).abs().max() < 1e-5
    assert scale.log_scale == pytest.approx(-16 * scale.std.log().sum().item(), rel=1e-5)

    other = LatentScale((3, 4, 4))
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other.std, scale.std)


def test_a_scale_that_was_never_measured_is_refused() -> None:
    model, data = small()
    for use in (lambda: model.bound(data.test.x[:2]), lambda: model.sample([0])):
        with pytest.raises(ValueError, match="never measured"):
            use()


def test_latents_that_do_not_vary_are_refused() -> None:
    with pytest.raises(ValueError, match="same number for all"):
        LatentScale((2,)).measure(torch.ones(10, 2))


def test_joint_training_needs_the_bound() -> None:
    with pytest.raises(ValueError, match="joint training is by the bound"):
        small(objective="simple", joint=True)


@pytest.mark.parametrize("shape", [(1, 10, 10), (12,)])
def test_sizes_that_cannot_be_halved_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        PictureAutoencoderConfig().build(DataSpec(shape, 0.0, 1.0))


def test_measurements_of_latents_are_those_of_the_decoded_item() -> None:
    """A(D(u)) of a linear decoder D draws the same posterior samples as the matrix A D."""
    model = linear_model(al.Path.vdm(8.0, -8.0)).float()
    matrix = torch.tensor([[0.7, -0.4]])
    y = torch.tensor([[0.5]])
    seen = Measurement(Matrix(matrix, (D,)), y, 0.1)
    sampler = al.Sampler("ddim", 20)
    found = Posterior(model, seen, "dps", sampler).sample(range(6))

    through = (matrix.double() * W * STD).float()
    offset = (matrix.double() @ (W * SHIFT)).float()
    same = Measurement(Matrix(through, (D,)), y - offset, 0.1)
    direct = Posterior(model.denoiser, same, "dps", sampler).sample(range(6))
    decoded = model.raw_items(direct.x, None, range(6))
    assert (found.x - decoded).abs().max() < 1e-4


def test_edits_by_a_measurement_take_a_method_for_any_operator() -> None:
    model, data = small()
    model.measure_scale(data.train.x[:100])
    seen = Measurement(Mask(torch.ones(1, 8, 8)), data.test.x[:1].float(), 4.0)
    few = al.Sampler("ddim", 4)
    found = edit(model, seen, [0], config=EditConfig(few))
    same = edit(model, seen, [0], config=EditConfig(few, method="dps"))
    assert torch.equal(found.x, same.x)
    with pytest.raises(ValueError, match="operator Mask of decoded latents: is not linear"):
        edit(model, seen, [0], config=EditConfig(few, method="mmps"))


def test_methods_of_linear_operators_refuse_latents() -> None:
    model, data = small()
    model.measure_scale(data.train.x[:100])
    seen = Measurement(Mask(torch.ones(1, 8, 8)), data.test.x[:1].float(), 1.0)
    with pytest.raises(ValueError, match="linear"):
        Posterior(model, seen, "ddrm").sample([0])


def test_guides_of_the_numbers_of_an_item_refuse_latents() -> None:
    """Latents have no range, and a classifier of items would take latents of their shape."""
    model, data = small()
    model.measure_scale(data.train.x[:100])
    classifier = ClassifierConfig(MLPConfig(8, depth=1), data_std=1.0).build(data.spec)
    for guide in ("clamp", Agree(), ClassifierGuidance(classifier)):
        with pytest.raises(ValueError, match="sees latents"):
            check_guides(model, al.Sampler(guide=guide).guides)

    with pytest.raises(ValueError, match="sees latents"):
        model.sample([0], sampler=al.Sampler(guide="clamp"))
    assert model.sample([0], sampler=al.Sampler(steps=2, guide="clamp:6")).shape == (1, 1, 8, 8)


def test_edits_are_in_latent_space_and_do_not_depend_on_the_batch() -> None:
    model, data = small()
    model.measure_scale(data.train.x[:100])
    items = data.test.x[:3]
    whole = variations(model, items, [0, 1]).x
    assert whole.shape == (3, 2, 1, 8, 8)
    one = variations(model, items, [0, 1], config=EditConfig(batch=1)).x
    assert (whole.float() - one.float()).abs().max() <= 1
    assert interpolations(model, items, 4).x.shape[1] == 4


def test_the_chain_that_codes_is_the_same_model() -> None:
    model, data = small()
    model.measure_scale(data.train.x[:100])
    nodes = model.coding_nodes(data.test.x[:1].float(), 5)
    chain = model.coding_chain(nodes)
    levels = node_levels(model.denoiser.path, nodes)
    steps = LatentSteps(
        model.autoencoder,
        model.scale,
        unroll(model.denoiser, DataSpec(model.shape, -1.0, 1.0), model.decoder, levels),
        levels[0],
    )
    found = [each.log_weights(data.test.x[:4], seeds=range(4)) for each in (chain, steps)]
    assert (found[0] - found[1]).abs().max() < 1e-3
    assert chain.levels == 6


def test_a_ladder_cannot_code_with_a_diffusion_prior() -> None:
    model, data = small("ladder")
    model.measure_scale(data.train.x[:100])
    with pytest.raises(ValueError, match="no Markov chain"):
        model.coding_chain((0, 5))


def test_the_weight_of_the_divergence_is_in_the_loss_and_not_in_the_bound() -> None:
    data = al.load("digits")
    losses, bounds = [], []
    for weight in (1.0, 0.5, 0.0):
        torch.manual_seed(0)
        model = PictureAutoencoderConfig(2, (8, 8), kl_weight=weight).build(data.spec)
        generator = torch.Generator().manual_seed(0)
        losses.append(model.loss((data.test.x[:20], None), generator))
        bounds.append(model.bound(data.test.x[:20]).total)
    assert (losses[0] - losses[2]).min() > 0
    assert (losses[1] - (losses[0] + losses[2]) / 2).abs().max() < 1e-5
    assert torch.equal(bounds[0], bounds[1])


def test_mean_latents_are_the_mean_of_draws() -> None:
    model, data = small("vae")
    model.measure_scale(data.train.x[:200])
    one = data.test.x[:1]
    draws = model.encode(one.expand(4000, 1, 8, 8), range(4000))
    error = draws.std(0) / math.sqrt(4000)
    assert ((draws.mean(0) - model.mean_latents(one)[0]).abs() < 4.5 * error).all()


def test_more_draws_of_noise_have_the_same_mean_and_less_variance() -> None:
    model, data = small("vae", objective="elbo", condition_dropout=0.5)
    model.measure_scale(data.train.x[:200])
    items = data.train.x[:1].expand(3000, 1, 8, 8), torch.zeros(3000, dtype=torch.int64)
    losses = []
    for draws in (1, 8):
        model.draws = draws
        with torch.no_grad():
            losses.append(model.loss(items, torch.Generator().manual_seed(draws)))
    assert losses[1].shape == (3000,)
    error = losses[0].std() / math.sqrt(3000)
    assert abs(losses[0].mean() - losses[1].mean()) < 5 * error
    assert losses[1].std() < 0.6 * losses[0].std()
