"""Picard's iteration: the states of the sequential solver, in at most as many rounds as steps."""

import pytest
import torch
from tests.helpers.mixtures import three_modes
from tests.helpers.paths import PATHS

from allegory.process import grid
from allegory.sampling import initial_noise, sample
from allegory.sampling.parallel import picard

PATH = PATHS["linear-vp"]
ORACLE = three_modes(PATH)


@pytest.mark.parametrize("end", ["zero", "min"])
@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp3s", "dpmpp2m", "unipc3", "auto", "rk4"])
def test_picard_iteration_gives_the_states_of_the_sequential_solver(solver, end):
    x, walk = initial_noise(PATH, (2,), range(5)).double(), grid(PATH, 7, "log_snr", end)
    found = picard(ORACLE, x, walk, solver=solver, tolerance=0.0)
    torch.testing.assert_close(
        found.x, sample(ORACLE, x, walk, solver=solver), rtol=1e-9, atol=1e-9
    )


def test_picard_iteration_stops_within_its_tolerance():
    x, walk = initial_noise(PATH, (2,), range(20)).double(), grid(PATH, 60, "log_snr")
    found = picard(ORACLE, x, walk, solver="dpmpp2m", tolerance=1e-4)
    truth = sample(ORACLE, x, walk, solver="dpmpp2m")
    assert (found.x - truth).abs().max() < 2e-3
    assert found.rounds.max() < 30


def test_alone_as_in_a_batch():
    x, walk = initial_noise(PATH, (2,), range(6)).double(), grid(PATH, 20, "log_snr")
    label = torch.tensor([0, 1, 2, 0, 1, 2])
    together = picard(ORACLE, x, walk, solver="auto", tolerance=1e-5, condition=label)
    assert len(set(together.rounds.tolist())) > 1
    for i in range(6):
        alone = picard(
            ORACLE, x[i : i + 1], walk, solver="auto", tolerance=1e-5, condition=label[i : i + 1]
        )
        assert alone.rounds[0] == together.rounds[i]
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=1e-12, atol=1e-12)
    nearest = (together.x[:, None] - ORACLE.means.reshape(3, 2)).square().sum(2).argmin(1)
    assert torch.equal(nearest, label)


def test_bad_input():
    with pytest.raises(ValueError, match="draws noise"):
        picard(ORACLE, torch.zeros(1, 2).double(), grid(PATH, 3), solver="ddpm")
    with pytest.raises(ValueError, match="tolerance=-1"):
        picard(ORACLE, torch.zeros(1, 2).double(), grid(PATH, 3), solver="ddim", tolerance=-1)
