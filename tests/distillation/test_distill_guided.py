"""Distillation with the scale of guidance as an input, from run folder to samples."""

import copy
from dataclasses import replace

import pytest
import torch
from tests.helpers.runs import labelled, small_teacher

import allegory as al
from allegory.models.flow_map import AtScale
from allegory.networks import MLPConfig
from allegory.recipes import RunFolder
from allegory.recipes.few_step import FewStepConfig
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


@pytest.mark.parametrize("solver", ["flow_map", "ddim"])
@pytest.mark.parametrize("guide", ["cfg:0.9", "cfg:0", "cfg:-2", "cfg:4.1"])
def test_a_scale_that_was_not_trained_is_refused(student, solver, guide):
    student = student if solver == "flow_map" else jumps_of_any_kind(student)
    with pytest.raises(ValueError, match="trained on scales from 1 to 4"):
        student.sample(range(4), LABELS, al.Sampler(solver, 2, guide=guide))


def jumps_of_any_kind(student):
    other = copy.deepcopy(student)
    other.objective = replace(student.objective, jumps="any")
    return other


def test_a_scale_without_a_condition_is_refused(student):
    with pytest.raises(ValueError, match="guide cfg:2 without a condition"):
        student.sample(range(4), None, al.Sampler("flow_map", 2, guide="cfg:2"))


def test_a_student_of_a_student_has_no_larger_scale(run, student, tmp_path):
    config = replace(CONFIG, largest_scale=3.0)
    al.distill(run, tmp_path / "s", config, training=TRAINING, data=labelled())
    teacher = Teacher.of(RunFolder.open(tmp_path / "s"))
    config = al.DistillConfig(steps=1, largest_scale=3.5)
    with pytest.raises(ValueError, match="trained on scales up to 3; give that"):
        teacher.student(config)
    assert teacher.student(replace(config, largest_scale=2.0)).distillation.teacher_steps == 2


def test_without_a_teacher_there_is_no_guidance():
    for choice in ({"guide": "cfg:2"}, {"largest_scale": 3.0}):
        with pytest.raises(ValueError, match="learned from a teacher; leave both out"):
            FewStepConfig(
                MLPConfig(8, 1), distillation=al.DistillConfig("flowmap", **choice), from_data=True
            )


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
