"""The VDM against a second, independent bound in the letters of Kingma et al. 2021, and against
entropies.
"""

import math

import pytest
import torch
from tests.helpers.paths import bent
from torch import nn

from allegory import VDM, Denoiser, Empirical, Path, Prediction
from allegory.conditions import Labels
from allegory.data.spec import DataSpec
from allegory.networks import MLPConfig
from allegory.objectives import Elbo, normal_like, stratified_times
from allegory.process import Cosine, LearnedSchedule, LinearLogSNR, estimate
from allegory.process.bound_terms import diffusion_loss, prior_matching, reconstruction
from allegory.process.learned_schedule import VARIANCE_WEIGHT
from allegory.process.noise import Noise, Stream

DISCRETE = DataSpec((2, 3), low=0, high=4, levels=5)
CONTINUOUS = DataSpec((2, 3), low=-3, high=5)


def randomised(network, std=0.3):
    """Every weight drawn anew: a new network of this library returns 0."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std)
    return network


def model(data, path=None, target="eps", **choices):
    condition = None if data.classes is None else Labels(data.classes)
    network = randomised(MLPConfig(width=16, depth=1).build(data.shape, condition))
    return VDM(Denoiser(network, path or Path(LinearLogSNR(6, -5)), target), data, **choices)


def raw_items(data, count):
    if data.levels is None:
        return data.low + (data.high - data.low) * torch.rand(count, *data.shape)
    return torch.randint(data.levels, (count, *data.shape)).to(torch.uint8)


def bound_of_kingma(vdm, raw, gamma, dgamma, *, seed, draws, steps):
    """Kingma et al. 2021, eq. 13-18 and section 3: gamma = -log SNR, alpha^2 = sigmoid(-gamma),
    sigma^2 = sigmoid(gamma).

    Draws the same random numbers in the same order: one offset per item, then the noise of each
    term.
    """
    data, own = vdm.spec, Noise(range(seed, seed + len(raw)), vdm.spec.shape, Stream.BOUND)
    span = data.high - data.low
    x = (2 * raw.double() - data.low - data.high) / span
    network = vdm.denoiser.network

    def noise():
        return own.draw().double()

    def eps_hat(z, t):
        g = gamma(t)
        c_in = 1 / (torch.sigmoid(-g) + torch.sigmoid(g)).sqrt()  # 1 on a variance-preserving path
        return network((c_in[:, None, None] * z).float(), -g.float(), None).double()

    offset = own.uniform()
    diffusion = torch.zeros(len(x), dtype=torch.float64)
    terms = draws if steps is None else min(draws, steps)
    for k in range(terms):
        t = torch.remainder(offset + k / terms, 1.0)
        if steps is not None:
            t = (
                torch.ceil(t * steps) / steps
                if draws < steps
                else torch.full_like(t, (k + 1) / steps)
            )
        g, eps = gamma(t), noise()
        z = (
            torch.sigmoid(-g).sqrt()[:, None, None] * x
            + torch.sigmoid(g).sqrt()[:, None, None] * eps
        )
        miss = (eps - eps_hat(z, t)).square().sum((1, 2))
        if steps is None:
            diffusion += 0.5 * dgamma(t) * miss / terms
        else:
            diffusion += 0.5 * steps * torch.expm1(g - gamma(t - 1 / steps)) * miss / terms

    g1 = gamma(torch.ones(1, dtype=torch.float64))
    mean, variance = torch.sigmoid(-g1).sqrt() * x, torch.sigmoid(g1)
    klz = 0.5 * (mean.square() + variance - variance.log() - 1).sum((1, 2))

    g0 = gamma(torch.zeros(1, dtype=torch.float64))
    if data.levels is None:
        per_number = -0.5 * (1 + math.log(2 * math.pi) + g0) + math.log(2 / span)
        return 6 * per_number - klz - diffusion
    values = torch.linspace(-1, 1, data.levels, dtype=torch.float64)
    likely = torch.zeros(len(x), dtype=torch.float64)
    for _ in range(draws):
        rescaled = x + torch.exp(g0 / 2) * noise()
        logits = -0.5 * torch.exp(-g0) * (rescaled[..., None] - values).square()
        hot = nn.functional.one_hot(raw.long(), data.levels)
        likely += ((logits - logits.logsumexp(-1, keepdim=True)) * hot).sum((1, 2, 3)) / draws
    return likely - klz - diffusion


@pytest.mark.parametrize("steps", [None, 3, 20])
@pytest.mark.parametrize("data", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_the_bound_is_that_of_the_paper(curve, data, steps):
    if curve == "linear":
        path, gamma, dgamma = (
            Path(LinearLogSNR(6, -5)),
            lambda t: -6 + 11 * t,
            lambda t: torch.full_like(t, 11),
        )
    else:  # alpha/sigma = cot(a + (b - a) t)
        a, b = math.atan(math.exp(-3)), math.atan(math.exp(2.5))
        path, gamma = Path(Cosine(6, -5)), lambda t: 2 * torch.log(torch.tan(a + (b - a) * t))
        dgamma = lambda t: 4 * (b - a) / torch.sin(2 * (a + (b - a) * t))  # noqa: E731
    vdm, raw = model(data, path), raw_items(data, 4)
    expected = bound_of_kingma(vdm, raw, gamma, dgamma, seed=5, draws=6, steps=steps)
    got = vdm.bound(raw, seeds=range(5, 5 + len(raw)), draws=6, steps=steps)
    torch.testing.assert_close(got.total.double(), expected.detach(), rtol=2e-5, atol=1e-3)
    torch.testing.assert_close(got.bits_per_dim(data), -got.total / (6 * math.log(2)))


def test_the_three_terms_add_up():
    vdm, raw = model(DISCRETE), raw_items(DISCRETE, 4)
    bound = vdm.bound(raw, seeds=range(1, 1 + len(raw)), draws=3, steps=3)
    assert len(bound.divergences) == 3
    terms = bound.terms(DISCRETE)
    assert set(terms) == {"reconstruction", "prior", "diffusion"}
    torch.testing.assert_close(sum(terms.values()), bound.bits_per_dim(DISCRETE))
    torch.testing.assert_close(
        bound.total, bound.reconstruction - bound.prior - sum(bound.divergences)
    )
    halved = bound.map(lambda nats: nats / 2)
    torch.testing.assert_close(halved.total, bound.total / 2)


@pytest.mark.thorough
@pytest.mark.parametrize("data", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_loss_is_minus_the_bound_on_average(data):
    vdm, raw = model(data, Path(Cosine(6, -5))), raw_items(data, 64)
    with torch.no_grad():
        draws = torch.Generator()
        means = [vdm.loss((raw, None), draws).mean() for _ in range(200)]
        losses = estimate(torch.stack(means))
    bounds = estimate(
        torch.stack(
            [
                vdm.bound(raw, seeds=range(64 * k, 64 * k + 64), draws=4).bits_per_dim(data).mean()
                for k in range(60)
            ]
        )
    )
    assert abs(losses.mean - bounds.mean) < 3 * math.hypot(losses.error, bounds.error)
    assert max(losses.error, bounds.error) < 0.015 * abs(bounds.mean)


def test_another_weight_is_that_squared_error_per_dimension():
    """objective="simple" is |eps_hat - eps|^2 / dims: for a network of zeros its mean is 1."""
    vdm = VDM(
        Denoiser(MLPConfig(8, 1).build((2, 3)), Path(LinearLogSNR(6, -5)), "eps"),
        CONTINUOUS,
        objective="simple",
    )
    draws = torch.Generator()
    losses = torch.cat([vdm.loss((raw_items(CONTINUOUS, 64), None), draws) for _ in range(50)])
    got = estimate(losses)
    assert abs(got.mean - 1) < 3 * got.error and got.error < 0.02
    assert vdm.unit == "simple-weighted error" and model(DISCRETE).unit == "bits/dim"


def spy_on_labels(share):
    data = DataSpec((2,), low=0, high=1, classes=3)
    vdm, seen = model(data, condition_dropout=share), []
    network = vdm.denoiser.network
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2]))
    labels = torch.randint(3, (4000,))
    kept = labels.clone()
    vdm.loss((torch.rand(4000, 2), labels), torch.Generator())
    assert torch.equal(labels, kept)  # the caller's labels are not touched
    return labels, seen[0]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_of_hidden_labels(share):
    labels, seen = spy_on_labels(share)
    hidden = seen == -1
    assert abs(hidden.double().mean().item() - share) < 4 * math.sqrt(share * (1 - share) / 4000)
    assert torch.equal(seen[~hidden], labels[~hidden])


@pytest.mark.parametrize(("share", "all_hidden"), [(0.0, False), (1.0, True)])
def test_no_label_or_every_label_is_hidden(share, all_hidden):
    labels, seen = spy_on_labels(share)
    assert torch.equal(seen, torch.full_like(labels, -1) if all_hidden else labels)


def test_the_bound_hides_no_label():
    data = DataSpec((2,), low=0, high=1, classes=3)
    vdm, raw = model(data, condition_dropout=1.0), torch.rand(5, 2)
    zeros, twos = torch.zeros(5, dtype=torch.long), torch.full((5,), 2)
    assert (vdm.bound(raw, zeros).total - vdm.bound(raw, twos).total).abs().min() > 1e-3
    torch.testing.assert_close(vdm.bound(raw, -torch.ones_like(zeros)).total, vdm.bound(raw).total)


@pytest.mark.parametrize("objective", ["elbo", "simple", "min_snr"])
def test_the_gradient_reaches_every_parameter(objective):
    data = DataSpec((2, 2), low=0, high=3, levels=4, classes=2)
    vdm = model(data, target="v", objective=objective, condition_dropout=0.5)
    vdm.loss((raw_items(data, 64), torch.randint(2, (64,))), torch.Generator()).mean().backward()
    silent = [
        name for name, p in vdm.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not silent
    assert all(p.grad.isfinite().all() for p in vdm.parameters())


@pytest.mark.parametrize("steps", [None, 200])
def test_the_exact_oracle_of_a_tiny_data_set_pays_its_entropy(steps):
    """Four equally likely items of two pixels: log2(4)/2 = 1 bit/dim, and not less."""
    data = DataSpec((2,), low=0, high=2, levels=3)
    raw = torch.tensor([[0, 2], [1, 1], [2, 0], [2, 2]], dtype=torch.uint8)
    path = Path(LinearLogSNR(11, -11))
    vdm = VDM(Denoiser(MLPConfig(4, 1).build((2,)), path), data)
    vdm.denoiser = Empirical(data.encode(raw), path)
    bits = estimate(vdm.bound(raw.repeat(500, 1), draws=64, steps=steps).bits_per_dim(data))
    slack = 0.005 + (
        0 if steps is None else 22 / steps / 2
    )  # the ends; a sum that is ahead by half a step of log-SNR
    assert 1 - 3 * bits.error < bits.mean < 1 + 3 * bits.error + slack, bits
    assert bits.error < 0.02


@pytest.mark.slow
@pytest.mark.thorough
def test_a_small_network_learns_a_gaussian_to_its_entropy():
    """Bare loop, 2-D, correlation 0.9: -E log2 p / 2 in the data's own units, which a network of
    zeros misses.
    """
    root = torch.tensor([[1.0, 0.0], [0.9, math.sqrt(1 - 0.81)]])
    data = DataSpec((2,), low=-5, high=5)
    entropy = 0.5 * math.log2(2 * math.pi * math.e) + 0.25 * math.log2(1 - 0.81)
    network = MLPConfig(width=32, depth=2).build((2,))
    vdm = VDM(Denoiser(network, Path(LinearLogSNR(10, -6)), "edm", data_std=0.2), data)

    def score():
        test = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1)) @ root.T
        return estimate(vdm.bound(test, draws=256).bits_per_dim(data))

    assert score().mean > entropy + 0.4
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    draws = torch.Generator()
    for _ in range(300):
        loss = vdm.loss((torch.randn(256, 2) @ root.T, None), draws).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    got = score()
    assert abs(got.mean - entropy) < 3 * got.error + 0.02
    assert got.error < 0.03


@pytest.mark.parametrize(
    ("path", "choices", "says"),
    [
        (Path(Cosine(9, -math.inf)), {}, r"log-SNR from .* to -inf: a bound needs finite ends"),
        (Path(Cosine(math.inf, -9)), {}, "needs finite ends; give both"),
        (Path(LinearLogSNR()), {"condition_dropout": 1.5}, "condition_dropout=1.5"),
        (Path(LinearLogSNR()), {"condition_dropout": -0.1}, "fraction from 0 to 1"),
        (Path(LinearLogSNR()), {"objective": "simpel"}, "did you mean 'simple'"),
    ],
)
def test_bad_models_are_refused(path, choices, says):
    with pytest.raises(ValueError, match=says):
        model(DISCRETE, path, "v", **choices)


def gradients(vdm, raw, by):
    """Of a scalar made from the plain per-item loss and diffusion term, on the draws of seed 1."""
    draws = torch.Generator().manual_seed(1)
    x0, path = vdm.spec.encode(raw), vdm.denoiser.path
    t, eps = stratified_times(len(x0), draws), normal_like(x0, draws)
    diffusion = diffusion_loss(vdm.denoiser, Prediction.of(x0, eps, path.at(t, like=x0)))
    some = x0[: Elbo().reconstructed]
    likely = reconstruction(path, vdm.decoder, some, normal_like(some, draws)).mean()
    nats = vdm.spec.dims * math.log(2)
    scalar = by(diffusion / nats, (diffusion + prior_matching(path, x0) - likely) / nats)
    return dict(
        zip(
            dict(vdm.named_parameters()),
            torch.autograd.grad(scalar, [*vdm.parameters()]),
            strict=True,
        )
    )


@pytest.mark.parametrize("data", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("scaling", ["vp", "flow"])
def test_a_learned_schedule_learns_its_ends_from_the_bound_and_its_interior_from_the_variance(
    data, scaling
):
    vdm = model(data, Path(bent(LearnedSchedule(5, -3)).requires_grad_(True), scaling))
    raw = raw_items(data, 16)
    bound = gradients(vdm, raw, lambda diffusion, loss: loss.mean())
    variance = gradients(
        vdm, raw, lambda diffusion, loss: VARIANCE_WEIGHT * diffusion.square().mean()
    )
    vdm.loss((raw, None), torch.Generator().manual_seed(1)).mean().backward()
    for name, parameter in vdm.named_parameters():
        interior = "schedule" in name and "reach" not in name
        expected = (variance if interior else bound)[name]
        assert expected.abs().max() > 1e-6, name
        # The network computes in float32: 1e-6 of terms that partly cancel.
        scale = expected.abs().max().item()
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-4 * scale, msg=name)


def test_a_share_of_the_reconstruction_pulls_the_start_as_the_whole_does():
    """The gradient of the start from the first items has the mean of that from all, to 3 standard
    errors.
    """
    vdm, raw = model(DISCRETE, Path(LearnedSchedule(2, -3))), raw_items(DISCRETE, 2000)
    x0, path = vdm.spec.encode(raw), vdm.denoiser.path

    def pull(x):
        likely = reconstruction(path, vdm.decoder, x, torch.randn_like(x)).mean()
        return torch.autograd.grad(likely, path.schedule.reach)[0][0].double()

    few = estimate(
        torch.stack(
            [pull(x0[k : k + Elbo().reconstructed]) for k in range(0, 2000, Elbo().reconstructed)]
        )
    )
    whole = pull(x0.repeat(10, 1, 1)).item()
    assert abs(few.mean - whole) < 3 * few.error * math.sqrt(1.1)
    assert few.error < 0.05 * whole


@pytest.mark.parametrize("objective", ["simple", "min_snr", "p2", "edm", "sigmoid"])
def test_a_schedule_that_would_collapse_is_refused(objective):
    with pytest.raises(
        ValueError,
        match=f"objective='{objective}': only the bound can train a schedule.*objective='elbo'",
    ):
        model(DISCRETE, Path(LearnedSchedule(6, -5)), objective=objective)
    model(
        DISCRETE, Path(LearnedSchedule(6, -5).requires_grad_(False)), objective=objective
    )  # learned before, fixed now


def test_a_schedule_trained_by_a_weighted_error_collapses():
    """With |eps_hat - eps|^2 the interior, trained on the plain loss, piles its times where eps is
    easy.
    """
    std = 0.1
    schedule = LearnedSchedule(8, -5, fixed_ends=True)
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.02)
    t = (torch.arange(200, dtype=torch.float64) + 0.5) / 200

    def missed():  # of the exact denoiser of N(0, std^2), per dimension
        signal = std**2 * schedule(t).exp()
        return (signal / (1 + signal)).mean()

    before = missed().item()
    for _ in range(100):
        optimizer.zero_grad()
        missed().backward()
        optimizer.step()
    assert missed().item() < before / 10
