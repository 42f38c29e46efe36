"""ContrastiveEnergy energies: on Gaussians, whose density and whose maximum-likelihood gradient are
known.
"""

import math

import pytest
import torch
from torch import nn

from allegory.data import DataSpec
from allegory.models.contrastive import ContrastiveConfig, ContrastiveEnergy
from allegory.networks import MLPConfig
from allegory.sampling.mcmc.langevin import Hamiltonian

PLANE = DataSpec((2,), low=-4.0, high=4.0)
METHODS = ("cd", "pcd", "nce")


class Quadratic(nn.Module):
    """phi(u) = a |u|^2/2 - <b, u>, so that p is a Gaussian of precision 1 + a about b/(1 + a), in
    units of s.
    """

    def __init__(self, a: float = 0.0) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.zeros(2))

    def forward(self, u: torch.Tensor, log_snr: torch.Tensor, condition: None) -> torch.Tensor:
        return self.a * u.square().sum(1) / 2 - u @ self.b


def test_noise_contrast_finds_the_normalised_density() -> None:
    """Logistic regression on (|u|^2/2, u, 1): log p lies within five standard errors of the truth
    at every point.

    Those of the minimum of a mean loss are the diagonal of g^T H^-1 V H^-1 g/n, H its second
    derivative, V the variance of the slopes of its items, g the slope of log p(x).
    """
    n, mean, std, s = 20_000, torch.tensor([0.2, -0.1]), 0.3, 0.8
    x = mean + std * torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    model = ContrastiveEnergy(Quadratic(), PLANE, ContrastiveConfig(reference_std=s))
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-7
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        draws = torch.Generator().manual_seed(1)  # the same noise each time
        loss = model.loss((PLANE.decode(x), None), draws).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    noise = s * torch.randn(n, 2, generator=torch.Generator().manual_seed(1))

    def slopes(v: torch.Tensor) -> torch.Tensor:
        u = v.detach().double() / s
        return torch.cat([-u.square().sum(1, keepdim=True) / 2, u, u.new_ones(len(u), 1)], 1)

    theta = torch.cat(
        [
            each.detach().reshape(-1)
            for each in (model.network.a, model.network.b, model.log_constant)
        ]
    )
    data, other = slopes(x), slopes(noise)
    p_data, p_other = (
        torch.sigmoid(data @ theta.double())[:, None],
        torch.sigmoid(other @ theta.double())[:, None],
    )
    H = ((p_data * (1 - p_data) * data).T @ data + (p_other * (1 - p_other) * other).T @ other) / n
    V = (torch.cov(((1 - p_data) * data).T) + torch.cov((p_other * other).T)) / n
    at = mean + std * torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    error = ((slopes(at) @ H.inverse() @ V @ H.inverse()) * slopes(at)).sum(1).sqrt()
    truth = (
        -(at - mean).square().sum(1) / (2 * std**2) - math.log(math.tau * std**2) + PLANE.log_scale
    )
    found = model.log_density(PLANE.decode(at)).detach()
    assert ((found - truth).abs() < 5 * error + 1e-4).all()  # where the descent ends in float32
    assert error.max() < 0.15  # so that the test can fail


@pytest.mark.parametrize("method", ["cd", "pcd"])
def test_converged_chains_give_the_gradient_of_maximum_likelihood(method: str) -> None:
    """In a: the mean of |u|^2/2 over data, less 2/(2 (1 + a)), for chains as long as many times
    what they forget in.
    """
    torch.manual_seed(0)
    n, a = 4000, 3.0
    x = 0.4 * torch.randn(n, 2) + 0.5
    kernel = Hamiltonian(0.3, leapfrogs=4)
    config = ContrastiveConfig(method, kernel=kernel, steps=30, chains=n)
    model = ContrastiveEnergy(Quadratic(a), PLANE, config)
    loss = model.loss((PLANE.decode(x), None), torch.Generator().manual_seed(0)).mean()
    (found,) = torch.autograd.grad(loss, model.network.a)
    exact = x.square().sum(1).mean() / 2 - 1 / (1 + a)
    # |x'|^2/2 of a chain has deviation 1/(1 + a) = 0.25; the gradient itself is far from 0.
    assert abs(found - exact) < 5 * 0.25 / math.sqrt(n)
    assert abs(exact) > 2 * 5 * 0.25 / math.sqrt(n)


def test_samples_are_those_of_the_energy() -> None:
    model = ContrastiveEnergy(
        Quadratic(3.0), PLANE, ContrastiveConfig(kernel=Hamiltonian(0.3, leapfrogs=4))
    )
    x = PLANE.encode(model.sample(range(2000), sampler=30))
    # Precision 4: a variance of 1/4 per number, whose estimate from 4000 numbers has deviation
    # sqrt(2/4000)/4.
    assert abs(x.square().mean() - 0.25) < 5 * math.sqrt(2 / 4000) / 4
    alone = PLANE.encode(model.sample([7], sampler=3))
    assert torch.allclose(alone[0], PLANE.encode(model.sample(range(9), sampler=3))[7], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_of_one_output_is_trained(method: str) -> None:
    torch.manual_seed(0)
    network = MLPConfig(width=8, depth=1).build((2,), None, outputs=1)
    model = ContrastiveEnergy(network, PLANE, ContrastiveConfig(method, steps=2, chains=32))
    before = None if model.replay is None else model.replay.chains.clone()
    loss = model.loss((torch.randn(16, 2), None), torch.Generator())
    loss.mean().backward()
    assert loss.shape == (16,) and network.head.weight.grad.abs().sum() > 0
    assert (model.log_constant.grad is not None) == (method == "nce")
    assert before is None or (model.replay.chains != before).any(1).sum() <= 16


def test_networks_and_numbers_that_do_not_fit_are_refused() -> None:
    network = MLPConfig(width=8, depth=1).build((2,))
    with pytest.raises(ValueError, match="did you mean 'nce'"):
        ContrastiveConfig("nec")
    with pytest.raises(ValueError, match="give a positive number"):
        ContrastiveConfig(reference_std=0.0)
    with pytest.raises(ValueError, match="at least 1 step"):
        ContrastiveConfig("cd", steps=0)
    with pytest.raises(ValueError, match="at least 1 chain"):
        ContrastiveEnergy(network, PLANE, ContrastiveConfig("pcd", chains=0))
    with pytest.raises(ValueError, match="one number per item"):
        ContrastiveEnergy(network, PLANE).energy(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="make the buffer larger"):
        ContrastiveEnergy(Quadratic(), PLANE, ContrastiveConfig("pcd", chains=4)).loss(
            (torch.zeros(5, 2), None), torch.Generator()
        )


def test_chains_that_never_move_are_reported() -> None:
    """A step far too long: every negative would be where it began, and the loss mean nothing."""
    config = ContrastiveConfig("cd", kernel=Hamiltonian(200.0, 3), steps=2)
    model = ContrastiveEnergy(MLPConfig(8, 1).build((2,), outputs=1), PLANE, config)
    with pytest.warns(RuntimeWarning, match="every proposal was rejected"):
        model.loss((torch.randn(16, 2), None), torch.Generator())
