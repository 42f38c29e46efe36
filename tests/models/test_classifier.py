"""Classifiers of noisy data: the loss, the Bayes posterior, and what they refuse."""

import math
from dataclasses import replace

import pytest
import torch

from allegory import Mixture
from allegory.conditions import Numbers
from allegory.data import DataSpec
from allegory.guidance import ClassifierGuidance
from allegory.models import Classifier, Denoiser
from allegory.models.base import CanClassify, HasTrajectory, Model, has_bound
from allegory.networks import DiTConfig, EncoderConfig, MLPConfig, UNetConfig
from allegory.process import LinearLogSNR, Path
from allegory.recipes import ClassifierConfig, PathConfig

PICTURES = DataSpec((1, 8, 8), 0.0, 16.0, levels=17, classes=3)
LINE = DataSpec((1,), -1.0, 1.0, classes=2)
PATH = Path(LinearLogSNR(6, -5))


def perturbed(model):
    """The same model with every weight moved: a new network of this library returns 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def pictured():
    network = EncoderConfig(8, (1, 2), 1, dropout=0.3)
    return perturbed(ClassifierConfig(network, data_std=0.7).build(PICTURES))


def test_a_new_classifier_knows_nothing():
    model = ClassifierConfig(EncoderConfig(8, (1, 2), 1), data_std=0.7).build(PICTURES)
    raw, labels = torch.randint(17, (6, 1, 8, 8)), torch.arange(6) % 3
    losses = model.loss((raw, labels), torch.Generator())
    torch.testing.assert_close(losses, torch.full((6,), math.log(3)))
    assert isinstance(model, Model) and isinstance(model, CanClassify)
    assert not isinstance(model, HasTrajectory) and not has_bound(model)


def test_the_loss_is_the_cross_entropy_at_the_drawn_times():
    from allegory.objectives.draws import draw_noised

    model = pictured().eval()
    raw, labels = torch.randint(17, (6, 1, 8, 8)), torch.arange(6) % 3
    losses = model.loss((raw, labels), torch.Generator().manual_seed(3))
    noised = draw_noised(model.path, PICTURES.encode(raw), torch.Generator().manual_seed(3))
    log_prob = model.class_log_prob(noised.x_t, noised.level)
    torch.testing.assert_close(log_prob.exp().sum(1), torch.ones(6))
    torch.testing.assert_close(losses, -log_prob[torch.arange(6), labels])


def test_an_item_is_its_own_and_the_mode_is_kept():
    model = pictured().train()
    x, t = torch.randn(5, 1, 8, 8), torch.linspace(0.05, 0.95, 5)
    many = model.class_log_prob(x, t)
    for i in range(5):
        alone = model.class_log_prob(x[i : i + 1], t[i : i + 1])
        torch.testing.assert_close(alone[0], many[i], rtol=1e-5, atol=1e-6)
    assert model.training and torch.equal(many, model.class_log_prob(x, t))


@pytest.mark.slow
def test_it_learns_the_bayes_posterior_of_two_gaussians():
    """Two classes at -0.6 and 0.6 with standard deviation 0.3 and weights 0.75 and 0.25.

    The cross-entropy exceeds that of the posterior by the mean of KL(posterior || classifier), for
    probabilities p and q of a class at least 2 (p - q)^2 by Pinsker's inequality. Its mean over
    times and states is below 2e-3, so that the mean square of p - q is below 1e-3.
    """
    means = torch.tensor([[-0.6], [0.6]])
    weights, labels = torch.tensor([0.75, 0.25]), torch.tensor([0, 1])
    oracle = Mixture(means, 0.3, path=PATH, weights=weights, labels=labels)
    model = ClassifierConfig(MLPConfig(32, 2), PathConfig("linear", 6.0, -5.0), data_std=0.6).build(
        LINE
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    draws = torch.Generator().manual_seed(0)
    for _ in range(600):
        y = (torch.rand(512, generator=draws) < 0.25).long()
        x = means[y] + 0.3 * torch.randn(512, 1, generator=draws)
        optimizer.zero_grad()
        model.loss((x, y), draws).mean().backward()
        optimizer.step()
        schedule.step()

    t = torch.linspace(0, 1, 4000)
    x_t = PATH.at(t, like=torch.zeros(4000, 1)).mix(
        oracle.sample(range(4000)), torch.randn(4000, 1)
    )
    with torch.no_grad():
        found, exact = model.class_log_prob(x_t, t), oracle.class_log_prob(x_t, t)
    excess = (exact.exp() * (exact - found)).sum(1)
    assert excess.mean() < 2e-3
    assert (exact.exp() - found.exp())[:, 1].square().mean() < 1e-3


@pytest.mark.parametrize("network", [MLPConfig(8, 1), EncoderConfig(8, (1, 2), 1)])
def test_networks_with_a_number_per_class(network):
    model = ClassifierConfig(network, data_std=0.7).build(PICTURES)
    assert model.class_log_prob(torch.randn(2, 1, 8, 8), 0.5).shape == (2, 3)


def test_what_does_not_fit_is_refused():
    for network in (UNetConfig(8, (1, 1), 1), DiTConfig(2, 8, 1, 1)):
        with pytest.raises(ValueError, match="a classifier takes an EncoderConfig"):
            ClassifierConfig(network, data_std=0.7).build(PICTURES)
    with pytest.raises(
        ValueError, match=r"takes images, and these items have shape \(1,\); give an MLP"
    ):
        ClassifierConfig(EncoderConfig(8, (1, 2), 1), data_std=0.7).build(LINE)
    with pytest.raises(ValueError, match="data_std=None"):
        ClassifierConfig().build(PICTURES)
    for classes, said in ((None, "no classes"), (1, "1 classes")):
        with pytest.raises(ValueError, match=said):
            Classifier(torch.nn.Identity(), PATH, DataSpec((2,), -1.0, 1.0, classes=classes))
    with pytest.raises(ValueError, match="needs data with the class alone"):
        Classifier(torch.nn.Identity(), PATH, replace(LINE, condition=Numbers(1)))
    with pytest.raises(ValueError, match="data_std=nan"):
        Classifier(torch.nn.Identity(), PATH, LINE, math.nan)
    with pytest.raises(ValueError, match="one number per item and class"):
        Classifier(MLPConfig(8, 1).build((1,)), PATH, LINE).class_log_prob(torch.zeros(2, 1), 0.5)
    with pytest.raises(ValueError, match="a classifier needs the class"):
        pictured().loss((torch.zeros(2, 1, 8, 8), None), torch.Generator())
    with pytest.raises(ValueError, match="makes no samples; use it to guide"):
        pictured().sample(range(2))
    with pytest.raises(ValueError, match="channels=0"):
        EncoderConfig(0)


def test_an_encoder_has_the_gradient_that_finite_differences_have():
    model = pictured().double()
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    step = torch.randn_like(x)
    base = Denoiser(MLPConfig(8, 1).build((1, 8, 8)).double(), model.path, "eps")
    free = base(x, 0.5)
    guided = ClassifierGuidance(model)(base)(x, 0.5, torch.tensor([2]))
    level = model.path.at(0.5, like=x)
    ends = [model.class_log_prob(x + h * step, 0.5)[0, 2] for h in (1e-5, -1e-5)]
    slope = (guided.view("score") - free.view("score")) * step
    torch.testing.assert_close(slope.sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(guided.eps - free.eps, -level.sigma * slope / step)
