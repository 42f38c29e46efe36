"""What the interior of a schedule may change: the variance of the bound's estimate, and nothing
else.
"""

import math

import pytest
import torch
from tests.helpers.paths import bent

from allegory.likelihood import Continuous
from allegory.likelihood.bound import variational_bound
from allegory.process import (
    Betas,
    Cosine,
    Geometric,
    LearnedSchedule,
    LinearLogSNR,
    Mixture,
    Path,
    Prediction,
    estimate,
)
from allegory.process.bound_terms import diffusion_loss, prior_matching
from allegory.process.learned_schedule import descending_variance

F64 = torch.float64
BETAS = Betas(torch.linspace(0.01, 0.3, 50))
START, END = BETAS.ends
INTERIORS = {
    "betas": BETAS,
    "linear": LinearLogSNR(START, END),
    "cosine": Cosine(START, END),
    "geometric": Geometric(math.exp(-START / 2), math.exp(-END / 2)),
    "learned": bent(LearnedSchedule(START, END), 0),
    "learned, otherwise": bent(LearnedSchedule(START, END), 1, std=0.7),
}


def test_the_bound_depends_on_the_ends_alone():
    """Independent estimates by an exact oracle, each within 3 standard errors of the mean of the
    others.
    """
    means = torch.tensor([[-1.0, 0.5, 0.0], [0.6, -0.3, 1.0]], dtype=F64)
    found = []
    for k, schedule in enumerate(INTERIORS.values()):
        path = Path(schedule)
        oracle = Mixture(
            means, torch.tensor([0.3, 0.1], dtype=F64), path=path, weights=torch.tensor([0.4, 0.6])
        )
        x0 = oracle.sample(range(1000))
        bound = variational_bound(
            oracle, x0, Continuous(), seeds=range(1000 * k, 1000 * k + len(x0)), draws=32
        )
        found.append((bound.total, bound.diffusion.mean()))
    totals = torch.stack([total for total, _ in found])
    for k, total in enumerate(totals):
        gap = estimate(
            total - torch.cat([totals[:k], totals[k + 1 :]]).mean(0)
        )  # item by item: x is shared
        assert abs(gap.mean) < 3 * gap.error, list(INTERIORS)[k]
        assert gap.error < 0.025 * found[k][1]


class Gaussian:
    r"""x0 ~ N(0, s^2 I) in d dimensions: l = -log_snr'/2 v chi^2_d with v = s^2 SNR / (1 + s^2
    SNR), so

    E[l | t] = -log_snr' d v / 2,  E[l^2 | t] = log_snr'^2 v^2 (d^2 + 2 d) / 4.

    The best interior has log_snr' v constant, and the variance d/2 (int v dlog_snr)^2.
    """

    dims, std, start, end = 6, 0.2, 10.0, -9.0

    def variance(self, schedule):
        t = (torch.arange(4000, dtype=F64) + 0.5) / 4000
        with torch.no_grad():
            snr = self.std**2 * schedule(t).exp()
            moment = (
                (schedule.slope(t) * snr / (1 + snr)).square().mean()
                * (self.dims**2 + 2 * self.dims)
                / 4
            )
        return moment.item() - (self.dims / 2 * self.integral) ** 2

    @property
    def integral(self):
        return math.log1p(self.std**2 * math.exp(self.start)) - math.log1p(
            self.std**2 * math.exp(self.end)
        )

    @property
    def least(self):
        return self.dims / 2 * self.integral**2

    def losses(self, schedule, count):
        path = Path(schedule)
        oracle = Mixture(torch.zeros(1, self.dims, dtype=F64), self.std, path=path)
        x0 = self.std * torch.randn(count, self.dims, dtype=F64)
        level = path.at(torch.rand(count, dtype=F64), like=x0)
        return diffusion_loss(oracle, Prediction.of(x0, torch.randn_like(x0), level))


@pytest.mark.parametrize(
    "schedule", [LinearLogSNR(10, -9), bent(LearnedSchedule(10, -9))], ids=["linear", "learned"]
)
def test_the_variance_of_one_draw_is_that_of_the_closed_form(schedule):
    torch.manual_seed(0)
    case = Gaussian()
    losses = case.losses(schedule, 100_000)
    squares = (losses - losses.mean()).square()
    got = estimate(squares)
    assert abs(got.mean - case.variance(schedule)) < 3 * got.error
    assert got.error < 0.03 * got.mean


def test_the_trick_finds_the_interior_of_least_variance():
    """From 6.5 times the least variance that any interior has to 1.3 times; the mean stays the
    integral.
    """
    torch.manual_seed(0)
    case, schedule = Gaussian(), LearnedSchedule(10, -9, fixed_ends=True)
    before = case.variance(schedule)
    assert before == pytest.approx(case.variance(LinearLogSNR(10, -9)), rel=0.02)
    optimizer = torch.optim.Adam([p for p in schedule.parameters() if p.requires_grad], lr=6e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=120)
    for _ in range(120):
        with descending_variance(schedule) as variance:
            losses = case.losses(schedule, 256)
        variance.set_losses(losses)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        decay.step()
    assert before > 6 * case.least
    assert case.least < case.variance(schedule) < 1.3 * case.least
    with torch.no_grad():
        mean = estimate(case.losses(schedule, 100_000))
    assert abs(mean.mean - case.dims / 2 * case.integral) < 3 * mean.error


@pytest.mark.parametrize("scaling", ["vp", "sub_vp", "flow", "ve"])
def test_the_end_moves_the_prior_as_well(scaling):
    """E KL = d/2 ((1 + s^2 SNR)/(1 + SNR) - 1 + log(1 + SNR)) on every scaling, and so its slope by
    the end.
    """
    case, schedule = Gaussian(), LearnedSchedule(4, -3)
    x0 = torch.randn(64, case.dims, dtype=F64, generator=torch.Generator().manual_seed(0))
    x0 = x0 * (case.std / x0.square().mean().sqrt())
    prior = prior_matching(Path(schedule, scaling), x0).mean()
    end = torch.tensor(-3.0, dtype=F64, requires_grad=True)
    snr = end.exp()
    expected = case.dims / 2 * ((1 + case.std**2 * snr) / (1 + snr) - 1 + torch.log1p(snr))
    torch.testing.assert_close(prior, expected)
    (by_end,) = torch.autograd.grad(expected, end)
    (by_reach,) = torch.autograd.grad(prior, schedule.reach)
    torch.testing.assert_close(
        -by_reach[1].double(), by_end, rtol=1e-6, atol=0
    )  # reach[1] goes down


def test_the_ends_descend_the_diffusion_term():
    """Its slope by an end is the integrand there, d/2 v, to 3 standard errors."""
    torch.manual_seed(0)
    case, schedule = Gaussian(), bent(LearnedSchedule(4, -3)).requires_grad_(True)
    slopes = []
    for _ in range(100):
        with descending_variance(schedule) as variance:
            losses = case.losses(schedule, 500)
        variance.set_losses(losses)
        slopes.append(torch.autograd.grad(losses.mean(), schedule.reach)[0].double())
    for found, log_snr in zip(torch.stack(slopes).T, (4.0, -3.0), strict=True):
        got, snr = estimate(found), case.std**2 * math.exp(log_snr)
        assert abs(got.mean - case.dims / 2 * snr / (1 + snr)) < 3 * got.error
        assert got.error < 0.1
