"""The learned schedule: where it starts, what it can become, and the one backward pass for two
objectives.
"""

import copy
import math

import pytest
import torch
from tests.helpers.paths import bent
from torch import nn

from allegory.process import Cosine, LearnedSchedule, LinearLogSNR, Path, Prediction
from allegory.process.bound_terms import diffusion_loss
from allegory.process.learned_schedule import VARIANCE_WEIGHT, descending_variance

T = torch.linspace(0, 1, 101, dtype=torch.float64)
F64 = torch.float64


def test_a_new_schedule_is_near_the_straight_line_between_its_ends():
    schedule = LearnedSchedule(9.5, -4)
    assert schedule.ends == pytest.approx((9.5, -4), abs=1e-12)
    torch.testing.assert_close(schedule(T), LinearLogSNR(9.5, -4)(T), rtol=0, atol=0.01)
    torch.testing.assert_close(schedule.slope(T), torch.full_like(T, -13.5), rtol=0.02, atol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_interior_moves_no_end(seed):
    schedule = bent(LearnedSchedule(9.5, -4), seed, std=1.5)
    assert schedule.ends == pytest.approx((9.5, -4), abs=1e-12)
    assert (schedule(T) - LinearLogSNR(9.5, -4)(T)).abs().max() > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_the_inverse_of_a_curve_that_is_steep_and_flat(seed):
    schedule = bent(LearnedSchedule(9.5, -4), seed, std=3.0)
    slope = schedule.slope(T).abs()
    assert slope.max() / slope.min() > 100
    # Rounding of log-SNR by one unit in 10 moves t by that over the slope.
    assert ((schedule.inverse(schedule(T)) - T).abs() * slope.clamp(min=1)).max() < 1e-12 * 10
    beyond = schedule.inverse(torch.tensor([11.0, -6.0], dtype=F64))
    torch.testing.assert_close(beyond, torch.tensor([0.0, 1.0], dtype=F64), rtol=0, atol=1e-14)


def test_training_can_reach_other_schedules():
    """Fitted by its gradient to within 1 % of the range of log-SNR."""
    schedule, target = LearnedSchedule(6, -6, fixed_ends=True), Cosine(6, -6)(T)
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.02)
    for _ in range(120):
        loss = (schedule(T) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (LinearLogSNR(6, -6)(T) - target).abs().max() > 1
    assert (schedule(T) - target).abs().max() < 0.12


def in_float64(schedule):
    """Parameters of double precision, for gradients to the last digits; modules keep theirs in
    every cast.
    """
    for parameter in schedule.parameters():
        parameter.data = parameter.data.double()
    return schedule.requires_grad_(True)


@pytest.mark.parametrize("part", ["forward", "slope", "scaled_slope"])
def test_gradients_are_those_of_finite_differences(part):
    schedule = in_float64(bent(LearnedSchedule(6, -5, units=6)))
    t = torch.tensor([0.0, 0.3, 0.8, 1.0], dtype=F64)

    def value():
        weights = torch.tensor([1.0, -2.0, 3.0, 1.5], dtype=F64)
        return (getattr(schedule, part)(t) * weights).sum()

    value().backward()
    for name, parameter in schedule.named_parameters():
        direction, h = (
            torch.randn(parameter.shape, dtype=F64, generator=torch.Generator().manual_seed(1)),
            1e-5,
        )
        both = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * h * direction
                both.append(value())
                parameter -= sign * h * direction
        numeric = (both[0] - both[1]) / (2 * h)
        # Error: h^2 times a third derivative of some 10^3, and rounding of 10^-14 over h.
        torch.testing.assert_close(
            (parameter.grad * direction).sum(), numeric, rtol=1e-6, atol=1e-6, msg=name
        )


class Tiny(nn.Module):
    """A denoiser of two weights that sees the level."""

    def __init__(self, path):
        super().__init__()
        self.path, self.a, self.b = (
            path,
            nn.Parameter(torch.tensor(0.7, dtype=F64)),
            nn.Parameter(torch.ones(3, dtype=F64)),
        )

    def forward(self, x_t, t, condition=None):
        level = self.path.at(t, like=x_t)
        return Prediction.solve(
            "eps", torch.tanh(self.a * x_t + self.b * level.log_snr / 9), x_t, level
        )


def drawn(count=7):
    generator = torch.Generator().manual_seed(3)
    x0, eps = torch.randn(2, count, 3, generator=generator, dtype=F64)
    return x0, torch.rand(count, generator=generator, dtype=F64), eps


def loss_at(model, x0, t, eps, steps=None):
    """The diffusion loss of each item, its Level computed anew."""
    truth = Prediction.of(x0, eps, model.path.at(t, like=x0))
    return diffusion_loss(model, truth, steps=steps)


@pytest.mark.parametrize("scaling", ["vp", "flow"])
def test_one_backward_pass_serves_both_objectives(scaling):
    """Interior: the gradient of VARIANCE_WEIGHT mean(l^2). Ends and network: that of mean(l). By
    plain autograd, two passes.
    """
    model = Tiny(Path(in_float64(bent(LearnedSchedule(6, -5, units=8))), scaling))
    x0, t, eps = drawn()
    interior = [p for n, p in model.named_parameters() if "schedule" in n and "reach" not in n]
    others = [p for n, p in model.named_parameters() if not any(p is q for q in interior)]
    assert len(interior) == 3 and len(others) == 3

    losses = loss_at(model, x0, t, eps)
    descent = torch.autograd.grad(losses.mean(), others, retain_graph=True)
    of_variance = torch.autograd.grad(VARIANCE_WEIGHT * losses.square().mean(), interior)

    with descending_variance(model.path.schedule) as variance:
        again = loss_at(model, x0, t, eps)
    variance.set_losses(again)
    again.mean().backward()
    assert torch.equal(again, losses)
    for parameter, expected in zip([*others, *interior], [*descent, *of_variance], strict=True):
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_the_squared_loss_holds_for_finitely_many_steps():
    model = Tiny(Path(in_float64(bent(LearnedSchedule(6, -5, units=8)))))
    x0, _, eps = drawn()
    t = torch.arange(1, 8, dtype=F64) / 7
    weight = model.path.schedule.height
    losses = loss_at(model, x0, t, eps, steps=7)
    (expected,) = torch.autograd.grad(VARIANCE_WEIGHT * losses.square().mean(), weight)
    with descending_variance(model.path.schedule) as variance:
        again = loss_at(model, x0, t, eps, steps=7)
    variance.set_losses(again)
    again.mean().backward()
    torch.testing.assert_close(weight.grad, expected, rtol=1e-10, atol=1e-12)


def test_outside_the_block_gradients_are_plain():
    schedule = in_float64(bent(LearnedSchedule(6, -5)))
    with descending_variance(schedule):
        pass
    (plain,) = torch.autograd.grad(schedule(T).sum(), schedule.height)
    assert plain.isfinite().all() and plain.abs().max() > 0
    with descending_variance(LinearLogSNR()) as nothing:
        nothing.set_losses(T)


def test_fixed_ends_do_not_train():
    schedule = LearnedSchedule(6, -5, fixed_ends=True)
    (schedule(T).sum() + schedule.slope(T).sum()).backward()
    assert schedule.reach.grad is None and schedule.height.grad is not None
    assert "fixed ends" in repr(schedule) and "start=6, end=-5" in repr(schedule)


def test_ends_stay_in_order_wherever_training_takes_them():
    schedule = LearnedSchedule(3, -1)
    with torch.no_grad():
        schedule.reach.copy_(torch.tensor([-30.0, -30.0]))
    start, end = schedule.ends
    assert start > 1 > end
    assert (schedule(T)[1:] < schedule(T)[:-1]).all()


def test_one_unit_of_reach_is_one_unit_of_log_snr():
    schedule = LearnedSchedule(8, -5)
    for t, sign in ((0.0, (1.0, 0.0)), (1.0, (0.0, -1.0))):
        (slope,) = torch.autograd.grad(schedule(torch.tensor(t, dtype=F64)), schedule.reach)
        torch.testing.assert_close(slope, torch.tensor(sign))


@pytest.mark.parametrize(
    "change", [nn.Module.half, nn.Module.bfloat16, nn.Module.double, copy.deepcopy]
)
def test_a_cast_of_the_model_leaves_the_curve(change):
    schedule = bent(LearnedSchedule(13.3, -5))
    before, slope = schedule(T), schedule.slope(T)
    changed = change(nn.Sequential(schedule))[0]
    torch.testing.assert_close(changed(T), before, rtol=0, atol=0)
    torch.testing.assert_close(changed.slope(T), slope, rtol=0, atol=0)
    assert all(p.dtype == torch.float32 for p in changed.parameters())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LearnedSchedule(-3, 3), "start > end"),
        (lambda: LearnedSchedule(math.inf, -3), "both ends must be finite"),
        (lambda: LearnedSchedule(3, -math.inf), "both ends must be finite"),
        (lambda: LearnedSchedule(math.nan, -3), "start > end"),
        (lambda: LearnedSchedule(units=4), "units=4; give at least 5"),
    ],
)
def test_bad_choices_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
