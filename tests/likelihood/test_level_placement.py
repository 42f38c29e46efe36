"""Levels that cost least: the cost of a step against the divergence itself, the search against all
there is to try.
"""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from allegory import Mixture, Path, Prediction
from allegory.likelihood import Discretised
from allegory.likelihood.level_placement import (
    NODES,
    ChainCosts,
    MeanOnly,
    Moments,
    chain_costs,
    node_levels,
)
from allegory.process import Gaussian, LinearLogSNR, posterior

PATH = Path(LinearLogSNR(5, -4))
VALUES = torch.linspace(-1, 1, 5)


def oracle():
    return Mixture(torch.tensor([[0.5, -0.5], [-1.0, 0.5]]), 0.3, path=PATH)


def unread():
    raise AssertionError("nobody asks for p(x | z)")


@pytest.mark.parametrize("variance", [0.0, 0.2])
def test_the_cost_of_a_step_is_its_divergence(variance):
    """KL(q(z_s | z_t, x) || p(z_s | z_t)) in closed form, for a prediction with and without a
    variance.
    """
    s, t = node_levels(PATH, (20, 70))
    x0, eps = torch.randn(6, 2).double(), torch.randn(6, 2).double()
    z = t.mix(x0, eps)
    prediction = Prediction.solve("x0", 0.5 * x0, z, t)
    moments = Moments(prediction, variance and torch.full((6, 2), variance).double(), unread)
    exact = posterior(Prediction.solve("x0", x0, z, t), s).kl(moments.posterior(s))
    torch.testing.assert_close(
        moments.costs(
            x0, torch.tensor([s.log_snr, t.log_snr], dtype=torch.float64).exp().diff().neg()
        )[0],
        exact,
        rtol=1e-9,
        atol=1e-9,
    )


def test_a_posterior_over_a_prediction_has_its_moments():
    """x0 ~ N(m, v) by quadrature: mean and variance of q(z_s | z_t, x0) averaged over x0."""
    s, t = node_levels(PATH, (20, 70))
    mean, variance, z = torch.tensor([[0.3]]).double(), 0.4, torch.tensor([[0.7]]).double()
    points = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    chance = Gaussian(mean, variance**0.5).log_prob(points).softmax(0)[:, None]
    q = posterior(Prediction.solve("x0", points, z.expand(4001, 1), t), s)
    first = (chance * q.mean).sum()
    second = (chance * (q.mean - first).square()).sum() + q.std**2
    found = Moments(
        Prediction.solve("x0", mean, z, t), torch.tensor(variance).double(), unread
    ).posterior(s)
    torch.testing.assert_close(found.mean.squeeze(), first, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.as_tensor(found.std).square(), second, rtol=1e-6, atol=0)


def test_the_search_finds_the_best_of_all():
    rng = np.random.default_rng(0)
    decoded, stopped = rng.random(8), rng.random(8)
    steps = np.where(np.triu(np.ones((8, 8)), 1) > 0, rng.random((8, 8)), np.inf)
    for count, (cost, nodes) in enumerate(
        ChainCosts(decoded, steps, stopped).best_nodes(7), start=1
    ):
        every = {
            chosen: decoded[chosen[0]]
            + stopped[chosen[-1]]
            + sum(steps[a, b] for a, b in pairwise(chosen))
            for chosen in combinations(range(8), count + 1)
        }  # fmt: skip
        assert nodes == min(every, key=every.get)
        assert cost == pytest.approx(every[nodes])
    with pytest.raises(ValueError, match="give 1 to 7"):
        ChainCosts(decoded, steps, stopped).best_nodes(8)


def test_a_profile_adds_up_to_the_bound():
    """Every node in turn: the cost that is predicted is the mean bound of the chain, here by
    another draw.
    """
    x0 = VALUES[torch.randint(0, 5, (400, 2))]
    decoder, predict = Discretised(VALUES), oracle()
    found = chain_costs(MeanOnly(predict, decoder), x0, seeds=range(3, 3 + len(x0)))
    for steps in (2, 6):
        cost, nodes = found.best_nodes(steps)[-1]
        levels = node_levels(PATH, nodes)
        z = {level.t: level.mix(x0, torch.randn_like(x0)) for level in levels}
        other = -decoder.observe(z[levels[0].t], levels[0]).log_prob(x0)
        other = other + Gaussian(levels[-1].alpha * x0, levels[-1].sigma).kl(
            Gaussian(torch.zeros_like(x0), 1.0)
        )
        for s, t in pairwise(levels):
            truth = posterior(Prediction.solve("x0", x0, z[t.t], t), s)
            other = other + truth.kl(posterior(predict(z[t.t], t), s))
        error = other.std().item() / 20
        assert abs(cost - other.mean().item()) < 4 * error * 2**0.5


def test_placed_levels_cost_less_than_even_ones():
    x0 = VALUES[torch.randint(0, 5, (100, 2))]
    found = chain_costs(MeanOnly(oracle(), Discretised(VALUES)), x0)
    costs = [cost for cost, _ in found.best_nodes(12)]
    even = range(0, NODES, (NODES - 1) // 8)
    by_hand = (
        found.decoding[0] + found.prior[-1] + sum(found.steps[a, b] for a, b in pairwise(even))
    )
    assert costs[7] < by_hand


def test_nodes_must_rise():
    for nodes in ((3,), (3, 3), (5, 2), (0, NODES), (-1, 4)):
        with pytest.raises(ValueError, match="two or more, rising"):
            node_levels(PATH, nodes)
    first, last = node_levels(PATH, (0, NODES - 1))
    assert (first.t, last.t) == (0.0, 1.0)
