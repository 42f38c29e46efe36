"""Objectives of flow maps at the exact map of a Gaussian: their losses and expected gradients."""

import pytest
import torch
from torch import nn

from allegory.distillation.consistency import Consistency
from allegory.distillation.progressive import Progressive, halved, halvings
from allegory.distillation.self_distillation import IDENTITIES, SelfDistillation
from allegory.process import Mixture, Path
from allegory.process.angle import UNIT_V, angle, unit_state, velocity
from allegory.process.flow_map import GaussianFlowMap
from allegory.process.grid import grid
from allegory.process.prediction import Prediction
from allegory.process.schedule import LinearLogSNR

MEAN = torch.tensor([0.6, -0.3], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.8, 0.3], [0.3, 0.4]], dtype=torch.float64)


class Perturbed(nn.Module):
    """The exact flow map plus weights times features of state, level and level to reach."""

    def __init__(self, path):
        super().__init__()
        self.path, self.exact = path, GaussianFlowMap(MEAN, COVARIANCE, path)
        self.weights = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x_t, t, condition=None):
        return self.jump(x_t, t, t)

    def jump(self, x_t, t, s, condition=None):
        here, there = self.path.at(t, like=x_t), self.path.at(s, like=x_t)
        z, a, b, c = unit_state(x_t, here), *self.weights
        more = a + b * z + c * (angle(here) - 0.5 * angle(there))
        value = velocity(self.exact.jump(x_t, here, there)) + more
        return Prediction.solve(UNIT_V, value, x_t, here)


def items(count, seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(COVARIANCE)
    return MEAN + torch.randn(count, 2, dtype=torch.float64, generator=generator) @ root.mT


def gradients(objective, student, batches=60, count=1000):
    """The mean gradient of the loss over batches, and its standard error."""
    found = []
    for seed in range(batches):
        generator = torch.Generator().manual_seed(1000 + seed)
        loss = objective(student, items(count, seed), None, generator).mean()
        found.append(torch.autograd.grad(loss, student.weights)[0])
    whole = torch.stack(found)
    return whole.mean(0), whole.std(0) / batches**0.5


@pytest.fixture(params=["vp", "flow", "ve"])
def path(request):
    return Path(LinearLogSNR(8.0, -6.0), request.param)


@pytest.mark.parametrize("weight", ["truncated", "snr+1"])
def test_progressive_is_zero_for_the_flow_itself(path, weight):
    student = Perturbed(path)
    objective = Progressive(student.exact, grid(path, 8, "angle").levels, weight)
    loss = objective(student, items(100, 0), None, torch.Generator().manual_seed(0))
    assert loss.shape == (100,)
    assert loss.max() < 1e-18

    with torch.no_grad():
        student.weights += 0.3
    loss = objective(student, items(100, 0), None, torch.Generator().manual_seed(0))
    assert loss.min() > 1e-4


def test_a_step_of_the_student_is_two_ddim_steps_of_the_teacher(path):
    """The V that makes the loss zero takes x_t to where the two steps of a denoiser end."""
    oracle = Mixture(MEAN[None], None, covariances=COVARIANCE[None], path=path)
    levels = grid(path, 2, "angle").levels

    class TwoSteps(Perturbed):
        def jump(self, x_t, t, s, condition=None):
            here = self.path.at(t, like=x_t)
            x_m = oracle(x_t, levels[0]).at(levels[1])
            x_s = oracle(x_m, levels[1]).at(levels[2])
            d = angle(levels[2]) - angle(levels[0])
            z, z_s = unit_state(x_t, levels[0]), unit_state(x_s, levels[2])
            return Prediction.solve(UNIT_V, (z_s - torch.cos(d) * z) / torch.sin(d), x_t, here)

    objective = Progressive(oracle, levels)
    loss = objective(TwoSteps(path), items(50, 0), None, torch.Generator().manual_seed(0))
    assert loss.max() < 1e-18


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("of", ["items", "teacher"])
def test_self_distillation_has_no_expected_gradient_at_the_exact_map(path, identity, of):
    student = Perturbed(path)
    teacher = student.exact if of == "teacher" else None
    mean, error = gradients(SelfDistillation(teacher, identity), student)
    assert (mean.abs() < 4 * error + 1e-12).all(), (mean, error)

    with torch.no_grad():
        student.weights += 0.1
    mean, error = gradients(SelfDistillation(teacher, identity), student, batches=5)
    assert (mean.abs() > 10 * error).any()


def test_an_item_alone_learns_the_diagonal_and_jumps(path):
    """With the exact flow as teacher the loss of the diagonal is zero for exact weights alone."""
    student = Perturbed(path)
    with torch.no_grad():
        student.weights[2] = 0.3
    objective, generator = SelfDistillation(student, "semigroup"), torch.Generator().manual_seed(0)
    losses = torch.cat([objective(student, items(1, k), None, generator) for k in range(60)])
    # The student is its own teacher: the diagonal has no error, its jumps have.
    assert 15 < int((losses > 0).sum()) < 45
    both = objective(student, items(2, 0), None, generator)
    assert both.shape == (2,)
    assert both[0] == 0
    assert both[1] > 0


def test_the_gradient_of_consistency_at_the_exact_map_vanishes_with_the_gap():
    student = Perturbed(Path(LinearLogSNR(8.0, -6.0), "vp"))

    def size(gap):
        # The weight is 1/gap^2, and the residual of neighbours on the flow is of order gap.
        mean, _ = gradients(Consistency(gap=gap), student, batches=150)
        return float(mean.norm()) * gap**2

    wide, narrow = size(0.5), size(0.125)
    assert narrow < wide / 8


def test_halving():
    assert halvings(32, 4) == ((32, 16), (16, 8), (8, 4))
    levels = grid(Path.vdm(8, -6), 8, "angle").levels
    assert [level.t for level in halved(levels)] == [level.t for level in levels][::2]
    for wrong in ((32, 5), (4, 4), (4, 8), (12, 2)):
        with pytest.raises(ValueError, match="halving leads to"):
            halvings(*wrong)
    with pytest.raises(ValueError, match=r"no whole number; give teacher_steps = 4 times a power"):
        halvings(3, 4)


def test_bad_input(path):
    exact = GaussianFlowMap(MEAN, COVARIANCE, path)
    oracle = Mixture(MEAN[None], 1.0, path=path)
    other = Path(LinearLogSNR(7.0, -6.0), path.scaling.name)
    with pytest.raises(ValueError, match="even number"):
        Progressive(exact, grid(path, 3, "angle").levels)
    with pytest.raises(ValueError, match="weight"):
        Progressive(exact, grid(path, 4, "angle").levels, "snr")
    with pytest.raises(ValueError, match="both the same path"):
        SelfDistillation(GaussianFlowMap(MEAN, COVARIANCE, other)).check(exact)
    with pytest.raises(ValueError, match="give a flow map"):
        Consistency().check(oracle)
    with pytest.raises(ValueError, match="identity"):
        SelfDistillation(identity="euler")
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="diagonal"):
            SelfDistillation(diagonal=wrong)
    with pytest.raises(ValueError, match="gap"):
        Consistency(gap=0.0)


def test_progressive_weighs_the_error_of_v_by_the_larger_of_signal_and_noise():
    """max(SNR, 1) |error of x0|^2 where that of x0 is sigma times that of V (Salimans & Ho)."""
    path = Path(LinearLogSNR(8.0, -6.0))
    student = Perturbed(path)
    with torch.no_grad():
        student.weights += 0.3
    for t in (0.9, 0.55, 0.2):
        levels = path.levels([t, t / 2, 0.0])
        losses = [
            Progressive(student.exact, levels, weight)(
                student, items(20, 0), None, torch.Generator().manual_seed(0)
            )
            for weight in ("truncated", "snr+1")
        ]
        wanted = max(float(levels[0].alpha) ** 2, float(levels[0].sigma) ** 2)
        assert (losses[0] / losses[1] - wanted).abs().max() < 1e-9


def test_consistency_has_a_limit_as_its_gap_falls():
    """The loss tends to the squared slope of the clean end along the flow."""
    path = Path(LinearLogSNR(8.0, -6.0))
    student = Perturbed(path)
    with torch.no_grad():
        student.weights += 0.3
    losses = [
        Consistency(None, gap)(student, items(500, 0), None, torch.Generator().manual_seed(0))
        for gap in (1 / 64, 1 / 128)
    ]
    inner = slice(50, 450)
    ratio = losses[1][inner].mean() / losses[0][inner].mean()
    assert 0.9 < ratio < 1.1
