"""Distillation of a run: where a student begins, its phases, and a run that goes on."""

import shutil
import signal
from dataclasses import replace

import pytest
import torch
from tests.helpers.runs import labelled, small_images, small_teacher

import allegory as al
from allegory.distillation.config import DISTILLATION_METHODS
from allegory.distillation.consistency import Consistency
from allegory.distillation.progressive import Progressive
from allegory.distillation.self_distillation import SelfDistillation
from allegory.inverse import Identity
from allegory.models.few_step import JUMPS
from allegory.process.flow_map import MidpointMap
from allegory.process.grid import grid
from allegory.recipes import RunFolder
from allegory.recipes.distill import Distillation
from allegory.recipes.few_step import NoTeacher
from allegory.recipes.phases import phases
from allegory.recipes.serialize import from_json, to_json
from allegory.recipes.teacher import Teacher
from allegory.training import Interrupted

HALVING = al.DistillConfig(steps=2, teacher_steps=8)
SHORT = al.TrainingConfig(steps=6, batch_size=16, validation_every=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    small_teacher(folder)
    return folder


@pytest.fixture(scope="module")
def student(run, tmp_path_factory):
    """A student of two steps by way of one of four."""
    out = tmp_path_factory.mktemp("student") / "run"
    al.distill(run, out, HALVING, training=SHORT)
    return out


def weights(folder):
    return RunFolder.open(folder, "ema").model().state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("target", ["edm", "v", "x0", "categorical"])
def test_with_the_weights_of_its_teacher_a_jump_is_a_step_of_ddim(tmp_path, target):
    data = small_images() if target == "categorical" else "rings"
    small_teacher(tmp_path, data, target)
    teacher = Teacher.of(RunFolder.open(tmp_path))
    config = teacher.student(HALVING)
    student = config.build(teacher.model.spec).eval()
    teacher.start(student)

    jumped = student.sample(range(8))
    ddim = al.Sampler("ddim", steps=2, spacing="angle:3")
    assert torch.equal(jumped, teacher.model.sample(range(8), sampler=ddim))


def test_each_halving_is_the_teacher_of_the_next(run, student):
    halving = student / "halvings" / "4"
    first, last = RunFolder.open(halving), RunFolder.open(student)
    assert first.initial == str(run) and last.initial == str(halving)
    assert first.model().sampler == al.Sampler("flow_map", 4)
    assert last.model().sampler == al.Sampler("flow_map", 2)
    assert first.run.training.steps == last.run.training.steps == 3
    assert not same(weights(halving), weights(student))


def test_a_phase_is_trained_on_two_steps_of_its_teacher(run):
    teacher = Teacher.of(RunFolder.open(run))
    first, last = phases(teacher.student(HALVING))
    path = teacher.model.denoiser.path
    for phase, steps in ((first, 8), (last, 4)):
        objective = phase.objective(teacher.predict(None))
        assert isinstance(objective, Progressive) and isinstance(objective.teacher, MidpointMap)
        assert objective.teacher.base is teacher.model.denoiser
        levels = grid(path, steps, "angle").levels
        assert [level.t for level in objective.levels] == [level.t for level in levels]


def test_the_gap_is_halved_down_to_the_last(run):
    teacher = Teacher.of(RunFolder.open(run))
    found = phases(teacher.student(al.DistillConfig("consistency", gap=1 / 8)))
    assert [phase.place for phase in found] == ["gaps/0.5", "gaps/0.25", ""]
    objectives = [phase.objective(teacher.predict(None)) for phase in found]
    assert [each.gap for each in objectives] == [1 / 2, 1 / 4, 1 / 8]


def test_a_flow_map_has_one_phase(run):
    teacher = Teacher.of(RunFolder.open(run))
    (only,) = phases(teacher.student(al.DistillConfig("flowmap", identity="eulerian")))
    objective = only.objective(teacher.predict(None))
    assert isinstance(objective, SelfDistillation)
    assert (only.place, objective.identity) == ("", "eulerian")
    assert al.DistillConfig("flowmap").identity == "semigroup"


@pytest.mark.parametrize("method", DISTILLATION_METHODS)
def test_a_student_is_opened_and_samples_by_itself(run, tmp_path, method):
    config = al.DistillConfig(method, 2, teacher_steps=4 if method == "progressive" else None)
    folder, result = al.distill(run, tmp_path / "s", config, training=SHORT)
    model, again = folder.model(), al.open(tmp_path / "s")
    assert torch.equal(model.sample(range(5)), again.sample(range(5)))
    own = al.Sampler(DISTILLATION_METHODS[method].solver, 2)
    assert torch.equal(again.sample(range(5)), again.sample(range(5), sampler=own))
    assert result.loss > 0 and folder.run.unit == DISTILLATION_METHODS[method].unit
    assert again.jumps == DISTILLATION_METHODS[method].jumps in JUMPS


def test_units_are_those_of_the_objectives(run):
    teacher = Teacher.of(RunFolder.open(run)).model.denoiser
    levels = grid(teacher.path, 2).levels
    objectives = Progressive(teacher, levels), SelfDistillation(), Consistency()
    assert [each.unit for each in objectives] == [
        each.unit for each in DISTILLATION_METHODS.values()
    ]


@pytest.mark.parametrize("stops", [(1,), (4,), (1, 4)])
def test_an_interrupted_distillation_goes_on_bit_for_bit(run, student, tmp_path, stops):
    """Steps 1 to 3 are those of the first halving; a signal ends the step after it."""

    def interrupt_at(step):
        return lambda now: signal.raise_signal(signal.SIGINT) if now.step == step else None

    every = replace(SHORT, log_every=1)
    for number, step in enumerate(stops):
        with pytest.raises(Interrupted):
            al.distill(
                run,
                tmp_path / "s",
                HALVING,
                training=every,
                resume=number > 0,
                callbacks=[interrupt_at(step)],
            )
    al.distill(run, tmp_path / "s", HALVING, training=SHORT, resume=True)
    for place in ("", "halvings/4"):
        assert same(weights(tmp_path / "s" / place), weights(student / place))


def test_finished_halvings_are_kept(run, student, tmp_path):
    shutil.copytree(student, tmp_path / "s")
    halving = tmp_path / "s" / "halvings" / "4"
    before = (halving / "ema.safetensors").stat().st_mtime_ns
    for file in (tmp_path / "s").glob("*.*"):
        file.unlink()
    shutil.rmtree(tmp_path / "s" / "state")

    al.distill(run, tmp_path / "s", HALVING, resume=True)
    assert (halving / "ema.safetensors").stat().st_mtime_ns == before
    assert same(weights(tmp_path / "s"), weights(student))


def test_the_numbers_of_a_callback_count_all_phases(run, tmp_path):
    seen = []
    training = replace(SHORT, log_every=1)
    al.distill(run, tmp_path / "s", HALVING, training=training, callbacks=[seen.append])
    assert [now.step for now in seen] == [1, 2, 3, 4, 5, 6]
    assert [round(6 * now.progress, 9) for now in seen] == [1, 2, 3, 4, 5, 6]


def test_a_student_of_a_student_goes_on_halving(run, student, tmp_path):
    shutil.copytree(student, tmp_path / "two")
    folder, _ = al.distill(
        tmp_path / "two", tmp_path / "one", al.DistillConfig(steps=1), training=SHORT
    )
    assert folder.run.model.distillation.teacher_steps == 2
    assert folder.model().sampler.steps == 1


def test_the_teacher_is_no_part_of_the_student(run, student):
    model = RunFolder.open(student).model()
    teacher = RunFolder.open(run).model()
    more = {name for name in model.state_dict() if "further" in name}
    assert more and model.state_dict().keys() - more == teacher.state_dict().keys()
    assert not any(p.requires_grad for p in model.denoiser.path.parameters())


def test_a_guided_teacher_is_learned(tmp_path):
    data = labelled()
    model = small_teacher(tmp_path / "t", data)
    config = al.DistillConfig(steps=1, teacher_steps=2, guide="cfg:3")
    teacher = Teacher.of(RunFolder.open(tmp_path / "t"))
    (phase,) = phases(teacher.student(config))
    objective = phase.objective(teacher.predict(config.guide))

    x, rows = data.test.x[:5].float(), data.test.given[:5]
    found = objective.teacher(x, 0.5, rows).eps
    guided = al.ClassifierFree(3.0)(model.denoiser)(x, 0.5, rows).eps
    assert torch.equal(found, guided)
    assert not torch.allclose(found, model.denoiser(x, 0.5, rows).eps)

    with pytest.raises(ValueError, match="learned data in memory"):
        al.distill(tmp_path / "t", tmp_path / "s", config, training=SHORT)
    folder, _ = al.distill(tmp_path / "t", tmp_path / "s", config, training=SHORT, data=data)
    with pytest.raises(ValueError, match="take no guide"):
        folder.model().sample(range(2), 0, al.Sampler("flow_map", 1, guide="cfg:2"))


def test_a_learned_schedule_stays_that_of_the_teacher(tmp_path):
    data = al.load("rings")
    torch.manual_seed(0)
    path = al.Path(al.LearnedSchedule(6.0, -5.0))
    model = al.VDM(al.Denoiser(al.MLP(data.spec, width=8, depth=1), path), data.spec)
    al.train(model, data, steps=3, out=tmp_path / "t")
    folder, _ = al.distill(
        tmp_path / "t", tmp_path / "s", al.DistillConfig("flowmap"), training=SHORT
    )
    times = torch.linspace(0, 1, 7)
    found = folder.model().denoiser.path.at(times).log_snr
    assert torch.equal(found, model.denoiser.path.at(times).log_snr)


def test_the_config_is_read_back(run):
    config = Teacher.of(RunFolder.open(run)).student(HALVING)
    assert from_json(to_json(config)) == config


def test_without_its_teacher_a_student_is_not_trained(run, student):
    model = RunFolder.open(student).model()
    with pytest.raises(ValueError, match="train it by `allegory distill`"):
        model.loss((torch.zeros(2, 2), None), torch.Generator())


def test_the_default_training_is_that_of_the_teacher(run, student, tmp_path):
    teacher = Teacher.of(RunFolder.open(run))
    model = teacher.student(HALVING)
    own = teacher.folder.run.training
    found = Distillation(teacher, tmp_path / "s", model).training()
    assert found == replace(own, learning_rate=own.learning_rate / 2)
    assert Distillation(teacher, student, model, resume=True).training() == SHORT


@pytest.mark.parametrize(
    ("solver", "jumps", "refused"),
    [
        ("flow_map", "any", None),
        ("flow_map:0.5", "any", None),
        ("ddim", "any", None),
        ("flow_map", "grid", None),
        ("flow_map:1", "grid", "along the levels of its sampler"),
        ("flow_map:0.5", "grid", "along the levels of its sampler"),
        ("flow_map:0.5", "clean", "to clean data, from any level"),
        ("ddim", "grid", "along the levels of its sampler"),
        ("flow_map:1", "clean", None),
        ("flow_map", "clean", "to clean data, from any level"),
        ("dpmpp2m", "clean", "to clean data, from any level"),
    ],
)
def test_a_sampler_of_jumps_that_were_not_trained_is_refused(student, solver, jumps, refused):
    model = RunFolder.open(student).model()
    model.objective = NoTeacher("error", jumps)
    if refused is None:
        assert model.sample(range(2), sampler=al.Sampler(solver, 3)).isfinite().all()
        return
    with pytest.raises(ValueError, match=refused):
        model.sample(range(2), sampler=al.Sampler(solver, 3))


def test_what_needs_a_denoiser_is_refused(student):
    model = RunFolder.open(student).model()
    says = "give the run from which it was distilled"
    with pytest.raises(ValueError, match=says):
        al.variations(model, torch.zeros(1, 2), range(2))
    with pytest.raises(ValueError, match=says):
        al.Posterior(model, al.measure(Identity((2,)), torch.zeros(1, 2), 0.1))
    with pytest.raises(AttributeError, match="ask the model from which it was distilled"):
        model.log_prob(torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"method": "lcm"}, "method"),
        ({"steps": 0}, "steps=0"),
        ({"spacing": "even"}, "spacing"),
        ({"teacher_steps": 1}, "teacher_steps=1"),
        ({"method": "flowmap", "teacher_steps": 8}, "of the method 'progressive'; leave it out"),
        ({"identity": "semigroup"}, "of the method 'flowmap'; leave it out"),
        ({"method": "flowmap", "identity": "euler"}, "identity"),
        ({"method": "consistency", "gap": 0.3}, "give 1/2 or a half of it"),
        ({"method": "consistency", "gap": 2.0**-40}, "down to 1/1024"),
        ({"gap": 0.25}, "of the method 'consistency'; leave it out"),
        ({"method": "consistency", "guide": "cfg:2"}, "not from a guided teacher"),
        ({"method": "consistency", "solver": "flow_map"}, "give 'flow_map:1'"),
        ({"solver": "flow_map:1"}, "give 'flow_map'"),
        ({"method": "flowmap", "solver": "ddim"}, "or 'flow_map:GAMMA'"),
    ],
)
def test_choices_that_mean_nothing(choices, says):
    with pytest.raises(ValueError, match=says):
        al.DistillConfig(**choices)


def test_teachers_that_have_nothing_to_teach(run, student, tmp_path):
    data = al.load("rings")
    energy = al.VDM(al.Energy(al.MLP(data.spec, width=8, depth=1), al.Path.vdm(8, -6)), data.spec)
    al.train(energy, data, steps=1, out=tmp_path / "energy")
    with pytest.raises(ValueError, match=r"x0 and eps alone; give a run .* edm"):
        al.distill(tmp_path / "energy", tmp_path / "s")

    config = al.DistillConfig("flowmap")
    with pytest.raises(ValueError, match="give the run from which it was distilled"):
        al.distill(student, tmp_path / "s", config)
    with pytest.raises(ValueError, match="takes no guide"):
        al.distill(student, tmp_path / "s", al.DistillConfig(steps=1, guide="cfg:2"))
    with pytest.raises(ValueError, match="trained for flow_map, 2 steps"):
        al.distill(student, tmp_path / "s", al.DistillConfig(steps=1, teacher_steps=4))
    with pytest.raises(ValueError, match="no condition; leave it out"):
        al.distill(run, tmp_path / "s", al.DistillConfig(guide="cfg:2"))
    assert not (tmp_path / "s").exists()


def test_folders_that_cannot_be_used(run, student, tmp_path):
    with pytest.raises(ValueError, match="is the teacher's"):
        al.distill(run, run)
    with pytest.raises(ValueError, match="exists already; give --resume"):
        al.distill(run, student, HALVING)
    with pytest.raises(ValueError, match="holds no run to go on with"):
        al.distill(run, tmp_path / "s", HALVING, resume=True)
    with pytest.raises(ValueError, match=r"was begun with model\.distillation\.steps=2"):
        al.distill(run, student, replace(HALVING, steps=1, teacher_steps=2), resume=True)

    shutil.copytree(run, tmp_path / "other")
    with pytest.raises(ValueError, match="was begun with the teacher"):
        al.distill(tmp_path / "other", student, HALVING, resume=True)
    with pytest.raises(ValueError, match="for 2 phases; give 2 or more"):
        al.distill(run, tmp_path / "s", HALVING, training=replace(SHORT, steps=1))


@pytest.mark.parametrize("choice", [{"overwrite": True}, {"resume": True}])
def test_a_folder_that_holds_the_teacher_is_kept(student, tmp_path, choice):
    shutil.copytree(student, tmp_path / "s")
    halving = tmp_path / "s" / "halvings" / "4"
    with pytest.raises(ValueError, match="holds the teacher"):
        al.distill(halving, tmp_path / "s", al.DistillConfig(steps=2), **choice)
    assert RunFolder.open(halving).model().sampler.steps == 4


def test_overwrite_replaces_all_phases(run, student, tmp_path):
    shutil.copytree(student, tmp_path / "s")
    config = al.DistillConfig("flowmap")
    al.distill(run, tmp_path / "s", config, training=SHORT, overwrite=True)
    assert not (tmp_path / "s" / "halvings").exists()
    assert RunFolder.open(tmp_path / "s").run.model.distillation == config

    (tmp_path / "s" / "gaps" / "mine").mkdir(parents=True)
    with pytest.raises(ValueError, match="is no run; move it elsewhere"):
        al.distill(run, tmp_path / "s", config, training=SHORT, overwrite=True)
