"""Trained kernels in a `Hierarchy`: one latent is the VAE, more are a Markov chain; every decoder
meets its formula.
"""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from allegory.data.spec import DataSpec
from allegory.likelihood import log_mean_weight
from allegory.models import VAE, VAEConfig
from allegory.models.output_heads import MAX_LOG_STD, Head, bounded, gaussian
from allegory.process import Gaussian, estimate
from allegory.process.noise import Noise, Stream

BINARY = DataSpec((1, 8, 8), low=0, high=1, levels=2)
GREY = DataSpec((2, 8, 8), low=0, high=16, levels=17)
PLANE = DataSpec((2,), low=-4, high=4)
SMALL = {"width": 16, "depth": 1}


def awake(model):
    """No layer is zero any more, so that every path counts."""
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def items(data, count=4):
    if data.levels is None:
        return torch.randn(count, *data.shape).clamp(data.low, data.high)
    return torch.randint(data.levels, (count, *data.shape), dtype=torch.uint8)


@pytest.mark.parametrize("channels", [None, (8, 8)])
def test_the_vae_is_its_two_terms(channels):
    """-BCE(logits(mean + std noise)) - KL(N(mean, std^2) || N(0, I)), by torch (Kingma & Welling
    2014, eq. 10, C.1).
    """
    model = awake(VAEConfig((3,), **SMALL, channels=channels).build(BINARY))
    raw = items(BINARY)
    noise = Noise(range(5, 9), (3,), Stream.BOUND).draw()
    mean, log_std = model.up[0].network(BINARY.encode(raw)).chunk(2, 1)
    q = Normal(mean, (MAX_LOG_STD * torch.tanh(log_std / MAX_LOG_STD)).exp())
    logits = model.observe.network(mean + q.scale * noise)
    reconstruction = Bernoulli(logits=logits).log_prob(raw.float()).flatten(1).sum(1)
    bound = model.bound(raw, seeds=range(5, 5 + len(raw)))
    torch.testing.assert_close(bound.reconstruction, reconstruction)
    torch.testing.assert_close(bound.prior, kl_divergence(q, Normal(0.0, 1.0)).sum(1))
    assert bound.divergences == () and model.levels == 1


@pytest.mark.parametrize(
    ("data", "decoder"),
    [(BINARY, "bernoulli"), (BINARY, "logistic"), (GREY, "logistic"), (PLANE, "gaussian")],
)
def test_every_decoder_is_a_distribution_of_the_data(data, decoder):
    """The probabilities of the levels sum to one; a density in the units of the data integrates to
    one.
    """
    model = awake(VAEConfig((3,), **SMALL, decoder=decoder).build(data))
    observation = model.observe(torch.randn(2, 3))
    if data.levels is not None:
        torch.testing.assert_close(
            observation.log_pmf.logsumexp(-1), torch.zeros(2, *data.shape), rtol=0, atol=1e-5
        )
        raw = model.sample(range(2))
        data.check(raw)
        one = observation.log_pmf.gather(-1, data.index(raw)[..., None]).flatten(1).sum(1)
        torch.testing.assert_close(observation.log_prob(data.encode(raw)), one)
    else:
        axis = torch.linspace(-40, 40, 801)
        points = torch.cartesian_prod(axis, axis)
        wide = Gaussian(observation.gaussian.mean[:1], observation.gaussian.std[:1])
        density = type(observation)(wide, observation.log_scale).log_prob(data.encode(points)).exp()
        # a sum over a grid of step 0.1 is the integral to double precision where the std is a few
        # steps
        assert density.sum().item() * 0.01 == pytest.approx(1, abs=1e-3)


def test_new_components_are_told_apart():
    """A new mixture covers the range; equal components would have equal gradients for ever."""
    observation = Head(GREY, "logistic", components=3)(torch.zeros(1, 18, 8, 8))
    assert observation.means[0, :, 0, 0, 0].tolist() == pytest.approx([-0.5, 0, 0.5])


def test_the_scale_of_a_logistic_is_bounded():
    """An extreme output is a narrow or a wide logistic, not a spike nor a plain: exp(-2 +-
    MAX_LOG_STD).
    """
    raw = torch.stack([torch.full((1, 18, 8, 8), sign * 1e4) for sign in (-1, 1)])
    scales = [Head(GREY, "logistic", components=3)(each).log_scales for each in raw]
    assert [one.unique().item() for one in scales] == pytest.approx([-7, 3])


def test_a_model_runs_in_double_precision():
    model, raw = awake(VAEConfig((3, 2), **SMALL).build(BINARY)), items(BINARY, 5)
    reference = model.bound(raw).total
    # float32 sums of some hundred terms
    torch.testing.assert_close(
        model.double().bound(raw).total, reference.double(), rtol=1e-5, atol=1e-3
    )


def test_standard_deviations_are_bounded_and_smooth():
    raw = torch.tensor([-1e4, -0.01, 0.0, 0.01, 1e4])
    assert bounded(raw).tolist() == pytest.approx([-5, -0.01, 0, 0.01, 5], abs=1e-5)
    assert gaussian(torch.zeros(1, 2, dtype=torch.bfloat16)).mean.dtype == torch.float32


def test_a_latent_relative_to_its_prior_is_an_affine_change_of_it():
    base, raw = Gaussian(torch.tensor([[2.0]]), torch.tensor([[3.0]])), torch.tensor([[0.5, -1.0]])
    q = gaussian(raw, base)
    assert q.mean.item() == pytest.approx(2 + 3 * 0.5)
    assert q.std.item() == pytest.approx(3 * math.exp(5 * math.tanh(-0.2)))


@pytest.mark.parametrize("channels", [None, (8, 8)])
def test_a_trained_chain_of_three_is_a_hierarchy(channels):
    """Shapes, all weights registered, and E[w] the same as from the prior: the kernels are where
    they belong.
    """
    data = DataSpec((1, 4, 4), low=0, high=1, levels=2)
    model = awake(VAEConfig((3, 2, 2), **SMALL, channels=channels).build(data))
    for name, parameter in model.up.named_parameters():
        if "read" in name or "linear" in name:  # a q nearer to p: weights without heavy tails
            parameter.data.mul_(0.3)
    x0 = data.encode(items(data, 1)).expand(40_000, -1, -1, -1)
    inference = model.infer(x0, torch.randn_like)
    assert [latent.z.shape[1] for latent in inference.latents] == [3, 2, 2]
    drawn, mixed = estimate(inference.log_weight), estimate(inference.bound.total)
    assert abs(drawn.mean - mixed.mean) < 4 * math.hypot(drawn.error, mixed.error)
    given = model.generate(40_000, torch.randn_like).log_prob(x0)
    log_p, prior = (log_mean_weight(w[:, None]).item() for w in (inference.log_weight, given))
    spread = math.hypot(
        *(
            (w - m).exp().std().item() / 200
            for w, m in ((inference.log_weight, log_p), (given, prior))
        )
    )
    assert abs(log_p - prior) < 4 * spread < 0.2
    assert drawn.mean + 4 * drawn.error < log_p


@pytest.mark.parametrize(("data", "config"), [
    (PLANE, VAEConfig((2,), **SMALL, decoder="gaussian")),
    (BINARY, VAEConfig((4,), **SMALL)),
    (BINARY, VAEConfig((4, 3, 2), **SMALL, channels=(8, 8))),
])  # fmt: skip
def test_training_tightens_the_bound(data, config):
    """A few steps on a few items lower the loss by more than a tenth of a bit, and every weight has
    a gradient.
    """
    raw = items(data, 16)
    if data is BINARY:
        raw = raw[:2].repeat(8, 1, 1, 1)
    model = config.build(data)
    before = model.bound(raw, draws=4).bits_per_dim(data).mean()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    draws = torch.Generator()
    for _ in range(60):
        optimizer.zero_grad()
        model.loss((raw, None), draws).mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert model.bound(raw, draws=4).bits_per_dim(data).mean() < before - 0.1


def test_an_item_is_the_same_alone_and_in_a_batch():
    for channels in (None, (8, 8)):
        model, raw = (
            awake(VAEConfig((3, 2), **SMALL, channels=channels).build(BINARY)),
            items(BINARY, 5),
        )
        # float32 sums of some hundred terms, perhaps in another order
        torch.testing.assert_close(
            model.bound(raw[3:4], seeds=[10]).total,
            model.bound(raw, seeds=range(7, 7 + len(raw))).total[3:4],
            rtol=1e-5,
            atol=1e-3,
        )
        assert torch.equal(model.sample([3]), model.sample([1, 3])[1:])


@pytest.mark.parametrize(
    ("data", "change", "says"),
    [
        (BINARY, {"latents": ()}, "give 1 or more"),
        (BINARY, {"width": 0}, "give 1 or more"),
        (BINARY, {"channels": (0, 8)}, "give 1 or more"),
        (PLANE, {"decoder": "gaussian", "channels": (8, 8)}, "multiples of 4"),
        (PLANE, {}, "needs data of 2 levels, not None"),
        (PLANE, {"decoder": "logistic"}, "use 'gaussian'"),
        (GREY, {"decoder": "gaussian"}, "17 levels; use 'logistic'"),
        (GREY, {"decoder": "logit"}, "did you mean 'logistic'"),
    ],
)
def test_data_and_sizes_that_do_not_fit_are_refused(data, change, says):
    with pytest.raises(ValueError, match=says):
        VAEConfig(**change).build(data)


@pytest.mark.parametrize(
    ("data", "decoder"), [(BINARY, "bernoulli"), (DataSpec((3,), -1.0, 1.0), "gaussian")]
)
def test_a_vae_is_made_in_one_call(data, decoder):
    """The decoder is the one that fits the data, and the model that of the config with the same
    choices.
    """
    torch.manual_seed(0)
    model = VAE(data, (4,), width=16, depth=1)
    torch.manual_seed(0)
    same = VAEConfig((4,), 16, 1, decoder=decoder).build(data)
    assert model.sample(range(3)).equal(same.sample(range(3)))
    raw = data.decode(torch.full((3, *data.shape), -1.0))
    torch.testing.assert_close(model.bound(raw).total, same.bound(raw).total)


def test_a_condition_and_a_sampler_are_refused():
    model = VAE(BINARY, (4,), width=16, depth=1)
    with pytest.raises(ValueError, match="condition: a latent-variable model has none"):
        model.sample([0], torch.tensor([1]))
    with pytest.raises(ValueError, match="it draws its latents once"):
        model.sample([0], sampler=25)
