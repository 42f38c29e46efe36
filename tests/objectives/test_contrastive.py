"""ContrastiveEnergy losses: their gradients against those of maximum likelihood, and the chains
that they remember.
"""

import math

import pytest
import torch

from allegory.objectives.contrastive import (
    Replay,
    contrastive_divergence,
    method_named,
    noise_contrastive,
)

N = 100_000


def _zeros(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.zeros(count)


def test_exact_negatives_give_the_gradient_of_maximum_likelihood() -> None:
    """E = k (x - m)^2/2: the gradient of -log p is ((x - m)^2 - 1/k)/2 in k and k (m - x) in m, on
    average over data.
    """
    torch.manual_seed(0)
    k, m = torch.tensor(4.0, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    k.requires_grad_(), m.requires_grad_()
    x = 1.5 * torch.randn(N, 1, dtype=torch.float64) + 1.0
    negatives = 0.3 + torch.randn_like(x) / 2
    loss = contrastive_divergence(lambda v: k * (v[:, 0] - m).square() / 2, x, negatives)
    found = torch.autograd.grad(loss.mean(), (k, m))
    squares, places = (x - 0.3).square().mean() - 1 / 4, 4 * (0.3 - x.mean())
    # What is left is the noise of the negatives alone: (x' - m)^2/2 has deviation sqrt(2)/(2 k),
    # k (x' - m) has sqrt(k).
    assert abs(found[0] - squares / 2) < 5 * math.sqrt(2) / (2 * 4) / math.sqrt(N)
    assert abs(found[1] - places) < 5 * math.sqrt(4) / math.sqrt(N)


def test_negatives_are_held_fixed() -> None:
    x, negatives = torch.randn(3, 2), torch.randn(3, 2, requires_grad=True)
    scale = torch.ones((), requires_grad=True)
    contrastive_divergence(lambda v: scale * v.square().sum(1), x, negatives).sum().backward()
    assert negatives.grad is None and scale.grad is not None


def test_the_decay_is_of_both_energies() -> None:
    x, negatives = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [0.0]])
    found = contrastive_divergence(lambda v: v[:, 0], x, negatives, decay=0.1)
    assert torch.allclose(found, torch.tensor([1.0 - 3.0 + 0.1 * 10, 2.0 + 0.1 * 4]))


@pytest.mark.parametrize("noises", [1, 3])
def test_noise_contrast_is_least_at_the_density(noises: int) -> None:
    """The slope of the expected loss in r(x) is 0 at r = log p - log q, at every x, however many
    noises a datum.

    Of one datum and `noises` noises it is p(x) dL_data/dr + noises q(x) dL_noise/dr.
    """
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    log_p = -(x - 0.5).square() / (2 * 0.49) - math.log(0.7)
    log_q = -x.square() / (2 * 4) - math.log(2.0)
    r = (log_p - log_q).requires_grad_()
    data, noise = noise_contrastive(r, r.repeat(noises))
    mean = (log_p.exp() * data).sum() + (log_q.exp().repeat(noises) * noise).sum()
    (slope,) = torch.autograd.grad(mean, r)
    assert slope.abs().max() < 1e-14
    data, noise = noise_contrastive(r + 0.1, r.repeat(noises) + 0.1)
    worse = (log_p.exp() * data).sum() + (log_q.exp().repeat(noises) * noise).sum()
    assert worse > mean + 1e-4


def test_chains_are_drawn_once_and_come_back() -> None:
    replay = Replay(lambda count, generator: torch.full((count, 2), -1.0), size=50, fresh=0.0)
    generator = torch.Generator()
    replay.chains = torch.arange(100.0).reshape(50, 2)
    drawn = replay.draw(20, generator)
    assert len(drawn[:, 0].unique()) == 20
    replay.put(drawn + 1000)
    moved = replay.chains[:, 0] >= 1000
    assert moved.sum() == 20
    assert torch.equal(replay.chains[moved][:, 0].sort().values, (drawn[:, 0] + 1000).sort().values)
    assert torch.equal(replay.chains[~moved], torch.arange(100.0).reshape(50, 2)[~moved])
    assert len(replay.draw(50, generator)[:, 0].unique()) == 50


def test_a_fraction_starts_anew() -> None:
    torch.manual_seed(0)
    replay = Replay(_zeros, size=20_000, fresh=0.05)
    replay.chains = torch.ones(20_000)
    new = int((replay.draw(20_000, torch.Generator()) == 0).sum())
    assert abs(new - 1000) < 5 * math.sqrt(20_000 * 0.05 * 0.95)  # a binomial count
    assert (replay.chains == 1).all()  # until they are put back


def test_negatives_and_buffers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'pcd'"):
        method_named("pdc")
    with pytest.raises(ValueError, match="give one an item"):
        contrastive_divergence(lambda v: v.sum(1), torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="at least 1 chain"):
        Replay(_zeros, size=0)
    with pytest.raises(ValueError, match="a fraction from 0 to 1"):
        Replay(_zeros, fresh=1.5)
    replay = Replay(lambda count, generator: torch.zeros(count, 2), size=4)
    with pytest.raises(ValueError, match="make the buffer larger"):
        replay.draw(5, torch.Generator())
    replay.draw(3, torch.Generator())
    with pytest.raises(ValueError, match="give one for each"):
        replay.put(torch.zeros(2, 2))
