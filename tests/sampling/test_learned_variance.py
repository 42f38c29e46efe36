"""A learned variance of the reverse step: DDPM's two at its ends, number by number, and no
matter to any other solver.
"""

from dataclasses import replace

import pytest
import torch
from tests.helpers.gaussian import gaussian, last_state
from tests.helpers.paths import PATHS

from allegory.guidance import ClampX0, ClassifierFree
from allegory.models import Denoiser, LearnedVariance
from allegory.process import as_predict, grid
from allegory.sampling import SOLVERS, initial_noise, sample

PATH = PATHS["linear-vp"]
T, S = PATH.levels([0.5, 0.4])
STATE = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64)


def sharing(share):
    def predict(x, t, condition=None):
        return replace(
            gaussian(PATH)(x, t), variance_fraction=torch.as_tensor(share).to(x).expand_as(x)
        )

    return as_predict(predict, PATH)


def step(solver, share):
    """One step from a fixed state with a fixed draw."""
    return last_state(SOLVERS[solver], sharing(share), [T, S], [STATE], torch.ones_like)


@pytest.mark.parametrize(("share", "same"), [(0.0, "ddpm"), (1.0, "ddpm_large")])
def test_the_ends_are_ddpms_two_variances(share, same):
    torch.testing.assert_close(
        step("ddpm_learned", share), step(same, share), rtol=1e-12, atol=1e-12
    )


def test_number_by_number_it_is_the_geometric_mean():
    """Nichol & Dhariwal 2021, eq. 15: exp(v log beta + (1 - v) log beta-tilde)."""
    share = torch.tensor([[0.0, 0.25], [0.5, 1.0]], dtype=torch.float64)
    quiet = last_state(
        SOLVERS["ddpm"],
        gaussian(PATH),
        [T, S],
        [torch.tensor([[0.3, -0.7], [1.1, 0.2]]).double()],
        torch.zeros_like,
    )
    low, high = (step(name, 0.0) - quiet for name in ("ddpm", "ddpm_large"))
    torch.testing.assert_close(
        step("ddpm_learned", share) - quiet, low ** (1 - share) * high**share
    )


def test_a_model_that_did_not_learn_it_is_refused():
    with pytest.raises(ValueError, match="use ddpm or ddpm_large"):
        sample(
            gaussian(PATH),
            torch.zeros(1, 2).double(),
            grid(PATH, 3),
            solver="ddpm_learned",
            seeds=[0],
        )


class Twice(torch.nn.Module):
    """Twice the channels: the mean, and a variance that depends on the place."""

    def forward(self, x, log_snr, condition=None):
        return torch.cat([0.1 * x, torch.tanh(x)], 1)


@pytest.mark.parametrize("solver", ["ddpm_learned", "ddim", "auto", "ddpm"])
def test_a_network_that_puts_out_twice_the_channels(solver):
    """With every solver, guided and clamped too."""
    predict = Denoiser(Twice(), PATH, LearnedVariance("v"))
    x = initial_noise(PATH, (3, 4, 4), range(2))
    for used in (predict, ClassifierFree(2.0)(predict), ClampX0()(predict)):
        out = sample(
            used, x, grid(PATH, 4), solver=solver, seeds=range(2), condition=torch.tensor([0, 1])
        )
        assert out.shape == x.shape and out.isfinite().all()
    prediction = predict(x, 0.5)
    torch.testing.assert_close(
        prediction.variance_fraction,
        (torch.tanh(predict.input_scale(prediction.level) * x) + 1) / 2,
    )
    torch.testing.assert_close(
        prediction.view("v"), 0.1 * predict.input_scale(prediction.level) * x
    )


def test_a_network_of_plain_width_is_refused():
    with pytest.raises(ValueError, match="twice the channels"):
        Denoiser(torch.nn.Identity(), PATH, LearnedVariance())
        LearnedVariance().read(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), T)
