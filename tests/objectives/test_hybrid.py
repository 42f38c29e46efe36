"""The hybrid objective on Gaussians in float64: what it trains, and that it is the bound's term."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tests.helpers.gaussian import gaussian
from tests.helpers.paths import FINITE
from torch import nn

from allegory import VDM, Denoiser, Path, Sampler
from allegory.data.spec import DataSpec
from allegory.likelihood import Continuous, variational_bound
from allegory.models import Energy, LearnedVariance
from allegory.networks import MLPConfig
from allegory.objectives import Hybrid, WeightedDenoising, denoising_loss, objective_named
from allegory.objectives.weights import simple_weight
from allegory.process import Cosine, Prediction, as_predict
from allegory.process.kernel import posterior, reverse_step
from allegory.recipes import DiffusionConfig, PathConfig
from allegory.recipes.derive import config_of
from allegory.recipes.serialize import from_json, to_json

PATH = Path(FINITE["linear"], "vp")
SPEC = DataSpec((2,), -3, 5)
X0 = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


class Biased(nn.Module):
    """An exact Predict whose mean and share are each moved by a weight of its own."""

    learns_variance = True

    def __init__(self, path=PATH):
        super().__init__()
        self.path, self.exact = path, gaussian(path)
        self.mean = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.share = nn.Parameter(torch.tensor(0.4, dtype=torch.float64))

    def forward(self, x, t, condition=None):
        level = self.path.at(t, like=x)
        gain = level.alpha * 0.25 / (0.25 * level.alpha**2 + level.sigma**2)
        x0 = self.mean + gain * (x - level.alpha * self.mean)
        found = Prediction.solve("x0", x0, x, level)
        return replace(found, variance_fraction=self.share * torch.sigmoid(x))


def generator():
    return torch.Generator().manual_seed(2)


def test_the_variance_has_the_gradient_of_the_bound_and_the_mean_that_of_simple():
    """Nichol & Dhariwal 2021, section 3.1: the mean is fixed in L_vlb."""
    predict, hybrid = Biased(), Hybrid(steps=6)
    truth = hybrid.draw(predict, X0, generator())
    prediction = predict(truth.x_t, truth.level)

    mean, share = torch.autograd.grad(
        hybrid.vlb(prediction, truth).sum(), (predict.mean, predict.share), allow_unused=True
    )
    assert mean is None and share != 0

    total = hybrid(predict, X0, None, generator())
    of_total = torch.autograd.grad(total.sum(), (predict.mean, predict.share))
    simple = denoising_loss(predict, truth, simple_weight) / 2
    (of_simple,) = torch.autograd.grad(simple.sum(), (predict.mean,))
    torch.testing.assert_close(of_total[0], of_simple, rtol=1e-12, atol=0)
    torch.testing.assert_close(of_total[1], 1e-3 * share, rtol=1e-12, atol=0)


def test_it_is_simple_and_a_thousandth_of_t_divergences_in_bits():
    """The divergence by the two Gaussians, the error by eps."""
    predict, hybrid = Biased(), Hybrid(steps=6)
    truth = hybrid.draw(predict, X0, generator())
    s = PATH.at(truth.level.t.flatten() - 1 / 6, like=X0)
    prediction = predict(truth.x_t, truth.level)
    nats = posterior(truth, s).kl(reverse_step(prediction, s, "learned"))

    expected = (prediction.eps - truth.eps).square().mean(1) + 1e-3 * 6 * nats / 2 / math.log(2)
    found = hybrid(predict, X0, None, generator())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_over_all_steps_it_is_the_diffusion_term_of_the_bound():
    """Exact for a share and an error that do not depend on the noise: a shifted mean."""
    steps, x0 = 7, X0[:1]

    def predict(x, t, condition=None):
        level = PATH.at(t, like=x)
        eps = (x - level.alpha * x0) / level.sigma + 0.2
        share = torch.full_like(x, 0.3)
        return replace(Prediction.solve("eps", eps, x, level), variance_fraction=share)

    wrapped, hybrid = as_predict(predict, PATH), Hybrid(steps)
    each = hybrid.draw(wrapped, x0.expand(steps, -1), generator())
    assert sorted(each.level.t.flatten().mul(steps).round().tolist()) == [*range(1, steps + 1)]

    bits = hybrid.vlb(wrapped(each.x_t, each.level), each).mean()
    bound = variational_bound(wrapped, x0, Continuous(), draws=steps, steps=steps)
    torch.testing.assert_close(bits, bound.diffusion[0] / 2 / math.log(2), rtol=1e-10, atol=0)


def learned(target="v+variance", objective="hybrid:20", path=None):
    torch.manual_seed(0)
    network = MLPConfig(24, 1).build(SPEC.shape, None, outputs=2 * SPEC.shape[0])
    return VDM(Denoiser(network, path or PATH, target, 0.4), SPEC, objective)


def step_bound(model, raw, variance):
    return variational_bound(
        model.denoiser, SPEC.encode(raw), model.decoder, steps=20, draws=20, variance=variance
    ).total


def test_after_training_the_bound_is_above_both_others_and_every_solver_works():
    """N(m, s^2 I), whose best variance lies between the two; the hierarchy has its steps too."""
    model = learned()
    raw = 1.3 + 0.8 * torch.randn(200, 2, generator=generator())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    source = generator()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss((raw, None), source).mean().backward()
        optimizer.step()

    bounds = {
        name: step_bound(model, raw, name).mean().item()
        for name in ("posterior", "large", "learned")
    }
    assert bounds["learned"] > max(bounds["posterior"], bounds["large"])
    default = model.bound(raw, steps=20, draws=20).total.mean().item()
    assert default == bounds["learned"]

    for solver in ("ddpm_learned", "ddpm", "auto"):
        sampler = Sampler(solver, steps=20, spacing="time")
        x = model.sample(range(200), sampler=sampler)
        assert (x.mean(0) - 1.3).abs().max() < 0.5 and (x.std(0) - 0.8).abs().max() < 0.3

    for name in ("posterior", "learned"):
        gap = model.log_weights(raw, steps=20, draws=4, seeds=range(200)).mean(0)
        gap = gap - step_bound(model, raw, name)
        off = (gap.mean() / gap.std() * math.sqrt(len(gap))).abs()
        assert (off < 4) == (name == "learned")


def test_an_item_alone_has_the_loss_that_it_has_in_a_batch():
    predict, hybrid = Biased(), Hybrid(6)
    truth = hybrid.draw(predict, X0, generator())
    together = hybrid.vlb(predict(truth.x_t, truth.level), truth)
    level = PATH.at(truth.level.t.flatten()[3:4], like=X0[3:4])
    alone = Prediction.of(truth.x0[3:4], truth.eps[3:4], level)
    torch.testing.assert_close(
        hybrid.vlb(predict(alone.x_t, level), alone), together[3:4], rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("objective", ["hybrid", "hybrid:20"])
@pytest.mark.parametrize("target", ["v+variance", "edm+variance"])
def test_a_config_builds_it_and_a_model_has_its_config(target, objective):
    config = DiffusionConfig(
        MLPConfig(8, 1), PathConfig("linear", 8.0, -5.0), target, 0.4, objective
    )
    model = config.build(SPEC)
    assert isinstance(model.denoiser.target, LearnedVariance)
    assert model.denoiser.target.name == ("edm:0.4+variance" if "edm" in target else target)
    assert config_of(model) == config
    assert from_json(json.loads(json.dumps(to_json(config)))) == config
    assert model.denoiser(torch.zeros(3, 2), 0.5).variance_fraction.shape == (3, 2)


def test_what_does_not_fit_is_refused_with_the_remedy():
    plain = Denoiser(MLPConfig(8, 1).build((2,)), PATH, "v")
    with pytest.raises(ValueError, match=r"use a target with a variance, .*'v\+variance'"):
        VDM(plain, SPEC, "hybrid")
    with pytest.raises(ValueError, match="target with a variance"):
        VDM(Energy(MLPConfig(8, 1).build((2,)), PATH), SPEC, "hybrid")
    for other in ("elbo", "simple", "min_snr:5", WeightedDenoising("p2")):
        with pytest.raises(ValueError, match="untrained; use objective='hybrid'"):
            learned(objective=other)
    with pytest.raises(ValueError, match="a bound needs finite ends"):
        learned(path=Path(Cosine(math.inf, -math.inf)))
    with pytest.raises(ValueError, match="T, the number of steps, a whole number"):
        objective_named("hybrid:2.5")
    with pytest.raises(ValueError, match="weight=0"):
        Hybrid(weight=0)
