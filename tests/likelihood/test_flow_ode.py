"""Log-likelihood by the probability flow against densities that are known, on every path."""

import math
from dataclasses import replace

import pytest
import torch
from tests.helpers.paths import FINITE, SCALINGS

from allegory.data import DataSpec
from allegory.likelihood import FlowSolver, flow_log_prob
from allegory.process import Cosine, LinearLogSNR, Mixture, Path, RectifiedFlow, as_predict, grid
from allegory.sampling import sample

LONG = Path(LinearLogSNR(12, -12))
FAR = Path(LinearLogSNR(12, -24))
"""Where even the gradient of N(0, I) is that of the mixture at t = 1: they differ by alpha |m|
|dx_T/dx0|, some 1e-4.
"""
TIGHT = FlowSolver(tolerance=1e-6)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def plane(path, std=0.3):
    return Mixture(
        double([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.8]]),
        std,
        path=path,
        weights=torch.tensor([0.5, 0.2, 0.3]),
    )


def picture(path):
    means = (
        torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
        - 1
    )
    return Mixture(means, torch.linspace(0.1, 0.3, 5, dtype=torch.float64), path=path)


def at_start(oracle, x0):
    """log p of (x_t at t = 0)/alpha_0, at x0."""
    (start,) = oracle.path.levels([0.0])
    return oracle.log_prob(start.alpha * x0, 0.0) + x0[0].numel() * math.log(start.alpha)


def carried(oracle, found):
    """The flow with the exact density at t = 1 in the place of the prior: what is left is the
    solver's error.
    """
    return found.volume.mean(1) + oracle.log_prob(found.latent, 1.0)


@pytest.mark.thorough
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("schedule", FINITE)
def test_an_exact_mixture_on_every_path(schedule, scaling):
    """To 1e-5 nats per dimension at a tolerance of 1e-6 a step; no path needs more than a few dozen
    steps.
    """
    oracle = plane(Path(FINITE[schedule], scaling))
    x0 = oracle.sample(range(4))
    found = flow_log_prob(oracle, x0, FlowSolver(tolerance=1e-6))
    gap = (carried(oracle, found) - at_start(oracle, x0)).abs() / 2
    assert gap.max() < 1e-5, gap
    assert found.exact and bool((found.error == 0).all())


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_whole_log_p_of_clean_data(scaling):
    """With the prior of the path and without the noise of t = 0, at the default tolerance, which
    bounds the error of a step and not of their sum: 1e-3 nats per dimension for 95 % of the items
    (measured: 98.4 % of 256), and 2e-3 for all (measured: 1.14e-3).

    log-SNR -12 leaves alpha^2 = 6e-6 of the data in the prior (times |x|^2/2: far below), 12 an s^2
    = 6e-6 of noise.
    """
    oracle = plane(Path(LinearLogSNR(12, -12), scaling))
    x0 = oracle.sample(range(64))
    found = flow_log_prob(oracle, x0)
    error = (found.clean_log_prob - oracle.log_prob(x0)).abs() / 2
    assert error.quantile(0.95) < 1e-3
    assert error.max() < 2e-3


def test_the_noise_of_t_0_is_taken_away_to_first_order():
    """For N(m, s^2 I) by hand: (u div eps - |eps|^2)/2 with eps = u (x - m)/(s^2 + u^2)."""
    path, s, u2 = Path(LinearLogSNR(5, -12)), 0.5, math.exp(-5)
    oracle = Mixture(double([[0.3, -0.2]]), s, path=path)
    x0 = oracle.sample(range(5))
    found = flow_log_prob(oracle, x0)
    gap2 = (x0 - oracle.means).square().sum(1)
    torch.testing.assert_close(found.clean, 0.5 * u2 * (2 / (s**2 + u2) - gap2 / (s**2 + u2) ** 2))
    # What is left is of second order: u^2/s^2 = 0.027 of what was there, times a number of the
    # order of one.
    before, after = (
        (found.volume[:, 0] + oracle.log_prob(found.latent, 1.0) + change - oracle.log_prob(x0))
        .abs()
        .max()
        for change in (0.0, found.clean)
    )
    assert after < 0.1 * before


def test_a_gaussian_is_solved_by_its_own_tangent():
    """No error is left to control: the widest steps allowed, and the closed form to rounding."""
    oracle = Mixture(double([[0.3, -2.0, 1.0]]), 0.2, path=LONG)
    x0 = oracle.sample(range(6))
    found = flow_log_prob(oracle, x0, FlowSolver(tolerance=1e-9))
    torch.testing.assert_close(carried(oracle, found), at_start(oracle, x0), rtol=0, atol=1e-8)
    # Steps of a tenth, three and six tenths of the way: three evaluations after the first.
    assert found.evaluations.tolist() == [4] * 6 and found.products.tolist() == [12] * 6


def test_the_error_follows_the_tolerance():
    oracle = plane(LONG)
    x0 = oracle.sample(range(8))
    off, cost = [], []
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = flow_log_prob(oracle, x0, FlowSolver(tolerance))
        off.append(((carried(oracle, found) - at_start(oracle, x0)).abs() / 2).mean().item())
        cost.append(found.evaluations.double().mean().item())
        assert off[-1] < 5 * tolerance
    assert off[0] > 10 * off[1] > 100 * off[2]
    assert cost == sorted(cost)


def test_an_image_is_its_flattened_self_and_the_batch_may_be_as_long_as_it_is_wide():
    oracle = picture(LONG)
    flat = Mixture(oracle.means, torch.linspace(0.1, 0.3, 5, dtype=torch.float64), path=LONG)
    x0 = oracle.sample(range(8))
    image, row = flow_log_prob(oracle, x0), flow_log_prob(flat, x0.flatten(1))
    torch.testing.assert_close(image.log_prob, row.log_prob, rtol=1e-12, atol=0)
    assert image.latent.shape == x0.shape and torch.equal(image.evaluations, row.evaluations)
    small = plane(LONG)
    two = flow_log_prob(small, small.sample(range(2)), TIGHT)
    assert ((carried(small, two) - at_start(small, small.sample(range(2)))).abs() < 1e-5).all()


@pytest.mark.parametrize("probes", [0, 2])
def test_an_item_is_the_same_alone_and_in_a_batch(probes):
    """Same steps, same probes; rounding alone differs, because sums over a batch of one are ordered
    otherwise.
    """
    oracle, solver = picture(LONG), FlowSolver(probes=probes)
    x0 = oracle.sample(range(6))
    together = flow_log_prob(oracle, x0, solver, seeds=range(40, 40 + len(x0)))
    assert len(together.evaluations.unique()) > 1  # or the steps were not their own
    for i in (0, 4):
        alone = flow_log_prob(
            oracle, x0[i : i + 1], solver, seeds=range(40 + i, 40 + i + len(x0[i : i + 1]))
        )
        torch.testing.assert_close(alone.volume, together.volume[i : i + 1], rtol=1e-10, atol=0)
        torch.testing.assert_close(alone.latent, together.latent[i : i + 1], rtol=1e-8, atol=1e-10)
        assert (
            alone.evaluations == together.evaluations[i] and alone.products == together.products[i]
        )


def test_probes_agree_with_the_exact_trace_within_their_standard_error():
    """z-scores of 24 items: each below 5, together of unit size (24 squares of Student's t: within
    0.4 to 2.2).
    """
    oracle = Mixture(torch.randn(4, 6, dtype=torch.float64), 0.3, path=LONG)
    x0 = oracle.sample(range(24))
    exact = flow_log_prob(oracle, x0, FlowSolver(1e-4))
    some = flow_log_prob(oracle, x0, FlowSolver(1e-4, probes=32), seeds=range(7, 7 + len(x0)))
    z = (some.log_prob - exact.log_prob) / some.error
    assert z.abs().max() < 5 and 0.4 < z.square().mean() < 2.2
    one = flow_log_prob(oracle, x0, FlowSolver(probes=1), seeds=range(7, 7 + len(x0)))
    assert (
        not one.exact
        and bool(one.error.isnan().all())
        and torch.equal(one.products, one.evaluations)
    )


def test_one_probe_is_exact_for_a_diagonal_jacobian():
    stds = double([[0.1, 0.4, 1.3, 0.2]])
    oracle = Mixture(torch.zeros(1, 4, dtype=torch.float64), stds, path=LONG)
    x0 = oracle.sample(range(5))
    exact = flow_log_prob(oracle, x0)
    one = flow_log_prob(oracle, x0, FlowSolver(probes=1), seeds=range(11, 11 + len(x0)))
    assert ((carried(oracle, exact) - at_start(oracle, x0)).abs() < 4e-3).all()
    torch.testing.assert_close(one.volume, exact.volume, rtol=1e-9, atol=0)
    assert exact.products.sum() == 4 * one.products.sum()


def test_high_dimensions_take_one_probe_by_themselves():
    oracle = Mixture(torch.zeros(1, 200, dtype=torch.float64), 0.5, path=LONG)
    found = flow_log_prob(oracle, oracle.sample(range(2)))
    assert not found.exact and found.volume.shape == (2, 1)


def test_the_latent_decodes_to_the_data():
    """Heun's method from x_T, order two: 400 steps leave some 1e-4."""
    oracle = plane(LONG)
    x0 = oracle.sample(range(5))
    found = flow_log_prob(oracle, x0, TIGHT)
    (start,) = LONG.levels([0.0])
    back = sample(oracle, found.latent, grid(LONG, 400, "log_snr", end="min"), solver="heun")
    torch.testing.assert_close(back, start.alpha * x0, rtol=0, atol=2e-3)


def test_gradients_are_those_of_the_density():
    """By the data, the score; by the parameters of the Predict, those of log p, in closed form."""
    means = double([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.8]]).requires_grad_()
    oracle = Mixture(means, 0.3, path=FAR, weights=torch.tensor([0.5, 0.2, 0.3]))
    x0 = plane(FAR).sample(range(4)).requires_grad_()
    found = torch.autograd.grad(
        flow_log_prob(oracle, x0, FlowSolver(1e-6, grad=True)).log_prob.sum(), (x0, means)
    )
    exact = torch.autograd.grad(at_start(oracle, x0).sum(), (x0, means))
    for got, want in zip(found, exact, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.thorough
def test_the_gradient_through_rejected_steps_is_a_finite_difference():
    """Loose steps, some of them rejected: the solver's own derivative, up to the steps it holds
    fixed.
    """
    oracle, x0, h = plane(LONG, 0.1), double([[0.5, 0.1], [-0.9, 0.4]]).requires_grad_(), 1e-4
    solver = FlowSolver(1e-5)
    (got,) = torch.autograd.grad(
        flow_log_prob(oracle, x0, replace(solver, grad=True)).log_prob.sum(), x0
    )
    e = double([h, 0.0])
    ends = [flow_log_prob(oracle, x0.detach() + s * e, solver).log_prob for s in (1, -1)]
    torch.testing.assert_close(got[:, 0], (ends[0] - ends[1]) / (2 * h), rtol=5e-3, atol=5e-3)


def test_without_grad_nothing_is_recorded():
    oracle = plane(LONG)
    x0 = oracle.sample(range(2)).requires_grad_()
    assert not flow_log_prob(oracle, x0).log_prob.requires_grad


def test_a_condition_belongs_to_its_item():
    means = double([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.8]])
    oracle = Mixture(means, 0.3, path=LONG, labels=torch.tensor([0, 1, 1]))
    x0, labels = oracle.sample(range(4)), torch.tensor([0, 1, -1, 1])
    (start,) = LONG.levels([0.0])
    found = flow_log_prob(oracle, x0, TIGHT, condition=labels)
    truth = oracle.log_prob(start.alpha * x0, 0.0, labels) + 2 * math.log(start.alpha)
    assert (
        (found.volume[:, 0] + oracle.log_prob(found.latent, 1.0, labels) - truth).abs() < 1e-5
    ).all()


def test_evaluations_are_counted_as_the_predict_sees_them():
    oracle, seen = picture(LONG), []

    def counting(x_t, t, condition=None):
        seen.append(len(x_t))
        return oracle(x_t, t, condition)

    found = flow_log_prob(as_predict(counting, LONG), oracle.sample(range(5)), FlowSolver(probes=3))
    assert sum(seen) == found.evaluations.sum() and len(seen) == found.evaluations.max()
    assert torch.equal(found.products, 3 * found.evaluations)


def test_single_precision_data_and_network():
    oracle = plane(LONG).float()
    x0 = oracle.sample(range(6))
    assert x0.dtype == torch.float32
    found = flow_log_prob(oracle, x0)
    assert ((found.clean_log_prob - oracle.log_prob(x0)).abs() / 2).max() < 2e-3


def test_flow_matching_between_finite_ends():
    """An infinite path is refused with the remedy, and the remedy works."""
    path = Path(RectifiedFlow(), "flow")
    oracle = plane(path)
    x0 = oracle.sample(range(4))
    with pytest.raises(ValueError, match=r"log_snr_range=\(12"):
        flow_log_prob(oracle, x0)
    found = flow_log_prob(oracle, x0, FlowSolver(1e-5, log_snr_range=(12.0, -12.0)))
    assert ((found.clean_log_prob - oracle.log_prob(x0)).abs() / 2).max() < 1e-3


def test_bits_of_discrete_data_count_the_bins():
    """A density equal to 1/step at x costs 0 bits: -(log p + dims log step)."""
    oracle = Mixture(torch.zeros(1, 2, dtype=torch.float64), 0.5, path=LONG)
    found = flow_log_prob(oracle, torch.zeros(3, 2, dtype=torch.float64))
    data = DataSpec((2,), 0.0, 16.0, 17)
    expected = -(found.log_prob / 2 + math.log(1 / 8)) / math.log(2)
    torch.testing.assert_close(found.bits_per_dim(data), expected)
    with pytest.raises(ValueError, match="no bits/dim"):
        found.bits_per_dim(DataSpec((2,), 0.0, 16.0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tolerance": 0.0}, "positive"),
        ({"probes": -1}, "probes"),
        ({"data_std": 0.0}, "std"),
        ({"tolerance": math.inf}, "finite"),
        ({"max_evaluations": 0}, "max_evaluations=0"),
    ],
)
def test_solvers_that_cannot_be(wrong, words):
    with pytest.raises(ValueError, match=words):
        FlowSolver(**wrong)


def test_paths_and_data_without_a_solution_are_refused():
    oracle = plane(LONG)
    x0 = oracle.sample(range(2))
    with pytest.raises(ValueError, match="within 12 to -12"):
        flow_log_prob(oracle, x0, FlowSolver(log_snr_range=(13.0, -5.0)))
    with pytest.raises(ValueError, match="0 items"):
        flow_log_prob(oracle, x0[:0])
    with pytest.raises(ValueError, match="not finite"):
        flow_log_prob(oracle, x0 * math.nan)
    with pytest.raises(RuntimeError, match="more than 10 evaluations"):
        flow_log_prob(oracle, x0, FlowSolver(1e-8, max_evaluations=10))
    with pytest.raises(ValueError, match="no_grad"):
        flow_log_prob(as_predict(torch.no_grad()(oracle.forward), LONG), x0)


def test_cosine_and_linear_in_log_snr_are_one_flow():
    """The ends alone matter: the same latent and density whatever lies between."""
    x0 = plane(LONG).sample(range(3))
    one, two = (flow_log_prob(plane(path), x0, TIGHT) for path in (LONG, Path(Cosine(12, -12))))
    torch.testing.assert_close(one.log_prob, two.log_prob, rtol=1e-9, atol=1e-9)
