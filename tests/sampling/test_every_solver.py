"""What every solver must do, whatever it is: few steps, every scaling, coarse networks, and back
again.
"""

import math

import pytest
import torch
from tests.helpers.gaussian import MEAN, STD, gaussian
from tests.helpers.paths import PATHS

from allegory.models import Denoiser
from allegory.process import grid
from allegory.sampling import SOLVERS, initial_noise, invert, sample
from allegory.sampling.tuning import LearnablePlan

SCALINGS = ("cosine-sub_vp", "straight-flow", "geometric-ve")
DETERMINISTIC = [
    name for name, solver in SOLVERS.items() if not solver.stochastic and name != "flow_map"
]


class Small(torch.nn.Module):
    """A network of any precision."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x, log_snr, condition=None):
        return self.layer(x) * log_snr[:, None].sigmoid().to(x)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "solver", [name for name in SOLVERS if name not in ("ddpm_learned", "flow_map")]
)
def test_few_steps_of_networks_in_float32_and_bfloat16(solver):
    torch.manual_seed(0)
    network = Small()
    for name in SCALINGS:
        path = PATHS[name]
        if solver in ("ncsn", "ncsn2") and not math.isfinite(path.schedule.ends[1]):
            continue  # refused: see test_correct.py
        x = initial_noise(path, (3,), range(4))
        for steps in (1, 3):
            levels = grid(path, steps, "angle")
            ends = []
            for dtype in (torch.float32, torch.bfloat16):
                predict = Denoiser(network.to(dtype), path, "v")
                ends.append(sample(predict, x, levels, solver=solver, seeds=range(4)))
                network.float()
            fine, coarse = ends
            assert fine.dtype == coarse.dtype == torch.float32 and fine.isfinite().all(), (
                name,
                steps,
            )
            assert (fine - coarse).abs().max() < 0.1 * max(1.0, fine.abs().max().item()), (
                name,
                steps,
            )


@pytest.mark.thorough
@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_the_error_of_inversion_and_sampling_falls_with_the_steps(solver):
    """At least in proportion (Song et al. 2020, DDIM, section 5.4)."""
    path = PATHS["linear-vp"]
    oracle, z = gaussian(path), torch.linspace(-2, 2, 8, dtype=torch.float64)[:, None]
    x0 = MEAN + STD * z

    def error(steps):
        walk = grid(path, steps, "log_snr", "min")
        back = sample(oracle, invert(oracle, x0, walk, solver=solver), walk, solver=solver)
        return (back / walk.levels[-1].alpha - x0).square().mean().sqrt().item()

    coarse, fine = error(40), error(160)
    assert fine < 0.05 and (fine < coarse / 3 or fine < 1e-9)


@pytest.mark.parametrize("name", ["straight-flow", "cosine_inf-vp", "linear-ve"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_tuned_sampler_in_few_steps(name, steps):
    path = PATHS[name]
    walk, moves = LearnablePlan(path, steps).numbers()
    assert walk.steps == steps and len(moves) == steps
    assert all(math.isfinite(w) for move in moves for w in (move.state, *move.history_weights))
