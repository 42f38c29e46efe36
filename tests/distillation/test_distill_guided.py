"""Distillation with the scale of guidance as an input, from run folder to samples."""

import pytest
import torch
from tests.helpers.runs import labelled, small_teacher

import allegory as al
from allegory.models.flow_map import AtScale
from allegory.recipes import RunFolder
from allegory.recipes.teacher import Teacher

TRAINING = al.TrainingConfig(
    steps=30, batch_size=16, validation_every=0, learning_rate=0.01, warmup=0
)
CONFIG = al.DistillConfig(steps=2, teacher_steps=8, largest_scale=4.0)
LABELS = torch.tensor([0, 1, 0, 1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    small_teacher(folder, labelled())
    return folder


@pytest.fixture(scope="module")
def student(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("student") / "run"
    al.distill(run, out, CONFIG, training=TRAINING, data=labelled())
    return al.open(out)


def drawn(model, guide=None):
    return model.sample(range(4), LABELS, al.Sampler("flow_map", 2, guide=guide))


def test_the_guide_is_the_scale_of_the_network(student):
    plain, two = drawn(student), drawn(student, "cfg:2")
    assert not torch.equal(plain, two)
    assert torch.equal(plain, drawn(student, "cfg:1"))
    sampler = al.Sampler("flow_map", 2)
    predict, without = student.sampled(al.Sampler("flow_map", 2, guide="cfg:2"))
    assert isinstance(predict, AtScale)
    assert (predict.scale, without) == (2.0, sampler)


@pytest.mark.parametrize("guide", ["cfg:2:low=-3", "clamp", "cfg:2,clamp"])
def test_other_guides_are_refused(student, guide):
    with pytest.raises(ValueError, match="give cfg:W"):
        drawn(student, guide)


def test_what_has_no_use_for_a_scale_is_refused(run, student, tmp_path):
    small_teacher(tmp_path / "plain")
    plain = Teacher.of(RunFolder.open(tmp_path / "plain"))
    with pytest.raises(ValueError, match="no condition to guide by"):
        plain.student(CONFIG)
    with pytest.raises(ValueError, match="give one of them"):
        al.DistillConfig(guide="cfg:2", largest_scale=3.0)
    with pytest.raises(ValueError, match="above 1"):
        al.DistillConfig(largest_scale=1.0)
    with pytest.raises(ValueError, match="learns from the data"):
        al.DistillConfig("consistency", largest_scale=3.0)


@pytest.mark.parametrize("identity", ["semigroup", "lagrangian", "eulerian"])
def test_a_flow_map_learns_the_scale_too(run, tmp_path, identity):
    config = al.DistillConfig("flowmap", 2, identity=identity, largest_scale=3.0)
    folder, result = al.distill(run, tmp_path / "out", config, training=TRAINING, data=labelled())
    assert result.loss > 0
    model = folder.model()
    assert not torch.equal(drawn(model), drawn(model, "cfg:3"))
