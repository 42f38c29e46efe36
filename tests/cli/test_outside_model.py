"""A model class from outside the package trains, samples, is evaluated and gets a report through
unchanged commands.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import helpers

from allegory.cli import main
from allegory.data import load
from allegory.data.splits import subset
from allegory.evaluation import EvaluationConfig, evaluate
from allegory.models.base import HasBound, HasLogProb, HasTrajectory, Model
from allegory.plots import sections
from allegory.recipes import RunFolder

SOURCE = Path(helpers.__file__).parent / "outside_model.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of the outside model, trained by the command."""
    folder = tmp_path_factory.mktemp("outside") / "run"
    main(["train", str(SOURCE), "--out", str(folder), "--json"])
    return folder


def test_a_class_is_a_model_by_its_methods_alone(run):
    model = RunFolder.open(run).model()
    assert isinstance(model, Model) and isinstance(model, HasLogProb)
    assert not isinstance(model, HasBound) and not isinstance(model, HasTrajectory)


def test_training_finds_the_maximum_of_the_likelihood(run):
    """-log p of the training set is least at its own moments: the entropy of their Gaussian."""
    model, x = RunFolder.open(run).model(), load("moons").train.x
    best = 0.5 * torch.cov(x.double().T).logdet().item() + math.log(2 * math.pi * math.e)
    found = -model.log_prob(x).double().mean().item()
    assert best - 1e-3 < found < best + 0.02


def test_the_command_samples_it(run, tmp_path):
    out = tmp_path / "points.npy"
    main(["sample", str(run), "--count", "4000", "--out", str(out), "--json"])
    samples, data = np.load(out), load("moons").train.x.numpy()
    # Means of 4,000 points, within five standard errors.
    error = 5 * data.std(0) / math.sqrt(4000)
    assert (np.abs(samples.mean(0) - data.mean(0)) < error).all()


def test_options_of_diffusion_are_refused(run, capsys):
    with pytest.raises(SystemExit):
        main(["sample", str(run), "--steps", "10"])
    assert "--steps 10" in capsys.readouterr().err


def test_the_command_evaluates_it_and_writes_a_report(run, capsys):
    main(["evaluate", str(run), "--limit", "400", "--samples", "200", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["likelihood"] is None and found["config"]["sampler"] is None
    (bound,) = found["bounds"]
    assert bound["name"] == "log p" and bound["difference"]["mean"] == 0
    model = RunFolder.open(run).model()
    x = subset(subset(load("moons").test, 400), 200).x
    assert bound["nats"]["mean"] == pytest.approx(-model.log_prob(x).mean().item(), rel=1e-5)
    page = (run / "report.html").read_text()
    assert "One model, many bounds" in page and "The forward process" not in page


def test_the_sections_are_those_of_what_it_can_do(run):
    model, data = RunFolder.open(run).model(), load("moons")
    found = evaluate(model, data, EvaluationConfig(samples=20, compared=50))
    titles = [section.title for section in sections(model, data, found)]
    assert titles == ["Samples", "Each number alone", "One model, many bounds"]
