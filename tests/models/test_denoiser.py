"""A network as a Predict: preconditioning in closed form, dtypes, times, conditions, solvers."""

import math

import pytest
import torch
from tests.helpers.paths import ENDLESS, ONE_PER_SCALING, PATHS
from torch import nn

from allegory import Denoiser, Mixture, Path, grid, sample
from allegory.conditions import Labels
from allegory.networks import MLPConfig
from allegory.process import TARGETS, Cosine, Geometric, LinearLogSNR, RectifiedFlow

TIMES = torch.tensor([0.02, 0.3, 0.6, 0.98], dtype=torch.float64)


class Spy(nn.Module):
    """A network that returns what it was given to return, and keeps what it saw."""

    def __init__(self, answer=0.0, dtype=torch.float64):
        super().__init__()
        self.answer, self.dtype = answer, dtype
        self.anything = nn.Parameter(torch.zeros(1, dtype=dtype))

    def forward(self, x, log_snr, condition=None):
        self.x, self.log_snr, self.condition = x, log_snr, condition
        return self.answer + torch.zeros_like(x)


def randomised(network, seed=0):
    """Every weight drawn anew: a new network of this library returns 0."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return network


def mlp(shape=(2,), condition=None, dtype=torch.float32):
    return randomised(MLPConfig(width=16, depth=2).build(shape, condition)).to(dtype)


@pytest.mark.parametrize("data_std", [0.5, 1.0])
def test_preconditioning_on_the_ve_path_is_that_of_edm(data_std):
    """D = c_skip x + c_out F(c_in x) with table 1 of Karras et al. 2022; the sign of F is a
    convention of the target.
    """
    path = Path(Geometric(0.002, 80.0), "ve")
    x, answer = torch.randn(2, 4, 3, dtype=torch.float64)
    network = Spy(answer)
    got = Denoiser(network, path, "edm", data_std)(x, TIMES).x0
    sigma = (0.002 * (80.0 / 0.002) ** TIMES)[:, None]
    c_skip = data_std**2 / (sigma**2 + data_std**2)
    c_out = sigma * data_std / (sigma**2 + data_std**2).sqrt()
    c_in = 1 / (sigma**2 + data_std**2).sqrt()
    torch.testing.assert_close(network.x, c_in * x)
    torch.testing.assert_close(got, c_skip * x + c_out * answer)
    torch.testing.assert_close(network.log_snr, -2 * sigma.flatten().log())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["linear-vp", "cosine-flow", "betas-sub_vp", "geometric-ve"])
def test_the_input_has_unit_variance_for_every_target(name, target):
    """c_in^2 (alpha^2 s^2 + sigma^2) = 1."""
    path, network, data_std = PATHS[name], Spy(), 0.6
    level = path.at(TIMES)
    Denoiser(network, path, target, data_std)(torch.ones(4, 1, dtype=torch.float64), TIMES)
    spread = (level.alpha * data_std) ** 2 + level.sigma**2
    torch.testing.assert_close(
        network.x.flatten().square() * spread, torch.ones(4, dtype=torch.float64)
    )


@pytest.mark.parametrize("data_std", [0.5, 1.0])
@pytest.mark.parametrize("name", PATHS)
def test_a_network_of_zeros_is_the_posterior_mean_of_a_normal(name, data_std):
    path, x = PATHS[name], torch.randn(4, 3, dtype=torch.float64)
    exact = Mixture(torch.zeros(1, 3, dtype=torch.float64), data_std, path=path)(x, TIMES)
    prediction = Denoiser(Spy(), path, "edm", data_std)(x, TIMES)
    torch.testing.assert_close(prediction.x0, exact.x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(prediction.eps, exact.eps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "edm"])
def test_the_output_is_the_target_itself(target):
    path, network = PATHS["linear-vp"], Spy(torch.randn(4, 3, dtype=torch.float64))
    x = torch.randn(4, 3, dtype=torch.float64)
    prediction = Denoiser(network, path, target, 0.5)(x, TIMES)
    at = path.at(TIMES, like=x)
    pair = {
        "x0": prediction.x0,
        "eps": prediction.eps,
        "score": -prediction.eps / at.sigma,
        "v": at.alpha * prediction.eps - at.sigma * prediction.x0,
        "flow": at.dalpha * prediction.x0 + at.dsigma * prediction.eps,
    }
    torch.testing.assert_close(pair[target], network.answer, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        at.alpha * prediction.x0 + at.sigma * prediction.eps, x, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("target", ["eps", "score"])
@pytest.mark.parametrize("schedule", [Cosine(9, -math.inf), RectifiedFlow()])
def test_eps_at_zero_terminal_snr_is_refused_with_the_remedy(target, schedule):
    with pytest.raises(
        ValueError, match=r"zero terminal SNR.*use target='v', 'x0', 'flow' or 'edm'"
    ):
        Denoiser(Spy(), Path(schedule, "vp"), target)


@pytest.mark.parametrize("data_std", [0.0, -1.0, math.nan])
def test_a_width_that_is_none_is_refused(data_std):
    with pytest.raises(ValueError, match="data_std="):
        Denoiser(Spy(), PATHS["linear-vp"], "edm", data_std)


def test_an_unknown_target_suggests_the_closest():
    with pytest.raises(ValueError, match="did you mean 'flow'"):
        Denoiser(Spy(), PATHS["linear-vp"], "flwo")


@pytest.mark.parametrize("network_dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("data_dtype", [torch.float32, torch.float64])
def test_a_network_of_any_precision_serves_data_of_any_other(network_dtype, data_dtype):
    """The network computes in its own precision, the prediction keeps the data's; they agree to the
    coarser of the two.
    """
    path, x = PATHS["cosine-vp"], torch.randn(4, 2, dtype=torch.float64)
    labels = torch.tensor([0, 1, -1, 2])
    exact = Denoiser(mlp((2,), Labels(3), torch.float64), path)(x, TIMES, labels)
    prediction = Denoiser(mlp((2,), Labels(3), network_dtype), path)(
        x.to(data_dtype), TIMES, labels
    )
    assert prediction.x0.dtype == data_dtype and prediction.eps.dtype == data_dtype
    coarser = max(torch.finfo(network_dtype).eps, torch.finfo(data_dtype).eps)
    scale = (exact.x0.abs() + exact.eps.abs()).max().item()
    torch.testing.assert_close(prediction.x0.double(), exact.x0, rtol=0, atol=20 * coarser * scale)
    torch.testing.assert_close(
        prediction.x_t.double(), x, rtol=0, atol=5 * torch.finfo(data_dtype).eps * scale
    )


def test_a_network_may_have_no_parameters():
    class Zero(nn.Module):
        def forward(self, x, log_snr, condition=None):
            return torch.zeros_like(x)

    x = torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(
        Denoiser(Zero(), PATHS["linear-vp"])(x, 0.5).x0,
        Denoiser(Spy(), PATHS["linear-vp"])(x, 0.5).x0,
    )


def test_a_number_a_tensor_and_a_level_are_one_time():
    path, x = PATHS["linear-flow"], torch.randn(4, 2)
    denoiser = Denoiser(mlp(), path, "v")
    (level,) = path.levels([0.3])
    reference = denoiser(x, torch.full((4,), 0.3, dtype=torch.float64))
    for t in (0.3, torch.tensor(0.3, dtype=torch.float64), level, path.at(0.3, like=x)):
        torch.testing.assert_close(denoiser(x, t).x0, reference.x0, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(denoiser(x, t).eps, reference.eps, rtol=1e-5, atol=1e-6)


def test_a_level_of_another_path_is_read_as_a_time():
    """The denoiser's own path decides how noisy a time is."""
    here, there, network = PATHS["linear-vp"], PATHS["cosine-vp"], Spy()
    (level,) = there.levels([0.25])
    prediction = Denoiser(network, here)(torch.randn(3, 2, dtype=torch.float64), level)
    assert prediction.level.path is here
    assert network.log_snr.tolist() == pytest.approx([8 - 15 * 0.25] * 3)


def test_labels_reach_the_network():
    path, x = PATHS["linear-vp"], torch.randn(3, 2)
    labels = torch.tensor([0, 1, -1])
    denoiser = Denoiser(mlp((2,), Labels(2)), path)
    y = denoiser(x, 0.5, labels).x0
    free, zero = denoiser(x, 0.5).x0, denoiser(x, 0.5, torch.zeros(3, dtype=torch.long)).x0
    torch.testing.assert_close(y[2], free[2])
    torch.testing.assert_close(y[0], zero[0])
    assert (y[1] - zero[1]).abs().max() > 1e-3 and (y[0] - free[0]).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(2,), (3, 4), (1, 2, 2), (2, 2, 2, 2)])
def test_data_of_any_shape(shape):
    x = torch.randn(4, *shape)
    prediction = Denoiser(mlp(shape), PATHS["linear-vp"])(x, torch.rand(4))
    assert prediction.x0.shape == x.shape and prediction.eps.shape == x.shape


@pytest.mark.parametrize("target", TARGETS)
def test_an_item_does_not_see_its_batch(target):
    path, x, t = PATHS["cosine-vp"], torch.randn(7, 2), torch.rand(7, dtype=torch.float64)
    denoiser = Denoiser(mlp(), path, target)
    alone = torch.cat([denoiser(x[i : i + 1], t[i : i + 1]).view("edm") for i in range(7)])
    torch.testing.assert_close(denoiser(x, t).view("edm"), alone, rtol=1e-5, atol=1e-5)


class Small(nn.Module):
    """A random network that costs next to nothing, for thousands of chains."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x, log_snr, condition=None):
        level = (log_snr.clamp(-20, 20) / 10)[:, None]
        return self.second(torch.tanh(self.first(torch.cat([x, level], 1))))


def possible(target, path):
    """The targets that this path allows: others are refused when the denoiser is built."""
    try:
        TARGETS[target].check(path)
    except ValueError:
        return False
    return True


KINDS = ("ddim", "ddpm", "euler", "heun", "epsab2c", "vab4c")
"""What a solver asks of a target: x0 and eps, their slopes in t, each of them alone, v."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*ONE_PER_SCALING, *ENDLESS])
def test_solvers_of_every_kind_on_every_target_are_finite_in_few_steps(name):
    """From one end of the path to the other; and an item is the same alone and in a batch."""
    path, network = PATHS[name], randomised(Small())
    x = path.prior_std * torch.randn(3, 2)
    for target in (target for target in TARGETS if possible(target, path)):
        denoiser = Denoiser(network, path, target)
        for solver in KINDS:
            for steps in (1, 3):
                walk = grid(path, steps)
                out = sample(denoiser, x, walk, solver=solver, seeds=range(3))
                assert out.isfinite().all(), (target, solver, steps)
            alone = sample(denoiser, x[1:2], walk, solver=solver, seeds=[1])
            size = 1 + out.abs().max().item()
            torch.testing.assert_close(
                out[1:2], alone, rtol=0, atol=1e-5 * size, msg=f"{target} {solver}"
            )


def test_the_path_and_the_network_are_parts_of_the_module():
    denoiser = Denoiser(mlp(), Path(LinearLogSNR()))
    assert {name for name, _ in denoiser.named_children()} == {"network", "path"}
    assert all(name.startswith("network.") for name in denoiser.state_dict())
