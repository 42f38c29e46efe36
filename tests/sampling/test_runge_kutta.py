"""Runge-Kutta by tableau: the methods that others are, and the order of every form."""

import math

import pytest
import torch
from tests.helpers.gaussian import equal_times, gaussian, on_flow, unequal_times
from tests.helpers.paths import PATHS, SMOOTH

from allegory.process import grid
from allegory.sampling import initial_noise, sample
from allegory.sampling.flow_forms import FLOW_FORMS, LAMBDA_OF_TIME
from allegory.sampling.runge_kutta import RK3_TABLEAU, RK4_TABLEAU, Tableau, runge_kutta

EULER, TRAPEZOID = Tableau(((),), (1.0,), 1), Tableau(((), (1.0,)), (0.5, 0.5), 2)


@pytest.mark.parametrize("form", FLOW_FORMS)
def test_lambda_of_time_is_the_inverse_of_time(form):
    y = torch.linspace(-4, 4, 33, dtype=torch.float64)
    torch.testing.assert_close(LAMBDA_OF_TIME[form](FLOW_FORMS[form].time(y)), y)


@pytest.mark.parametrize("times", [equal_times, unequal_times])
@pytest.mark.parametrize("form", FLOW_FORMS)
@pytest.mark.parametrize("tableau", [RK3_TABLEAU, RK4_TABLEAU])
def test_order(tableau, form, times):
    path, solver = SMOOTH["cosine-vp"], runge_kutta(tableau, form)
    z = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    first, *_, last = path.levels(times(2))

    def error(n):
        end = sample(gaussian(path), on_flow(first, z), times(n), solver=solver)
        return (end - on_flow(last, z)).abs().max().item()

    assert math.log2(error(32) / error(64)) > tableau.order - 0.35


@pytest.mark.parametrize(
    ("tableau", "form", "same"),
    [(EULER, "x0", "ddim"), (EULER, "eps", "ddim"), (TRAPEZOID, "eps", "heun")],
)
def test_known_methods(tableau, form, same):
    path = PATHS["linear-vp"]
    x = initial_noise(path, (2,), range(4)).double()
    walk = grid(path, 6, "log_snr")
    mine = sample(gaussian(path), x, walk, solver=runge_kutta(tableau, form))
    torch.testing.assert_close(
        mine, sample(gaussian(path), x, walk, solver=same), rtol=1e-9, atol=1e-9
    )


def test_tableaux_that_are_none():
    with pytest.raises(ValueError, match="row i of an explicit tableau has i numbers"):
        Tableau(((0.0,), (1.0,)), (0.5, 0.5), 2)
    with pytest.raises(ValueError, match=r"b: sums to 0\.9"):
        Tableau(((), (1.0,)), (0.4, 0.5), 2)
