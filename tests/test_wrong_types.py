"""Values of the wrong type: a ValueError that names the argument and the remedy.

The tests check types by themselves, so these calls are made in a process without that check.
"""

import subprocess
import sys

import pytest

BEGIN = """
import numpy as np
import torch
import allegory as al
from allegory.evaluation import evaluate, item_scores
from allegory.inverse import Identity
from allegory.recipes import Run, recipe_named

torch.manual_seed(0)
x = torch.linspace(-1, 1, 60).view(20, 3)
data = al.Dataset.from_arrays(x, list(range(4)) * 5)
toy = recipe_named("toy").model
path = al.Path.cosine()
grid = al.grid(path, steps=2)
model = al.VDM(al.Denoiser(al.MLP(data.spec, width=8, depth=1), path, target="v"), data.spec)
"""

REFUSED = {
    "Run('a', 'moons', None, al.TrainingConfig(steps=1))": "model=None: give a config of a model",
    "Run('a', 'moons', toy, {'steps': 3})": "training={'steps': 3}: give a TrainingConfig",
    "al.TrainingConfig(steps=2.5)": "steps must be a whole number, got 2.5",
    "al.TrainingConfig(steps='3')": "steps must be a whole number, got 3",
    "al.TrainingConfig(steps=3, batch_size=True)": "batch_size must be a whole number",
    "al.Sampler(steps=float('nan'))": "steps=nan; give a whole number",
    "al.Sampler(steps=float('inf'))": "steps=inf; give a whole number",
    "al.Sampler(steps='3')": "steps=3; give a whole number",
    "al.Sampler(steps=2.0)": "steps=2.0; give a whole number",
    "al.Sampler(None)": "solver=None: give a Solver",
    "al.Sampler(guide=3)": "guide=3: give a guide",
    "al.Sampler(guide=al.ClassifierFree)": "guide=ClassifierFree: give a guide",
    "al.Sampler(guide=['cfg:2', 'clampp'])": "unknown guide 'clampp'; did you mean 'clamp'",
    "al.Sampler(spacing=3)": "unknown spacing 3",
    "al.Sampler(spacing=[1])": "unknown spacing [1]",
    "al.Dataset.from_arrays(x, split=(0.5, 0.5))": "give three fractions that sum to 1",
    "al.Dataset.from_arrays(x, split=0.9)": "give three fractions that sum to 1",
    "al.Dataset.from_arrays(x, split=(float('nan'), 0.5, 0.5))": "give three fractions",
    "al.Dataset.from_arrays(x > 0, levels=0)": "levels=0: integers may take 2 to 65,536",
    "al.Dataset.from_arrays(x > 0, levels=2.5)": "levels=2.5: give a whole number",
    "al.Dataset.from_arrays(x[:, :0])": "x: shape (20, 0)",
    "al.Dataset.from_arrays(x, range(20))": "labels: 20 classes for 20 items",
    "al.Dataset.from_arrays(x, bounds=3)": "bounds=3: give two",
    "al.Dataset.from_arrays(x, bounds='ab')": "bounds=ab: give two",
    "al.Dataset.from_arrays(x, bounds=(0, None))": "high: None; give a number",
    "al.Dataset.from_arrays(x, columns='abc')": "columns=abc: give a list of names",
    "al.Dataset.from_arrays(x, columns=3)": "columns=3: give a list of names",
    "al.DataSpec(3, 0, 1)": "shape=3: give at least one axis",
    "al.DataSpec((3,), None, 1)": "low: None; give a number",
    "al.DataSpec((3,), 0, '1')": "high: '1'; give a number",
    "al.DataSpec((3,), [0, True, 0], [1, 2, 3])": "low: [0, True, 0]; give a number",
    "al.DataSpec((3,), 0, 1, 2.5)": "levels=2.5: give 2 or more",
    "al.DataSpec((3,), 0, 1, None, '3')": "classes=3: give 1 or more",
    "al.DataSpec((3,), 0, 1, None, 1, [None])": "class_names: give text",
    "al.DataSpec((3,), 0, 1, None, 2, 7)": "class_names: give text",
    "al.DataSpec((3,), 0, 1, columns=3)": "columns: give names",
    "al.DataSpec((3,), 0, 1, bounded=1)": "bounded=1: give True or False",
    "al.UNet(data)": "spec: a Dataset; give the DataSpec, e.g. data.spec",
    "model.sample(3)": "seeds=3: give one integer per item",
    "model.bound(data.test.x, seeds=[1, 2, 3])": "seeds: 3 for 1 items; give one integer per item",
    "model.sample([1], 'x')": "condition: class x: not known; the classes are 0 to 3",
    "model.sample([1], 0.5)": "condition=0.5: give one class for all items",
    "model.sample([1, 2], [1, 2, 3])": "for 2 items; give one class for all items",
    "model.sample([1], 1, 'ddim')": "sampler='ddim': give a Sampler",
    "al.sample(al.as_predict(lambda x, t, c: x, path), x, grid)": "target='eps'",
    "al.sample(al.as_predict(lambda x, t, c: x[:, :1], path, 'x0'), x, grid)": (
        "returned (20, 1) for x_t of shape (20, 3)"
    ),
    "al.sample(al.as_predict(lambda x, t, c: None, path, 'x0'), x, grid)": "returned NoneType",
    "al.load(np.zeros((5, 2)))": "source: of type ndarray; give a name or path",
    "al.DistillConfig(gap='x')": "gap: of type str ('x'); give a number",
    "al.DistillConfig(largest_scale='4')": "largest_scale: of type str ('4'); give a number",
    "al.DistillConfig(guide=al.ClassifierFree(2.0))": "ClassifierFree; give the name of a guide",
    "al.distill('run', 'out', training=3)": "training: of type int (3); give a TrainingConfig",
    "al.load(3)": "source: of type int (3); give a name or path",
    "al.train(model, x, steps=1)": "data: of type Tensor; give a Dataset",
    "al.train(model, data, minutes='x')": "minutes: of type str ('x'); give a number of minutes",
    "al.train(model, data, steps=1, config=3)": "config: of type int (3); give a TrainingConfig",
    "al.train(model, data, steps=1, out=3)": "out: of type int (3); give the path",
    "al.train(model, data, steps=1, callbacks=3)": "callbacks: of type int (3); give a list",
    "al.open(np.zeros(3))": "folder: of type ndarray; give the path of a run folder",
    "al.Denoiser(al.MLP(data.spec), 'cosine')": "path: of type str ('cosine'); give a Path",
    "al.Path('cosine')": "schedule: of type str; give a Schedule",
    "al.VDM(al.MLP(data.spec), data.spec)": "give a Denoiser, e.g. Denoiser(network, Path",
    "al.VDM(model.denoiser, data)": "spec: of type Dataset; give a DataSpec",
    "al.grid('cosine', 3)": "path: of type str ('cosine'); give a Path",
    "al.sample(model, x, grid)": "predict: of type VDM; give its denoiser",
    "al.variational_bound(al.MLP(data.spec), x, None)": "give a Predict, which `as_predict` makes",
    "al.flow_log_prob(model, x)": "predict: of type VDM; give its denoiser",
    "al.sample(model.denoiser, range(3), grid)": "x_T: of type range; give a tensor",
    "al.initial_noise(path, 2, range(3))": "shape: of type int (2); give the shape of one item",
    "al.initial_noise(path, (2,), 3)": "seeds=3: give one integer per item",
    "al.Mixture([[0.0]], 0.2, path=path)": "means: of type list; give a tensor",
    "al.ClassifierFree('2')": "scale: of type str ('2'); give a number",
    "al.ClassifierFree(1e300)": "give a number of at most 1,000,000 in size",
    "model.bound(x.numpy())": "x: of type ndarray; give a torch tensor of items",
    "model.bound(x, condition='cat')": "condition: class cat: not known; the classes are 0 to 3",
    "model.bound(x, draws='3')": "draws=3; give a whole number",
    "model.sample([1.5])": "seeds: 1.5 is none; give one integer per item",
    "model.sample([-1])": "seeds: -1 is none; give whole numbers from 0 to 2^64 - 1",
    "model.sample([2**64])": "seeds: 18446744073709551616 is none",
    "model.sample([1], sampler=3)": "sampler: of type int (3); give a Sampler",
    "al.measure(Identity((3,)), x, [0.1, 0.2])": "noise: of type list; give a standard deviation",
    "al.measure(Identity((3,)), x, 0.1, seeds=20)": "seeds=20: give one integer per item",
    "al.Posterior(model, al.measure(Identity((3,)), x, 0.1)).sample(20)": "seeds=20: give one",
    "evaluate(model, x)": "dataset: of type Tensor; give a Dataset",
    "evaluate(model, data, 3)": "config: of type int (3); give an EvaluationConfig",
    "item_scores(model, x)": "items: of type Tensor; give Items",
}

EQUAL = {
    "model.bound(x, condition=3).total": ("model.bound(x, torch.full((20,), 3)).total"),
    "model.sample(torch.tensor([1, 2]))": "model.sample([1, 2])",
    "model.sample([1, 2], [3, 0])": "model.sample([1, 2], torch.tensor([3, 0]))",
    "model.sample([1, 2], np.array([3, 0]))": "model.sample([1, 2], torch.tensor([3, 0]))",
    "model.sample([1, 2], np.int64(3))": "model.sample([1, 2], 3)",
    "al.measure(Identity((3,)), x, np.float32(0.5)).y": "al.measure(Identity((3,)), x, 0.5).y",
    "al.Dataset.from_arrays(x.bfloat16()).train.x": (
        "al.Dataset.from_arrays(x.bfloat16().float()).train.x"
    ),
}

PROGRAM = """
for code in {codes!r}:
    try:
        print(repr(eval(code)).replace(chr(10), " "))
    except ValueError as error:
        print("refused:", error)
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def answers():
    codes = [*REFUSED, *EQUAL, *EQUAL.values()]
    command = [sys.executable, "-c", BEGIN + PROGRAM.format(codes=codes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(codes, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("code", REFUSED)
def test_a_wrong_value_is_refused_with_a_remedy(answers, code):
    assert answers[code].startswith("refused:")
    assert REFUSED[code] in answers[code]


@pytest.mark.parametrize("code", EQUAL)
def test_another_form_of_the_same_value_is_taken(answers, code):
    assert answers[code].startswith("tensor")
    assert answers[code] == answers[EQUAL[code]]
