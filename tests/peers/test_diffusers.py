"""Equality with the schedulers of diffusers: the same levels, the same noise, the same x_T.

Their scheduler gets our Levels, sigma/alpha or alpha-bar in float64: it keeps its tables in
float32 and rounds grids to whole steps, which is another grid and no other algorithm. Everything
else runs in float32, so two ways of writing one sum
differ by about 1e-6 of the state.
"""

from itertools import pairwise

import pytest
import torch

from allegory import Mixture, Path, grid, trajectory
from allegory.process import Betas, Grid
from allegory.process.noise import Noise

pytest.importorskip(
    "diffusers", reason="diffusers is not installed; pip install -c constraints.txt -e '.[peers]'"
)

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
PATH, LAST = Path(Betas(BETAS)), len(BETAS) - 1
ITEMS, SEEDS, STEPS = 16, range(16), 12
EXACT = Mixture(
    torch.tensor([[1.0, 0.5, -0.2], [-1.0, 0.3, 0.8], [0.1, -1.2, 0.4]]), 0.3, path=PATH
)
FULL = {"prediction_type": "sample", "lower_order_final": False}


def started():
    return Noise(SEEDS, EXACT.shape).draw()


def ours(solver, levels, **noise):
    """Every state after the first."""
    return [state.x for state in trajectory(EXACT, started(), levels, solver=solver, **noise)]


def theirs(scheduler, levels, step=None):
    """Every state after the first; `step(x0, timestep, x)` where the scheduler needs more."""
    x, states = started(), []
    for level, timestep in zip(levels.levels, scheduler.timesteps, strict=False):
        x0 = EXACT(x, level).x0
        x = (step or scheduler.step)(x0, timestep, x).prev_sample
        states.append(x)
    return states


def alike(one, other):
    """Within 1e-5 of the size of the state, at every step."""
    assert len(one) == len(other) > 2
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * b.abs().max().item())


def ancestral(name, timesteps, **options):
    """A scheduler that looks alpha-bar up at whole steps."""
    import diffusers

    scheduler = getattr(diffusers, name)(trained_betas=BETAS.numpy(), **options)
    scheduler.alphas_cumprod = torch.log1p(-BETAS).cumsum(0).exp()
    scheduler.final_alpha_cumprod = (
        torch.ones(()) if options.get("set_alpha_to_one", True) else scheduler.alphas_cumprod[0]
    )
    scheduler.set_timesteps(**timesteps)
    return scheduler


def whole(scheduler, end):
    """Our grid at the scheduler's steps: step i is time i/999, and the end comes after them."""
    return Grid((*PATH.levels(scheduler.timesteps / LAST), end))


def multistep(name, levels, **options):
    """A scheduler that steps through a list of sigma/alpha."""
    import diffusers

    scheduler = getattr(diffusers, name)(**options)
    scheduler.set_timesteps(levels.steps)
    scheduler.sigmas = torch.tensor(
        [level.sigma / level.alpha for level in levels.levels], dtype=torch.float64
    )
    scheduler.set_begin_index(0)
    return scheduler


def test_ddpm(monkeypatch):
    """Unequal steps down to 0, then the posterior mean: end 'denoise'. Variance: fixed_small."""
    steps = [999, 900, 750, 700, 511, 400, 300, 200, 90, 40, 7, 0]
    scheduler = ancestral(
        "DDPMScheduler",
        {"timesteps": steps},
        prediction_type="sample",
        clip_sample=False,
        variance_type="fixed_small",
    )
    noise = Noise(SEEDS, EXACT.shape)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noise.draw()
    )
    levels = whole(scheduler, PATH.clean)
    alike(ours("ddpm", levels, seeds=SEEDS), theirs(scheduler, levels))


@pytest.mark.parametrize("end", ["zero", "min"])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim(eta, end):
    """Steps are 1000 // N apart, so N divides 1000; the last alpha-bar is 1 or that of step 0."""
    scheduler = ancestral(
        "DDIMScheduler", {"num_inference_steps": 10}, prediction_type="sample", clip_sample=False,
        timestep_spacing="trailing", set_alpha_to_one=end == "zero",
    )  # fmt: skip
    levels = whole(scheduler, PATH.clean if end == "zero" else PATH.levels([0.0])[0])
    noise = Noise(SEEDS, EXACT.shape)

    def step(*given):
        return scheduler.step(*given, eta=eta, variance_noise=noise.draw())

    mine = ours(f"ddim:{eta}", levels, seeds=SEEDS) if eta else ours("ddim", levels)
    alike(mine, theirs(scheduler, levels, step))


@pytest.mark.parametrize("end", ["zero", "min"])
@pytest.mark.parametrize("spacing", ["time", "log_snr", "karras"])
def test_dpmpp2m(spacing, end):
    """To sigma = 0 both are of order 1; to sigma > 0 theirs too, unless lower_order_final=False."""
    levels = grid(PATH, STEPS, spacing, end)
    kind = {"final_sigmas_type": "zero" if end == "zero" else "sigma_min"}
    scheduler = multistep(
        "DPMSolverMultistepScheduler", levels, solver_type="midpoint", **FULL, **kind
    )
    alike(ours("dpmpp2m", levels), theirs(scheduler, levels))


def test_adams_in_the_x0_form_is_the_heun_type_of_dpmpp2m():
    levels = grid(PATH, STEPS, "karras", "min")
    scheduler = multistep(
        "DPMSolverMultistepScheduler",
        levels,
        solver_type="heun",
        final_sigmas_type="sigma_min",
        **FULL,
    )
    alike(ours("x0ab2", levels), theirs(scheduler, levels))


@pytest.mark.parametrize("order", [2, 3])
def test_adams_in_the_eps_form_is_deis(order):
    """Theirs is "log-rho": eps as a polynomial in log(sigma/alpha)."""
    levels = grid(PATH, STEPS, "karras", "min")
    scheduler = multistep("DEISMultistepScheduler", levels, solver_order=order, **FULL)
    alike(ours(f"epsab{order}", levels), theirs(scheduler, levels))


@pytest.mark.parametrize("spacing", ["time", "log_snr", "karras"])
@pytest.mark.parametrize("bh", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order, bh, spacing):
    """To sigma > 0, where every step is of full order once there are predictions enough."""
    levels = grid(PATH, STEPS, spacing, "min")
    scheduler = multistep(
        "UniPCMultistepScheduler", levels, solver_order=order, solver_type=bh, **FULL
    )
    alike(
        ours(f"unipc{order}" + (":bh1" if bh == "bh1" else ""), levels), theirs(scheduler, levels)
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_to_clean_data(order):
    """Theirs divides by zero there with bh1, and unless lower_order_final counts the order down.

    The last step but one then has order 2, ours 3: the last two states of order 3 are not compared.
    """
    levels = grid(PATH, STEPS, "log_snr", "zero")
    options = FULL | {"lower_order_final": True}
    scheduler = multistep(
        "UniPCMultistepScheduler", levels, solver_order=order, solver_type="bh2", **options
    )
    common = STEPS if order < 3 else STEPS - 2
    alike(ours(f"unipc{order}", levels)[:common], theirs(scheduler, levels)[:common])


@pytest.mark.parametrize("kind", ["karras", "exponential"])
def test_grids(kind):
    """Ours down to t = 0; theirs ends twice there, so that the last step of N is none."""
    import diffusers

    scheduler = diffusers.UniPCMultistepScheduler(
        trained_betas=BETAS.numpy(), final_sigmas_type="sigma_min", **{f"use_{kind}_sigmas": True}
    )
    scheduler.alphas_cumprod = torch.log1p(-BETAS).cumsum(0).exp()
    scheduler.set_timesteps(STEPS + 1)
    levels = grid(PATH, STEPS, "karras" if kind == "karras" else "log_snr", "min").levels
    mine = torch.tensor([level.sigma / level.alpha for level in levels])
    torch.testing.assert_close(scheduler.sigmas[:-1], mine, rtol=1e-6, atol=0)
    assert scheduler.sigmas[-1] == scheduler.sigmas[-2]
    assert all(a > b for a, b in pairwise(scheduler.sigmas[:-1].tolist()))
