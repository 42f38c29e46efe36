"""Classifier guidance by name, with the classifier of another run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.cli import main
from allegory.guidance import ClassifierGuidance
from allegory.networks import EncoderConfig, MLPConfig
from allegory.process.guide import GUIDES, guide_names
from allegory.recipes import ClassifierConfig, PathConfig, Run, RunFolder, execute, recipe_named
from allegory.recipes.guide_runs import _model
from allegory.sampling import Sampler
from allegory.training import TrainingConfig

TRAINING = TrainingConfig(steps=3, batch_size=32, warmup=1, learning_rate=0.02, ema=0.1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A diffusion model of digits and three classifiers, each after three steps."""
    folder = tmp_path_factory.mktemp("guided")
    labels = np.arange(60) % 2
    x = np.random.default_rng(0).normal(size=(60, 2)) + labels[:, None]
    np.savez(folder / "table.npz", x=x.astype(np.float32), labels=labels)
    np.savez(folder / "plain.npz", x=x.astype(np.float32))
    model = recipe_named("digits").model
    small = replace(model, network=MLPConfig(16, 1), target="edm")
    narrow = ClassifierConfig(MLPConfig(16, 1), PathConfig("linear", 6.0, -5.0))
    wide = replace(narrow, path=PathConfig("linear", 10.0, -6.0))
    models = {
        "digits": ("digits", small),
        "classifier": ("digits", ClassifierConfig(EncoderConfig(8, (1, 2), 1))),
        "narrow": ("digits", narrow),
        "table": (str(folder / "table.npz"), wide),
        "plain": (str(folder / "plain.npz"), small),
    }
    for name, (source, config) in models.items():
        execute(Run("toy", source, config, TRAINING), folder / name)
    return folder


def test_the_name_is_the_guide_in_python(runs):
    guided = RunFolder.open(runs / "digits").model()
    classifier = RunFolder.open(runs / "classifier").model()
    name = f"classifier:300:run={runs / 'classifier'}"
    labels = torch.tensor([1, 5, -1])
    for text, given in ((name, False), (f"{name}:given=true", True)):
        by_name = guided.sample(range(3), labels, Sampler(steps=3, guide=text))
        guide = ClassifierGuidance(classifier, 300.0, given)
        by_model = guided.sample(range(3), labels, Sampler(steps=3, guide=guide))
        assert torch.equal(by_name, by_model)
        assert guide_names(text) == (text,)
        assert GUIDES.named(text) == GUIDES.named(text)
    free = guided.sample(range(3), None, Sampler(steps=3))
    plain = guided.sample(range(3), labels, Sampler(steps=3, guide=name))
    assert torch.equal(plain[2], free[2]) and not torch.equal(plain[:2], free[:2])


def test_samples_of_the_command_line_belong_to_their_seeds(runs):
    guide = ["--guide", f"classifier:2:run={runs / 'classifier'}", "--steps", "3", "--label", "4"]
    for seeds, file in (("0:4", "many.npy"), ("2:3", "one.npy")):
        main(["sample", str(runs / "digits"), *guide, "--seeds", seeds, "--out", str(runs / file)])
    many, one = np.load(runs / "many.npy"), np.load(runs / "one.npy")
    assert np.abs(many[2].astype(int) - one[0].astype(int)).max() <= 1


def test_a_model_without_classes_takes_those_of_the_classifier(runs):
    plain, classifier = (RunFolder.open(runs / name).model() for name in ("plain", "table"))
    name = f"classifier:2:run={runs / 'table'}"
    found = plain.sample(range(3), 1, Sampler(steps=3, guide=name))
    free = plain.sample(range(3), None, Sampler(steps=3))
    guide = ClassifierGuidance(classifier, 2.0)
    assert torch.equal(found, plain.sample(range(3), [1, 1, 1], Sampler(steps=3, guide=guide)))
    assert not torch.equal(found, free)

    words = ["sample", str(runs / "plain"), "--guide", name, "--steps", "3", "--count", "4"]
    main([*words, "--condition", "1", "--out", str(runs / "ones.npy")])
    main([*words, "--out", str(runs / "turns.npy")])
    ones, turns = np.load(runs / "ones.npy"), np.load(runs / "turns.npy")
    np.testing.assert_allclose(ones[:3], found, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ones[1::2], turns[1::2], rtol=1e-5, atol=1e-5)
    assert not np.allclose(ones[0], turns[0])

    with pytest.raises(ValueError, match="its classes are 0, 1, the model's none"):
        plain.sample(range(3), 1, Sampler(steps=3, guide=f"{name}:given=true"))
    with pytest.raises(ValueError, match="class 2: not known"):
        plain.sample(range(3), 2, Sampler(steps=3, guide=name))


@pytest.mark.parametrize(
    ("guide", "says"),
    [
        ("classifier:2:run=RUNS/digits", "a VDM, no classifier"),
        ("classifier:2:run=RUNS/none", "no such folder"),
        ("classifier:2:run=RUNS/narrow", "trained at log-SNR 6 to -5"),
        ("classifier:2:run=RUNS/table", "its items have shape"),
        ("classifier:2:run=RUNS/classifier:given=maybe", "give true or false"),
        ("classifier:nan:run=RUNS/classifier", "guidance scale nan"),
        ("classifier:2", "run is missing"),
        ("classifier", "is not enough"),
    ],
)
def test_what_does_not_fit_is_one_line(runs, guide, says, capsys):
    words = ["--guide", guide.replace("RUNS", str(runs)), "--out", str(runs / "x.npz")]
    with pytest.raises(SystemExit) as stop:
        main(["sample", str(runs / "digits"), "--count", "2", "--steps", "2", *words])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and says in said and "Traceback" not in said
    assert said.strip().count("\n") == 0


def test_a_classifier_that_was_opened_in_inference_mode_has_gradients_after_it(runs):
    guided, labels = RunFolder.open(runs / "digits").model(), torch.tensor([1])
    sampler = Sampler(steps=2, guide=f"classifier:2:run={runs / 'classifier'}")
    _model.cache_clear()
    with torch.inference_mode():
        inside = guided.sample(range(1), labels, sampler)
    assert torch.equal(guided.sample(range(1), labels, sampler), inside)
