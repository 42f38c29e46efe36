"""Multistep rules as rules of quadrature, against integrals in closed form, after unequal steps."""

import cmath
import math

import numpy as np
import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process import LinearLogSNR, Path, Prediction
from allegory.process.grid import grid as grid_of
from allegory.sampling import SOLVERS
from allegory.sampling.dpm_solver import dpmpp2m_weights
from allegory.sampling.flow_forms import FLOW_FORMS, LambdaNodes
from allegory.sampling.multistep import exponential_adams
from allegory.sampling.quadrature_rules import adams_rule, per_step
from allegory.sampling.unipc import unipc_rule

PATH = Path(LinearLogSNR(8, -7))
UNEQUAL = np.array([0.0, 3.0, 4.0, 6.0, 7.0, 9.0])


def nodes(h, start=-1.0):
    """Nodes of half log-SNR start + h times unequal steps."""
    half = torch.from_numpy(start + h * UNEQUAL)
    times = PATH.schedule.inverse(2 * half)
    return LambdaNodes(PATH.levels(times), half)


def antiderivative(form, power, y):
    """int c^power dc, c the time of the form."""
    return FLOW_FORMS[form].time(y) ** (power + 1) / (power + 1)


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("form", FLOW_FORMS)
def test_adams_integrates_polynomials_of_its_time(form, order, ahead):
    """Exactly up to the degree that its nodes allow, and no further."""
    grid = nodes(0.3)
    time = FLOW_FORMS[form].time(grid.lam)
    for i, weights in enumerate(
        adams_rule(FLOW_FORMS[form], order, "form_time", bool(ahead))(grid)
    ):
        known = min(i + 1, order) + ahead
        assert len(weights) == order + ahead and not weights[known:].any()
        for power in range(known):
            exact = antiderivative(form, power, grid.lam[i + 1]) - antiderivative(
                form, power, grid.lam[i]
            )
            found = sum(w * time[i + ahead - k] ** power for k, w in enumerate(weights[:known]))
            assert found.item() == pytest.approx(exact.item(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("times", "degree"), [((0.7, 0.5, 0.25, 0.0), 1), ((0.5, 0.25, 0.2, 0.0), 0)]
)
@pytest.mark.parametrize("form", ["v", "flow"])
def test_a_last_step_to_clean_data_has_order_two_unless_it_is_long(form, times, degree):
    """A line is integrated exactly after a step as long, a constant after one of a quarter."""
    grid = LambdaNodes.of(PATHS["straight-flow"].levels(times))
    c = FLOW_FORMS[form].time(grid.lam)
    weights = adams_rule(FLOW_FORMS[form], 3, "form_time")(grid)[-1]
    for power in range(degree + 1):
        exact = (c[-1] ** (power + 1) - c[-2] ** (power + 1)) / (power + 1)
        found = (weights * c[[-2, -3, -4]] ** power).sum()
        assert found.item() == pytest.approx(exact.item(), rel=1e-9)
    assert not weights[degree + 1 :].any()


@pytest.mark.parametrize("form", FLOW_FORMS)
def test_adams_integrates_polynomials_of_log_snr(form):
    """int (1 + y)^2 dc, the slope of c by a finite difference of an antiderivative: an
    independent quadrature.
    """
    grid = nodes(0.3)
    weights = adams_rule(FLOW_FORMS[form], 3, "log_snr")(grid)[-1]
    y = torch.linspace(float(grid.lam[-2]), float(grid.lam[-1]), 20001, dtype=torch.float64)
    middle = (y[1:] + y[:-1]) / 2
    exact = ((1 + middle) ** 2 * FLOW_FORMS[form].time(y).diff()).sum()
    assert (weights * (1 + grid.lam[[-2, -3, -4]]) ** 2).sum().item() == pytest.approx(
        exact.item(), rel=1e-7
    )


def test_adams_in_t_is_a_polynomial_of_t():
    grid = nodes(0.3)
    t = torch.tensor([level.t for level in grid.levels], dtype=torch.float64)
    weights = adams_rule(FLOW_FORMS["eps"], 3, "t")(grid)[-1]
    y = torch.linspace(float(grid.lam[-2]), float(grid.lam[-1]), 20001, dtype=torch.float64)
    middle = PATH.schedule.inverse(y[1:] + y[:-1])
    exact = (middle**2 * FLOW_FORMS["eps"].time(y).diff()).sum()
    assert (weights * t[[-2, -3, -4]] ** 2).sum().item() == pytest.approx(exact.item(), rel=1e-7)


@pytest.mark.parametrize(
    ("rule", "order", "ahead"),
    [
        (per_step(dpmpp2m_weights), 2, 0),
        *(
            (unipc_rule(p, bh, bool(k)), p + k, k)
            for p in (1, 2, 3)
            for bh in ("bh1", "bh2")
            for k in (0, 1)
        ),
    ],
)
def test_published_rules_have_their_order_on_a_smooth_slope(rule, order, ahead):
    """Local error of int f(y) e^y dy, f = sin and cos: one order above the method's."""

    def error(h):
        y = nodes(h, 0.4).lam.tolist()
        wrong = -(cmath.exp((1 + 1j) * y[-1]) - cmath.exp((1 + 1j) * y[-2])) / (1 + 1j)
        for k, w in enumerate(rule(nodes(h, 0.4))[-1].tolist()):
            wrong += w * cmath.exp(1j * y[-2 + ahead - k])
        return abs(wrong)

    assert math.log2(error(0.04) / error(0.02)) > order + 0.75


def test_unipc_is_corrected_adams_in_the_x0_form():
    """Two derivations, of moments and of Lagrange's polynomials, of one method, once it has
    three predictions.
    """
    levels = nodes(0.3).levels
    for one, other in zip(
        *(list(SOLVERS[name].plan(levels))[3:] for name in ("unipc3", "x0ab3c")), strict=True
    ):
        assert one.store == other.store and one.state == other.state
        assert one.history_weights == pytest.approx(other.history_weights, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("form", FLOW_FORMS)
def test_every_form_is_the_flow(form, name):
    """dz/dt by scale and time, against dx/dt = alpha' x0 + sigma' eps, at any (x0, eps)."""
    path, h = PATHS[name], 1e-5
    before, here, after = path.levels([0.4 - h, 0.4, 0.4 + h])
    truth = Prediction.of(torch.tensor([[1.3]]).double(), torch.tensor([[-0.7]]).double(), here)
    rule, halves = (
        FLOW_FORMS[form],
        [torch.tensor(level.log_snr / 2, dtype=torch.float64) for level in (before, after)],
    )
    slope = sum(a * b for a, b in zip(rule.slope(here), (1.3, -0.7), strict=True))
    time = (rule.time(halves[1]) - rule.time(halves[0])) / (2 * h)
    scale = (rule.scale(after) - rule.scale(before)) / (2 * h)
    x, dx = truth.x_t.item(), 1.3 * here.dalpha - 0.7 * here.dsigma
    # z = x/g, so dx = g dz + z dg; central differences are off by h^2
    assert rule.scale(here) * slope * time.item() + x / rule.scale(here) * scale == pytest.approx(
        dx, rel=1e-5, abs=1e-7
    )


@pytest.mark.parametrize("form", FLOW_FORMS)
def test_dtime_dlambda_is_the_derivative_of_time(form):
    y, h = torch.linspace(-4, 4, 17, dtype=torch.float64), 1e-5
    slope = (FLOW_FORMS[form].time(y + h) - FLOW_FORMS[form].time(y - h)) / (2 * h)
    torch.testing.assert_close(FLOW_FORMS[form].dtime_dlambda(y), slope, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("steps", "order", "corrected"),
    [
        (1, 3, False),
        (7, 3, False),
        (8, 2, True),
        (13, 2, True),
        (14, 3, True),
        (24, 3, True),
        (25, 4, True),
        (39, 4, True),
        (40, 5, True),
    ],
)
def test_auto_is_adams_in_the_v_form_of_an_order_that_grows_with_the_steps(steps, order, corrected):
    for name in ("linear-vp", "straight-flow"):
        levels = grid_of(PATHS[name], steps, "angle").levels
        same = exponential_adams("v", order, "form_time", corrected)
        assert SOLVERS["auto"].plan(levels) == same.plan(levels)


def test_plms_at_equal_steps_of_sigma_over_alpha_is_adams_bashforth_of_order_four():
    """Liu et al. 2022, eq. 12, and one order less for each prediction that is missing at first."""
    u = torch.linspace(2, 0.5, 8, dtype=torch.float64)
    levels = PATH.levels(PATH.schedule.inverse(-2 * u.log()))
    adams_bashforth = exponential_adams("eps", 4, "form_time", corrected=False)
    for found, exact in zip(
        SOLVERS["plms"].plan(levels), adams_bashforth.plan(levels), strict=True
    ):
        assert found.history_weights == pytest.approx(exact.history_weights, rel=1e-7, abs=1e-12)
