"""The SDE of every scaling against autograd, its solvers against the published steps, and where
they end on a Gaussian.
"""

import math

import pytest
import torch
from tests.helpers.gaussian import MEAN, STD, gaussian, last_state, spread
from tests.helpers.paths import SCALINGS

from allegory.process.betas import Betas
from allegory.process.grid import grid
from allegory.process.path import Level, Path
from allegory.process.schedule import Cosine, Geometric, LinearLogSNR, RectifiedFlow
from allegory.sampling import SOLVERS, sde, single_step, solver_named
from allegory.sampling.driver import SamplingLoop

SCHEDULES = {
    "linear": LinearLogSNR(8, -7),
    "cosine": Cosine(9, -9),
    "geometric": Geometric(0.02, 40.0),
    "straight": RectifiedFlow(),
}
NAMES = ("reverse_diffusion", "reverse_diffusion:0", "ddpm", "euler_maruyama")
RANGE, STEPS, ITEMS = 14.0, 400, 2000
BIAS = (RANGE / 8 + 1) * RANGE / STEPS
"""Of log std, for steps of h = RANGE/STEPS in log-SNR. Each multiplies a deviation from the mean
by 1 + r h, plus terms of
second order, where the exact flow has exp(int r). Its r = d log std/d log-SNR lies within 1/2, so
the logarithms differ by at most h^2 (r^2 + |r'|)/2 a step, the sum over all steps by h/2 (RANGE/4 +
2 of total variation). On `ve` the first part is reached: there r is -1/2 wherever the noise is
larger than the data. An SDE forgets the errors of steps long past."""


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_drift_and_diffusion_are_the_derivatives_of_the_scales(name, scaling):
    """f = d log alpha/dt and g^2 = d sigma^2/dt - 2 f sigma^2 by autograd in float64; on `ve`
    alpha is constant.
    """
    t = torch.tensor(
        [0.03, 0.1, 0.27, 0.44, 0.6, 0.81, 0.93], dtype=torch.float64, requires_grad=True
    )
    level = Path(SCHEDULES[name], scaling).at(t)
    (growth,) = torch.autograd.grad(level.sigma.square().sum(), t, retain_graph=True)
    f = torch.zeros_like(t)
    if level.alpha.requires_grad:
        (f,) = torch.autograd.grad(level.alpha.log().sum(), t, retain_graph=True)
    torch.testing.assert_close(level.drift, f, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        level.diffusion, growth - 2 * f * level.sigma.square(), rtol=1e-10, atol=0
    )


def one_step(solver, path, levels):
    """x at the first Level, its score there, the draw, and where the solver puts it."""
    x, z = torch.randn(2, 5, 2, dtype=torch.float64)
    found = last_state(solver_named(solver), gaussian(path), levels, [x], lambda like: z)
    return x, -gaussian(path)(x, levels[0]).eps / levels[0].sigma, z, found


@pytest.mark.parametrize("i", [1, 40, 600, 999])
def test_reverse_diffusion_on_vp_is_the_published_step(i):
    """Song et al. 2021, appendix E, in the letters of DDPM."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    path, beta = Path(Betas(betas)), betas[i]
    x, score, z, found = one_step("reverse_diffusion", path, path.levels([i / 999, (i - 1) / 999]))
    torch.testing.assert_close(
        found, (2 - (1 - beta).sqrt()) * x + beta * score + beta.sqrt() * z, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("times", [(0.9, 0.85), (0.5, 0.3), (0.1, 0.0)])
@pytest.mark.parametrize("solver", ["reverse_diffusion", "ddpm"])
def test_both_predictors_on_ve_are_the_published_steps(solver, times):
    """Reverse diffusion and ancestral sampling of Song et al. 2021, appendices E and F: one
    mean, two variances.
    """
    path = Path(SCHEDULES["geometric"], "ve")
    t, s = path.levels(times)
    x, score, z, found = one_step(solver, path, (t, s))
    fresh = t.sigma**2 - s.sigma**2
    variance = fresh if solver == "reverse_diffusion" else s.sigma**2 * fresh / t.sigma**2
    torch.testing.assert_close(found, x + fresh * score + math.sqrt(variance) * z)


def ends(solver, scaling):
    """Log std and mean at t = 0, less the exact ones, from the exact start; the mean in units of
    the larger of both.
    """
    path, solver = Path(LinearLogSNR(RANGE / 2, -RANGE / 2), scaling), solver_named(solver)
    levels = grid(path, STEPS, "log_snr", "min").levels
    first, last = levels[0], levels[-1]
    x = first.alpha * MEAN + spread(first) * torch.randn(ITEMS, 2, dtype=torch.float64)
    moves = solver.plan(levels)
    x = SamplingLoop(gaussian(path), x, first, draw=torch.randn_like).run(moves)
    size = MEAN.abs().clamp(min=spread(last))
    return (x.std(0).mean() / spread(last)).log().item(), (
        (x.mean(0) - last.alpha * MEAN) / size
    ).abs().max().item()


WITHIN = BIAS + 4 / math.sqrt(2 * 2 * ITEMS), BIAS + 4 / math.sqrt(ITEMS)
"""With four standard errors: of log std, over two coordinates, and of the mean of either."""


@pytest.mark.thorough
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("solver", NAMES)
def test_the_end_on_a_gaussian(solver, scaling):
    std, mean = ends(solver, scaling)
    assert abs(std) < WITHIN[0] and mean < WITHIN[1], (std, mean, WITHIN)


@pytest.mark.thorough
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    "solver", ["reverse_diffusion", "reverse_diffusion:0", "euler_maruyama", "euler_maruyama:0"]
)
def test_a_doubled_diffusion_ends_in_a_smaller_spread(solver, scaling, monkeypatch):
    """g^2 = 2 beta on VP is a mistake that other libraries have made; ddpm alone has no g^2 to
    be wrong.
    """
    once, right = sde.added_noise_std, Level.diffusion.func
    monkeypatch.setattr(Level, "diffusion", property(lambda level: 2 * right(level)))
    monkeypatch.setattr(sde, "added_noise_std", lambda *a: math.sqrt(2) * once(*a))
    std, _ = ends(solver, scaling)
    assert std < -WITHIN[0], std


def test_a_doubled_diffusion_lets_the_flow_collapse(monkeypatch):
    """It shrinks by int g^2/(2 p) dt more, p the variance of x_t: half of int d log-SNR/(1 +
    STD^2 SNR), in closed form.
    """
    right = Level.diffusion.func
    monkeypatch.setattr(Level, "diffusion", property(lambda level: 2 * right(level)))
    noisy, clean = (math.log1p(STD**2 * math.exp(log_snr)) for log_snr in (-RANGE / 2, RANGE / 2))
    lost = (RANGE - clean + noisy) / 2
    assert lost > 4  # to a sixtieth: 0.5 ends as 0.008
    assert ends("euler_maruyama:0", "vp")[0] == pytest.approx(-lost, abs=WITHIN[0])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_any_share_of_fresh_noise_in_a_ddpm_step_has_the_marginals(scaling, monkeypatch):
    """Why the check above leaves ddpm out: with more noise its step is that of another SDE with
    the same marginals.
    """
    once = single_step.added_noise_std
    monkeypatch.setattr(single_step, "added_noise_std", lambda *a: math.sqrt(2) * once(*a))
    std, mean = ends(SOLVERS["ddpm"], scaling)
    assert abs(std) < WITHIN[0] and mean < WITHIN[1], (std, mean, WITHIN)
