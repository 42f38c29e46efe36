"""Bounds of discrete probabilities by the flow's density, against sums and integrals in closed
form.
"""

import math

import pytest
import torch

from allegory.data import DataSpec
from allegory.likelihood import DequantizedFlow, FlowSolver, flow_bound
from allegory.process import LinearLogSNR, Mixture, Path

SPEC = DataSpec((2,), 0.0, 4.0, 5)


def levels_mixture(path, probability, std=1e-5):
    """Two independent numbers, each on five levels of this probability: 25 narrow Gaussians."""
    values = torch.linspace(-1, 1, 5, dtype=torch.float64)
    means = torch.cartesian_prod(values, values)
    return Mixture(means, std, path=path, weights=torch.outer(probability, probability).flatten())


def bin_mass(centre, middle, width):
    """What N(middle, width^2) puts in the bin of half a step around a centre."""
    normal = torch.distributions.Normal(middle, width)
    return normal.cdf(centre + SPEC.step / 2) - normal.cdf(centre - SPEC.step / 2)


def test_the_noise_of_t_0_gives_the_probability_of_the_levels_itself():
    """Levels 0.5 apart, noise of 0.018: a bin is 14 standard deviations wide to each side, so
    nothing is lost.
    """
    path, probability = (
        Path(LinearLogSNR(8, -12)),
        torch.tensor([0.1, 0.4, 0.2, 0.05, 0.25], dtype=torch.float64),
    )
    raw = torch.tensor([[0, 0], [1, 4], [3, 2]])
    bound = flow_bound(
        levels_mixture(path, probability),
        raw.double(),
        DequantizedFlow(SPEC, kind="normal", draws=2),
    )
    expected = probability.log()[raw].sum(1)
    # 1e-2: N(0, I) stands for the mixture at t = 1; alpha = 2.5e-3 times |x_T| |x0| of some 2.
    assert ((bound.log_weights - expected).abs() < 1e-2).all()
    assert bound.error.max() < 5e-3
    torch.testing.assert_close(bound.error, (bound.log_weights[0] - bound.log_weights[1]).abs() / 2)
    torch.testing.assert_close(bound.bits_per_dim(SPEC), -bound.total / (2 * math.log(2)))


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_both_kinds_bound_the_mass_of_the_bin(kind):
    """p = data on five even levels plus noise of 0.3: mean log w below log of the integral, log
    mean w upon it.
    """
    path = Path(LinearLogSNR(-2 * math.log(0.3), -12))
    oracle = levels_mixture(path, torch.ones(5, dtype=torch.float64))
    raw = torch.tensor([[0, 2], [4, 1], [2, 2]])
    values = torch.linspace(-1, 1, 5, dtype=torch.float64)
    mass = torch.stack([bin_mass(v, values, 0.3).mean() for v in values]).log()[raw].sum(1)
    many = raw.double().repeat(100, 1)  # 100 items of each: as many draws, in one batch
    log_w = flow_bound(oracle, many, DequantizedFlow(SPEC, kind=kind)).total.reshape(100, 3)
    weight = (log_w - mass).exp()
    assert ((weight.mean(0) - 1).abs() < 4 * weight.std(0) / 10 + 2e-3).all()
    assert (log_w.mean(0) < mass + 4 * log_w.std(0) / 10).all()


def test_the_uniform_bound_of_a_gaussian_in_closed_form():
    """E_u log N(c + step (u - 1/2); 0, s^2) + log step = -(c^2 + step^2/12)/(2 s^2) - log(s sqrt(2
    pi)/step).
    """
    path = Path(LinearLogSNR(12, -12))
    oracle = Mixture(torch.zeros(1, 2, dtype=torch.float64), 0.4, path=path)
    raw = torch.tensor([[0, 2], [3, 3]])
    bound = flow_bound(oracle, raw.double().repeat(50, 1), DequantizedFlow(SPEC, draws=2))
    assert (bound.total <= bound.importance + 1e-12).all()
    log_w = bound.log_weights.reshape(100, 2)
    c, s, step = SPEC.encode(raw).double(), 0.4, SPEC.step
    expected = (
        -(c**2 + step**2 / 12) / (2 * s**2) - math.log(s * math.sqrt(2 * math.pi) / step)
    ).sum(1)
    assert ((log_w.mean(0) - expected).abs() < 4 * log_w.std(0) / 10 + 1e-3).all()
    assert (bound.evaluations == 2 * 4).all()


def test_an_item_has_the_same_bound_alone_and_in_a_batch():
    path = Path(LinearLogSNR(8, -8))
    oracle = levels_mixture(path, torch.ones(5, dtype=torch.float64), 0.2)
    raw, solver = torch.tensor([[0, 2], [4, 1], [2, 2]], dtype=torch.float64), FlowSolver(probes=1)
    flow = DequantizedFlow(SPEC, solver, draws=2)
    together = flow_bound(oracle, raw, flow, seeds=range(20, 20 + len(raw)))
    alone = flow_bound(oracle, raw[2:], flow, seeds=range(22, 22 + len(raw[2:])))
    torch.testing.assert_close(together.log_weights[:, 2:], alone.log_weights, rtol=1e-9, atol=1e-9)


def test_every_draw_has_probes_of_its_own(monkeypatch):
    """Ten draws from one spot in the bin: what differs between them are the probes."""
    path = Path(LinearLogSNR(8, -8))
    oracle = levels_mixture(path, torch.ones(5, dtype=torch.float64), 0.2)
    oracle = Mixture(
        oracle.means,
        None,
        path=path,
        covariances=torch.tensor([[0.04, 0.03], [0.03, 0.04]], dtype=torch.float64).expand(
            25, 2, 2
        ),
    )
    still = type(
        "Still", (), {"__init__": lambda self, *given: None, "draw": lambda self: torch.zeros(1, 2)}
    )
    monkeypatch.setattr("allegory.likelihood.dequantized_flow.Noise", still)
    found = flow_bound(
        oracle,
        torch.tensor([[0.0, 2.0]]).double(),
        DequantizedFlow(SPEC, FlowSolver(probes=1), draws=10),
    )
    assert len(found.log_weights.unique()) > 1


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="no bins"):
        DequantizedFlow(DataSpec((2,), 0.0, 4.0))
    with pytest.raises(ValueError, match="uniform"):
        DequantizedFlow(SPEC, kind="unifrom")
    with pytest.raises(ValueError, match="draws=0"):
        DequantizedFlow(SPEC, draws=0)
