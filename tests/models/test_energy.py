"""Energies: the score is a gradient, twice differentiable, and every loss, sampler and likelihood
takes one.
"""

import math

import pytest
import torch
from torch import nn

from allegory import VDM, Denoiser, Mixture, Path, Prediction, grid, initial_noise, sample
from allegory.data import load
from allegory.likelihood import flow_log_prob, variational_bound
from allegory.likelihood.decoder import Continuous
from allegory.models import Energy
from allegory.networks import DiTConfig, MLPConfig, PotentialConfig, UNetConfig
from allegory.objectives import (
    WEIGHTS,
    denoising_loss,
    exact_score_matching,
    random_signs,
    score_at,
    sliced_score_matching,
    weight_named,
)
from allegory.process import LinearLogSNR
from allegory.sampling import SOLVERS

PATH = Path(LinearLogSNR(6, -5), "vp")
X = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Bent(nn.Module):
    """A smooth network whose Jacobian is not symmetric."""

    def __init__(self, scalar=False):
        super().__init__()
        self.first, self.last = (
            nn.Linear(3, 16).double(),
            nn.Linear(16, 1 if scalar else 2).double(),
        )

    def forward(self, u, log_snr, condition=None):
        return self.last(torch.tanh(self.first(torch.cat([u, log_snr[:, None] / 5], 1))))


def energies(scaling="vp"):
    torch.manual_seed(0)
    path = PATH if scaling == "vp" else Path(LinearLogSNR(6, -5), scaling)
    return Energy(Bent(), path, 0.6), Energy(Bent(scalar=True), path, 0.6, form="scalar")


@pytest.mark.parametrize("scaling", ["vp", "sub_vp", "flow", "ve"])
def test_the_score_is_minus_the_gradient_of_the_energy(scaling):
    for energy in energies(scaling):
        for t in (0.0, 0.4, 1.0, torch.linspace(0.1, 0.9, 5).double()):
            x = X.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(energy.energy(x, t).sum(), x)
            torch.testing.assert_close(energy(X, t).view("score"), -gradient)
            torch.testing.assert_close(energy.log_density(X, t), -energy.energy(X, t))


def test_the_score_of_an_energy_has_no_curl_and_that_of_a_denoiser_has_one():
    def curl_of(predict):
        x = X[:1].clone().requires_grad_()
        s = predict(x, 0.4).view("score")
        targets = [torch.autograd.grad(s[0, i], x, retain_graph=True)[0][0] for i in range(2)]
        return (targets[0][1] - targets[1][0]).abs().item()

    for energy in energies():
        assert curl_of(energy) < 1e-12
    assert curl_of(Denoiser(energies()[0].network, PATH, "edm", 0.6)) > 1e-3


def test_a_new_energy_is_that_of_gaussian_data():
    """phi = 0: the energy of N(0, s^2 I), up to its constant, on every level."""
    network = MLPConfig(width=8, depth=1).build((2,))
    energy, oracle = Energy(network, PATH, 0.6), Mixture(torch.zeros(1, 2), 0.6, path=PATH)
    x = X.float()
    for t in (0.0, 0.5, 1.0):
        torch.testing.assert_close(energy(x, t).x0, oracle(x, t).x0)
        gap = energy.energy(x, t) - oracle.energy(x, t)
        torch.testing.assert_close(gap, gap[:1].expand(5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weight", list(WEIGHTS))
def test_every_loss_reaches_the_weights(weight):
    """The loss's gradient by double backward against finite differences, in one direction."""
    energy = energies()[0]
    x0, eps, t = X, torch.randn_like(X), torch.linspace(0.1, 0.9, 5).double()

    def loss():
        return denoising_loss(
            energy, Prediction.of(x0, eps, PATH.at(t, like=x0)), weight_named(weight, 0.5)
        ).mean()

    _check_gradient(energy, loss)


def test_score_matching_trains_it_too():
    """Third derivatives of the network: exact and sliced."""
    energy = energies()[0]
    probes = random_signs(1, X, torch.Generator())
    score = score_at(energy, PATH.levels([0.4])[0])
    _check_gradient(energy, lambda: exact_score_matching(score, X).mean())
    _check_gradient(energy, lambda: sliced_score_matching(score, X, probes).mean())


def _check_gradient(energy, loss, h=1e-5):
    parameter = energy.network.first.weight
    (gradient,) = torch.autograd.grad(loss(), parameter)
    way = torch.randn_like(parameter)
    with torch.no_grad():
        parameter += h * way
        up = loss().item()
        parameter -= 2 * h * way
        down = loss().item()
        parameter += h * way
    assert (gradient * way).sum().item() == pytest.approx((up - down) / (2 * h), rel=1e-4)


@pytest.mark.parametrize(
    "solver", [name for name in SOLVERS if name not in ("ddpm_learned", "flow_map", "ncsn")]
)
def test_every_sampler_takes_an_energy(solver):
    energy, x = energies()[0], initial_noise(PATH, (2,), range(3)).double()
    end = sample(energy, x, grid(PATH, 3, "log_snr"), solver=solver, seeds=range(3))
    assert end.isfinite().all() and not end.requires_grad
    alone = sample(energy, x[1:2], grid(PATH, 3, "log_snr"), solver=solver, seeds=[1])
    torch.testing.assert_close(alone[0], end[1])


def test_correctors_that_weigh_take_an_energy_and_all_grad_modes_agree():
    energy, x = energies()[0], initial_noise(PATH, (2,), range(3)).double()
    levels = grid(PATH, 4, "log_snr")
    plain = sample(energy, x, levels, solver="ddim+hmc:0.3", seeds=range(3))
    kept = sample(energy, x, levels, solver="ddim+hmc:0.3", seeds=range(3), grad=True)
    torch.testing.assert_close(kept, plain)
    with torch.inference_mode():
        inside = energy(X, 0.4)
    torch.testing.assert_close(inside.x0.clone(), energy(X, 0.4).x0)
    with torch.no_grad():
        assert not energy(X, 0.4).x0.requires_grad


def test_the_score_itself_is_differentiated_with_respect_to_the_state():
    """What a divergence and a gradient through a sampler need: against finite differences."""
    energy, x, way, h = energies()[0], X.clone().requires_grad_(), torch.randn_like(X), 1e-5
    (gradient,) = torch.autograd.grad(energy(x, 0.4).view("score").sum(), x)
    up, down = (energy(X + sign * h * way, 0.4).view("score").sum().item() for sign in (1, -1))
    assert (gradient * way).sum().item() == pytest.approx((up - down) / (2 * h), rel=1e-5)


def test_likelihoods_take_an_energy():
    """The flow's trace differentiates the score again; phi = 0 is the Gaussian itself, whose log p
    is known.
    """
    network = MLPConfig(width=8, depth=1).build((2,))
    energy, oracle = Energy(network, PATH, 0.6), Mixture(torch.zeros(1, 2), 0.6, path=PATH)
    x = 0.6 * X.float()
    flows = [flow_log_prob(predict, x).log_prob for predict in (energy, oracle)]
    torch.testing.assert_close(*flows, atol=1e-3, rtol=0)
    bound = variational_bound(energy, x, Continuous(), draws=64)
    exact = variational_bound(oracle, x, Continuous(), draws=64)
    torch.testing.assert_close(bound.total, exact.total, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (MLPConfig(width=16, depth=1), (2,)),
        (
            UNetConfig(channels=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0),
            (1, 8, 8),
        ),
        (DiTConfig(width=16, depth=1, heads=2, patch=4), (1, 8, 8)),
    ],
)
def test_every_network_is_an_energy_in_training(config, shape):
    """Norms and attention twice differentiated: a VDM's loss falls along its own gradient."""
    torch.manual_seed(0)
    energy = Energy(config.build(shape), PATH, 0.5)
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter += 0.02 * torch.randn_like(parameter)  # a new network's head is zero
    x0, eps, t = (
        0.5 * torch.randn(6, *shape),
        torch.randn(6, *shape),
        torch.linspace(0.1, 0.9, 6).double(),
    )

    def loss():
        return denoising_loss(
            energy, Prediction.of(x0, eps, PATH.at(t, like=x0)), WEIGHTS["simple"]
        ).mean()

    before = loss()
    before.backward()
    size = sum(p.grad.square().sum() for p in energy.parameters() if p.grad is not None)
    with torch.no_grad():
        for parameter in energy.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * before / size * parameter.grad
    assert loss().item() == pytest.approx(before.item() * (1 - 1e-3), rel=2e-4)


def test_a_vdm_learns_an_energy():
    """120 steps on eight Gaussians: the error falls by a tenth from that of one Gaussian, where it
    begins.
    """
    data = load("eight_gaussians")
    energy = Energy(MLPConfig(width=64, depth=2).build((2,)), Path(LinearLogSNR(8, -5)), 0.45)
    model = VDM(energy, data.spec, objective="simple")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    draws = torch.Generator()
    for i in range(120):
        loss = model.loss(
            (data.train.x[torch.arange(i * 256, (i + 1) * 256) % len(data.train)], None), draws
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20]), (losses[:20], losses[-20:])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="data_std=0"):
        Energy(Bent(), PATH, 0.0)
    with pytest.raises(ValueError, match="did you mean 'scalar'"):
        Energy(Bent(), PATH, form="scalr")
    with pytest.raises(
        ValueError, match=r"shape \(5, 2\), which form='scalar' makes no energy of; give \(5,\)"
    ):
        Energy(Bent(), PATH, form="scalar").energy(X, 0.5)
    with pytest.raises(ValueError, match="like x, or form='scalar'"):
        Energy(Bent(scalar=True), PATH)(X, 0.5)
    with pytest.raises(ValueError, match="clean data"):
        energies()[0].energy(X, PATH.clean)
    assert math.isfinite(energies()[0].energy(X, 0.0).sum().item())


@pytest.mark.thorough
def test_a_vdm_of_dual_weight_learns_the_constant():
    """Data N(0, 0.2^2 I) under data_std = 0.6: after 300 steps log p at t = 0 is right to 0.15
    nats, constant included.
    """
    path = Path(LinearLogSNR(6, -4))
    data = load("eight_gaussians").spec
    energy = Energy(PotentialConfig(32, 1).build((2,)), path, 0.6, form="scalar")
    model = VDM(energy, data, objective="dual")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    draws = torch.Generator()
    for i in range(300):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - i / 300)
        loss = model.loss((data.decode(0.2 * torch.randn(512, 2)), None), draws).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    oracle, x = Mixture(torch.zeros(1, 2), 0.2, path=path), 0.2 * torch.randn(1000, 2)
    gap = energy.log_density(x, 0.0) - oracle.log_prob(x, 0.0)
    assert abs(gap.mean().item()) < 0.15 and gap.std().item() < 0.15


def test_the_dual_weight_needs_an_energy():
    data = load("eight_gaussians").spec
    with pytest.raises(ValueError, match="use an Energy"):
        VDM(Denoiser(MLPConfig(8, 1).build((2,)), PATH), data, objective="dual")
