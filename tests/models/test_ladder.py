"""The ladder: its densities are the product of its factors, its bound is one, and both walks are
the same.
"""

import math

import pytest
import torch

from allegory.data.spec import DataSpec
from allegory.likelihood import log_mean_weight
from allegory.models import Ladder, LadderConfig
from allegory.process import estimate
from allegory.process.noise import Noise, Stream

DATA = DataSpec((1, 8, 8), low=0, high=1, levels=2)
LATENTS = {
    1: ((0, 6),),
    2: ((4, 2), (4, 3)),
    3: ((2, 1), (4, 2), (0, 5)),
    6: ((2, 1), (2, 1), (4, 1), (4, 1), (4, 2), (0, 5)),
}


def ladder(levels=3, awake=True, **changes):
    """A small ladder; `awake`: no layer is zero any more, so that every path counts."""
    torch.manual_seed(0)
    model = LadderConfig(LATENTS[levels], **{"channels": (8, 8), **changes}).build(DATA)
    if awake:
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.eval().double()


def pictures(count=4):
    return (torch.rand(count, 1, 8, 8) < 0.3).to(torch.uint8)


@pytest.mark.parametrize("levels", LATENTS)
def test_the_weight_is_the_product_of_the_factors(levels):
    """log w = log p(x | z) + sum_i log p(z_i | above) - log q(z_i | above, x), each written out
    (Luo 2022, eq. 27).
    """
    model, x0 = ladder(levels), DATA.encode(pictures()).double()
    inference = model.infer(x0, Noise(range(4), (1,), Stream.BOUND).draw)
    features, h, expected = model.encoder_features(x0), model.start(4), torch.zeros(4).double()
    for i in reversed(range(levels)):
        q, p = model.step(i, h, features)
        z = inference.latents[i].z
        assert tuple(z.shape[1:]) == model.shapes[i]
        for gaussian, sign in ((p, 1), (q, -1)):
            log_prob = torch.distributions.Normal(gaussian.mean, gaussian.std).log_prob(z)
            expected += sign * log_prob.flatten(1).sum(1)
        h = model.advance(i, h, z)
    logits = model.observe(h).logits
    expected += (
        -torch.nn.functional.binary_cross_entropy_with_logits(
            logits, (x0 + 1) / 2, reduction="none"
        )
        .flatten(1)
        .sum(1)
    )
    torch.testing.assert_close(inference.log_weight, expected, rtol=0, atol=1e-9)
    assert all(latent.free for latent in inference.latents)


def test_the_bound_is_below_log_p_by_importance_sampling():
    """E log w < log p(x); the closed-form KLs have the same mean as the drawn ratios; E w is one
    number for any q.
    """
    model, raw = ladder(3), pictures(1)
    for rung in model.rungs:  # a q nearer to p: weights without heavy tails
        for parameter in [*rung.posterior.parameters()][-2:]:
            parameter.data.mul_(0.3)
    x0 = DATA.encode(raw).double().expand(4_000, -1, -1, -1)
    inference = model.infer(x0, torch.randn_like)
    drawn, closed = estimate(inference.log_weight), estimate(inference.bound.total)
    assert abs(drawn.mean - closed.mean) < 4 * math.hypot(drawn.error, closed.error)
    log_p = log_mean_weight(inference.log_weight[:, None]).item()
    # the same density without the inference model: latents from the prior
    prior = log_mean_weight(model.generate(4_000, torch.randn_like).log_prob(x0)[:, None]).item()
    weights = (
        (inference.log_weight - log_p).exp(),
        (model.generate(4_000, torch.randn_like).log_prob(x0) - prior).exp(),
    )
    spread = math.hypot(*(w.std().item() / math.sqrt(len(w)) for w in weights))
    assert abs(log_p - prior) < 4 * spread < 0.5
    assert closed.mean + 4 * closed.error < log_p


def test_generation_is_the_descent_without_data():
    """`step` gives the same p with and without features, and the top's is N(0, I)."""
    model, x0 = ladder(3), DATA.encode(pictures()).double()
    h = model.start(4)
    for i in reversed(range(3)):
        q, p = model.step(i, h, model.encoder_features(x0))
        nothing, alone = model.step(i, h)
        assert nothing is None and q is not None
        torch.testing.assert_close(alone.mean, p.mean)
        torch.testing.assert_close(alone.std + 0 * p.mean, p.std + 0 * p.mean)
        if i == 2:
            assert not p.mean.any() and (torch.as_tensor(p.std) == 1).all()
        h = model.advance(i, h, q.mean)


@pytest.mark.parametrize("levels", LATENTS)
def test_an_item_is_the_same_alone_and_in_a_batch(levels):
    model, raw = ladder(levels).float(), pictures(5)
    together = model.bound(raw, seeds=range(7, 7 + len(raw)), draws=2)
    alone = model.bound(raw[3:4], seeds=[10], draws=2)
    # one convolution of a batch may sum in another order than one of an item:
    # float32 of some hundred terms
    torch.testing.assert_close(alone.total, together.total[3:4], rtol=1e-4, atol=1e-3)
    assert len(together.divergences) == levels - 1
    assert torch.equal(model.sample([3]), model.sample([1, 3])[1:])
    assert set(model.sample(range(4)).unique().tolist()) <= {0, 1}


def test_a_new_ladder_has_standard_normal_priors():
    """The last layers of p are zero: p is N(0, I) at every level, and pixels are as likely black as
    white.
    """
    model = ladder(3, awake=False)
    inference = model.infer(DATA.encode(pictures()).double(), torch.randn_like)
    for latent in inference.latents:
        assert not latent.p.mean.any() and (torch.as_tensor(latent.p.std) == 1).all()
        assert latent.q.mean.any()
    assert inference.likelihood.tolist() == pytest.approx([-64 * math.log(2)] * 4)


def test_warming_up_charges_less_at_first_and_changes_no_bound():
    """Step n of 4 charges n/4 of the costs, the fifth all of them; evaluation counts no step."""
    model, raw = ladder(3, warmup=4).float(), pictures(2)
    model.train()
    for n in range(6):
        loss = model.loss((raw, None), torch.Generator().manual_seed(n))
        torch.manual_seed(n)
        bound = model.infer(DATA.encode(raw), torch.randn_like).bound
        charged = -bound.reconstruction + min(1, n / 4) * (bound.prior + bound.diffusion)
        torch.testing.assert_close(loss, charged / (64 * math.log(2)))
    before = model.state_dict()["trained"].item()
    model.eval().loss((raw, None), torch.Generator())
    assert model.trained == before == 6
    torch.testing.assert_close(model.bound(raw).total, ladder(3).float().bound(raw).total)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("levels", [1, 3])
def test_training_tightens_the_bound(levels):
    """200 steps on 32 pictures of bars: well below the entropy of independent pixels, and every
    weight has a gradient.
    """
    torch.manual_seed(0)
    bars = torch.zeros(32, 1, 8, 8, dtype=torch.uint8)
    bars[torch.arange(32), 0, :, torch.randint(8, (32,))] = 1
    independent = 64 * -(1 / 8 * math.log(1 / 8) + 7 / 8 * math.log(7 / 8))
    model = LadderConfig(LATENTS[levels], channels=(8, 8)).build(DATA)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    draws = torch.Generator()
    for _ in range(200):
        optimizer.zero_grad()
        model.loss((bars, None), draws).mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert -model.bound(bars).total.mean() < 0.8 * independent


@pytest.mark.parametrize(
    ("data", "config", "says"),
    [
        (DataSpec((1, 6, 8), 0, 1, 2), LadderConfig(LATENTS[1]), "multiples of 4"),
        (DataSpec((8,), 0, 1, 2), LadderConfig(LATENTS[1]), "give images"),
        (DATA, LadderConfig(()), "at least one"),
        (DATA, LadderConfig(((4, 1), (2, 1))), "in the order 2, 4, 0"),
        (DATA, LadderConfig(((3, 1),)), "in the order 2, 4, 0"),
        (DATA, LadderConfig(LATENTS[1], decoder="gaussian"), "use 'logistic'"),
        (DataSpec((1, 8, 8), 0, 16, 17), LadderConfig(LATENTS[1]), "binarize, or use 'logistic'"),
        (DataSpec((1, 8, 8), 0, 1), LadderConfig(LATENTS[1], decoder="logistic"), "use 'gaussian'"),
        (DATA, LadderConfig(LATENTS[1], decoder="bernouli"), "did you mean 'bernoulli'"),
    ],
)
def test_latents_and_pictures_that_do_not_fit_are_refused(data, config, says):
    with pytest.raises(ValueError, match=says):
        config.build(data)


def test_its_state_can_be_saved_and_loaded():
    model, other = ladder(3), LadderConfig(LATENTS[3], channels=(8, 8)).build(DATA).eval()
    model = model.float()
    other.load_state_dict(model.state_dict())
    assert isinstance(other, Ladder)
    raw = pictures(2)
    assert torch.equal(other.bound(raw).total, model.bound(raw).total)
