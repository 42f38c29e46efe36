"""Distillation of guidance: the teacher is classifier-free guidance at the scale of each item."""

from functools import partial

import pytest
import torch

from allegory.conditions import Labels
from allegory.distillation.guided import GuidedTeacher, WithScale
from allegory.distillation.progressive import Progressive
from allegory.guidance import ClassifierFree
from allegory.models.flow_map import AtScale, FlowMapDenoiser
from allegory.networks import MLPConfig
from allegory.process import Mixture, Path
from allegory.process.flow_map import GaussianFlowMap
from allegory.process.grid import grid

PATH = Path.vdm(8.0, -6.0)
MEANS = torch.tensor([[1.0, 0.5], [-1.0, 0.2]], dtype=torch.float64)
ORACLE = Mixture(MEANS, 0.5, path=PATH, labels=torch.tensor([0, 1]))
LEVELS = grid(PATH, 4, "angle").levels


def items(count):
    x = torch.randn(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(count) % 2


def student():
    network = MLPConfig(width=8, depth=1).build((2,), Labels(2)).double()
    return FlowMapDenoiser(network, PATH, "edm", guided=True)


def test_the_teacher_is_classifier_free_guidance_of_each_item():
    x, labels = items(4)
    scales = torch.tensor([1.0, 2.0, 3.0, 0.0], dtype=torch.float64)
    together = GuidedTeacher(ORACLE, scales)(x, 0.5, labels).x0
    for i, scale in enumerate(scales.tolist()):
        alone = ClassifierFree(scale)(ORACLE)(x[i : i + 1], 0.5, labels[i : i + 1]).x0
        torch.testing.assert_close(together[i : i + 1], alone)


def test_student_and_teacher_are_asked_at_the_same_scale():
    asked = {}

    class Recorded(Progressive):
        def __call__(self, predict, x0, condition, generator):
            asked.update(teacher=self.teacher.scale, student=predict.scale)
            return super().__call__(predict, x0, condition, generator)

    x, labels = items(200)
    objective = WithScale(ORACLE, partial(Recorded, levels=LEVELS), highest=3.0)
    loss = objective(student(), x, labels, torch.Generator().manual_seed(1))
    assert loss.shape == (200,)
    torch.testing.assert_close(asked["teacher"], asked["student"])
    assert 1 <= asked["student"].min() < 1.1
    assert 2.9 < asked["student"].max() <= 3


def test_a_student_of_a_student_is_asked_at_the_same_scale():
    x, labels = items(6)
    objective = WithScale(student(), partial(Progressive, levels=LEVELS))
    loss = objective(student(), x, labels, torch.Generator().manual_seed(0))
    assert loss.shape == (6,)
    loss.mean().backward()


def test_the_scale_reaches_the_network():
    x, labels = items(5)
    found, generator = student(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in found.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    low, high = (AtScale(found, w)(x, 0.5, labels).x0 for w in (1.0, 3.0))
    assert not torch.allclose(low, high)
    torch.testing.assert_close(low, found(x, 0.5, labels).x0)


def test_a_scale_that_is_no_input():
    x, labels = items(3)
    with pytest.raises(ValueError, match=r"shape \(2,\) for 3 items"):
        student().jump(x, 0.5, 0.2, labels, torch.ones(2))
    network = MLPConfig(width=8, depth=1).build((2,), Labels(2)).double()
    plain = FlowMapDenoiser(network, PATH, "edm")
    with pytest.raises(ValueError, match="no scale of guidance as an input"):
        plain.jump(x, 0.5, 0.2, labels, 2.0)


def test_bad_input():
    with pytest.raises(ValueError, match="scale above 1"):
        WithScale(ORACLE, partial(Progressive, levels=LEVELS), highest=1.0)
    with pytest.raises(ValueError, match="guided=True"):
        WithScale(ORACLE, partial(Progressive, levels=LEVELS)).check(
            GaussianFlowMap(MEANS[0], torch.eye(2, dtype=torch.float64), PATH)
        )
