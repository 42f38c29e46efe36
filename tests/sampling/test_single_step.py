"""Every sampler against closed forms: a single Gaussian, on every path."""

import math
from itertools import product

import pytest
import torch
from tests.helpers.gaussian import (
    MEAN,
    STD,
    equal_times,
    gaussian,
    last_state,
    moments,
    on_flow,
    spread,
    unequal_times,
)
from tests.helpers.paths import ENDLESS, ONE_PER_SCALING, PATHS

from allegory.process.betas import Betas
from allegory.process.grid import grid
from allegory.process.mixture import Mixture
from allegory.process.path import Path
from allegory.process.schedule import Cosine
from allegory.sampling import SOLVERS, ddim, sample, solver_named

DETERMINISTIC = [
    name for name, solver in SOLVERS.items() if not solver.stochastic and name != "flow_map"
]
FEW = [
    "ddim", "euler", "heun", "midpoint", "dpmpp2s", "dpmpp3s", "dpmpp2m", "dpmpp3m", "plms",
    "unipc3", "unipc2:bh1", "vab4", "vab3c", "x0ab3", "epsab2c", "flowab2c",
]  # fmt: skip
"""One of each kind, where all would take long."""
PLAIN = [
    name
    for name in DETERMINISTIC
    if not name.startswith("unipc") and name != "auto" and name[-1] != "c"
]
SINGLE_STEP = ("ddim", "ddpm", "euler", "heun", "midpoint", "dpmpp2s", "dpmpp3s")
STOCHASTIC = ("ddpm", "ddim:0.5")


def test_the_gaussian_is_the_oracle():
    path, x = PATHS["cosine-sub_vp"], torch.randn(5, 2, dtype=torch.float64)
    (level,) = path.levels([0.3])
    torch.testing.assert_close(
        gaussian(path)(x, level).x0, Mixture(MEAN, STD, path=path)(x, level).x0
    )


@pytest.mark.parametrize(
    "solver", [name for name in DETERMINISTIC if name in SINGLE_STEP or SOLVERS[name].order <= 2]
)
@pytest.mark.parametrize("name", ["linear-vp", "cosine-flow"])
def test_order_of_accuracy(name, solver):
    """At the end of unequal steps. The first step of a multistep method is of first order: its
    error of h^2 stays.
    """
    path, order = PATHS[name], SOLVERS[solver].order
    z = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    first, *_, last = path.levels(unequal_times(2))

    def error(n):
        end = sample(gaussian(path), on_flow(first, z), unequal_times(n), solver=solver)
        return (end - on_flow(last, z)).abs().max().item()

    errors = [error(64), error(128)]
    assert math.log2(errors[0] / errors[1]) > order - 0.35, errors


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("solver", PLAIN)
@pytest.mark.parametrize("name", ["linear-vp", "cosine-flow", "linear-ve", "cosine-sub_vp"])
def test_local_error_after_unequal_steps(name, solver, grad):
    """Global order cannot see an inverted step ratio, which telescopes; one step after steps of
    other lengths can.

    With and without gradients, for which the history is kept in two ways.
    """
    path, z = PATHS[name], torch.tensor([[-2.0], [-0.4], [1.1], [1.9]], dtype=torch.float64)

    def error(h):
        used, oracle = SOLVERS[solver], gaussian(path)
        levels = path.levels(
            [0.45 + shift * h for shift in (7, 3, 2, 0, -1)[3 - min(used.order - 1, 3) :]]
        )
        states = [on_flow(level, z) for level in levels[:-1]]
        there = last_state(used, oracle, levels, states, grad=grad)
        return (there - on_flow(levels[-1], z)).abs().max().item()

    h = {1: 2e-3, 2: 4e-3, 3: 6e-3, 4: 3e-3}[SOLVERS[solver].order]
    errors = [error(h), error(h / 2)]
    assert math.log2(errors[0] / errors[1]) > SOLVERS[solver].order + 0.5, errors


@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("name", ONE_PER_SCALING)
def test_the_bias_of_a_stochastic_sampler_is_first_order_and_small(name, solver):
    path = PATHS[name]

    def bias(n):
        levels = path.levels(equal_times(n, 0.95, 0.05))
        mean, variance, _ = moments(solver_named(solver), path, levels)
        return max(
            (mean - levels[-1].alpha * MEAN[0]).abs().max().item(),
            abs(variance / spread(levels[-1]) ** 2 - 1),
        )

    coarse, fine = bias(100), bias(200)
    assert fine < 0.15
    assert coarse / fine == pytest.approx(2, abs=0.25)


@pytest.mark.thorough
@pytest.mark.parametrize("solver", [*FEW, *STOCHASTIC])
@pytest.mark.parametrize("name", [*ONE_PER_SCALING, *ENDLESS])
def test_end_mean_and_std_on_a_gaussian(name, solver):
    """From the exact x_1 to clean data: g^2 doubled, a known mistake, gives a std of 0.0016
    instead of 0.5.
    """
    path, used = PATHS[name], solver_named(solver)
    # Euler in t is far less accurate on a path whose sigma grows exponentially with t.
    steps = 1200 if solver == "euler" else 300 if used.order == 1 else 60
    walk = grid(path, steps, "time" if name in ENDLESS else "log_snr")
    if used.stochastic:
        mean, variance, _ = moments(used, path, walk.levels)
        std = torch.tensor(variance).sqrt().expand(2)
    else:
        z = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        low, high = sample(gaussian(path), on_flow(walk.levels[0], z), walk, solver=used)
        mean, std = (low + high) / 2, (high - low) / 2
    torch.testing.assert_close(mean, MEAN[0], rtol=0, atol=0.02)
    torch.testing.assert_close(std, torch.full((2,), STD).to(std), rtol=0.03, atol=0)


def test_ddpm_is_the_published_update():
    """Ho et al. 2020, algorithm 2 with variance beta-tilde, in the paper's letters."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha, A = 1 - betas, torch.cumprod(1 - betas, 0)
    path, i = Path(Betas(betas)), 600
    oracle, x, z = gaussian(path), torch.randn(4, 2).double(), torch.randn(4, 2).double()
    t, s = path.levels([i / 999, (i - 1) / 999])
    now = oracle(x, t)
    mean = (x - betas[i] / (1 - A[i]).sqrt() * now.eps) / alpha[i].sqrt()
    std = (betas[i] * (1 - A[i - 1]) / (1 - A[i])).sqrt()
    torch.testing.assert_close(
        last_state(SOLVERS["ddpm"], oracle, [t, s], [x], lambda like: z), mean + std * z
    )


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_the_published_update(eta):
    """Song et al. 2020, eq. 12 and 16."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    A = torch.cumprod(1 - betas, 0)
    path, i, j = Path(Betas(betas)), 700, 500
    oracle, x, z = gaussian(path), torch.randn(4, 2).double(), torch.randn(4, 2).double()
    t, s = path.levels([i / 999, j / 999])
    now = oracle(x, t)
    c = eta * ((1 - A[j]) / (1 - A[i])).sqrt() * (1 - A[i] / A[j]).sqrt()
    expected = A[j].sqrt() * now.x0 + (1 - A[j] - c**2).sqrt() * now.eps + c * z
    torch.testing.assert_close(last_state(ddim(eta), oracle, [t, s], [x], lambda like: z), expected)


@pytest.mark.thorough
@pytest.mark.parametrize("solver", [*FEW, *STOCHASTIC])
def test_few_steps_are_finite_at_every_end(solver):
    """One step begins and ends at once, three have a history: at finite and at infinite ends."""
    for name, steps, end in product(
        (*ONE_PER_SCALING, *ENDLESS), (1, 3), ("zero", "denoise", "min")
    ):
        path = PATHS[name]
        x, walk = path.prior_std * torch.randn(3, 2), grid(path, steps, "time", end)
        out = sample(gaussian(path), x, walk, solver=solver, seeds=range(3))
        assert out.isfinite().all() and out.dtype == torch.float32, (name, steps, end)


@pytest.mark.parametrize("solver", [*FEW, "ddpm"])
def test_zero_terminal_snr_runs(solver):
    path = Path(Cosine(9, -math.inf), "vp")
    end = sample(
        gaussian(path), torch.randn(4, 2).double(), grid(path, 60), solver=solver, seeds=range(4)
    )
    assert (end - MEAN).abs().max() < 6 * STD


def test_names():
    assert solver_named("ddim:0.3").name == "ddim:0.3"
    with pytest.raises(ValueError, match="did you mean 'dpmpp2m'"):
        solver_named("dpmp2m")
    with pytest.raises(ValueError, match="eta, a number"):
        solver_named("ddim:much")
    with pytest.raises(ValueError, match=r"eta=1\.5"):
        ddim(1.5)
