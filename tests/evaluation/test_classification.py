"""Accuracy and cross-entropy of a classifier by noise level, against exact posteriors."""

import json
import math

import pytest
import torch
from tests.helpers.models import untrained

from allegory import Mixture
from allegory.cli import main
from allegory.data import Dataset, DataSpec, Items
from allegory.evaluation import evaluate, evaluate_classifier
from allegory.models import Classifier
from allegory.networks import MLPConfig
from allegory.plots import accuracy_over_log_snr
from allegory.process import LinearLogSNR, Path

PATH = Path(LinearLogSNR(8, -8))
SPEC = DataSpec((1,), -1.0, 1.0, classes=2)
STD = 0.3
ORACLE = Mixture(torch.tensor([[-0.5], [0.5]]), STD, path=PATH, labels=torch.tensor([0, 1]))


def points(count, first):
    """Draws of the mixture with their labels."""
    labels = torch.arange(count) % 2
    return Items(ORACLE.sample(range(first, first + count), condition=labels), labels)


def toy(count=2000):
    return Dataset("two Gaussians", SPEC, points(100, 0), points(4, 100), points(count, 200))


class Exact(Classifier):
    """A classifier that gives the exact posterior."""

    def class_log_prob(self, x_t, t):
        return ORACLE.class_log_prob(x_t, t)


def test_the_exact_posterior_has_the_accuracy_of_the_bayes_rule():
    """The rule x_t > 0 is right with probability Phi(alpha m / sqrt(alpha^2 s^2 + sigma^2))."""
    found = evaluate_classifier(Exact(torch.nn.Identity(), PATH, SPEC), toy(), points=5)
    assert [each.log_snr for each in found.levels] == [-8, -4, 0, 4, 8]
    for each in found.levels:
        level = PATH.at_log_snr(torch.tensor([each.log_snr]))
        alpha, sigma = float(level.alpha), float(level.sigma)
        z = alpha * 0.5 / math.hypot(alpha * STD, sigma)
        right = 0.5 * (1 + math.erf(z / math.sqrt(2)))
        assert abs(each.accuracy.mean - right) < 4 * each.accuracy.error
    assert found.levels[0].cross_entropy.mean == pytest.approx(math.log(2), abs=0.01)
    assert found.class_entropy == pytest.approx(math.log(2))
    assert json.loads(json.dumps(found.to_dict()))["levels"][2]["log_snr"] == 0
    assert len(found.rows()) == 1 + 2 * 5 + 1
    assert len(accuracy_over_log_snr(found).axes) == 2


def test_the_figures_of_an_item_do_not_depend_on_the_others():
    model = Classifier(MLPConfig(8, 1).build((1,), outputs=2), PATH, SPEC)
    torch.nn.init.normal_(model.network.head.weight)
    whole = evaluate_classifier(model, toy(600), points=2)
    again = evaluate_classifier(model, toy(600), points=2)
    assert whole.levels == again.levels


def test_other_models_and_data_are_refused():
    model = Exact(torch.nn.Identity(), PATH, SPEC)
    with pytest.raises(ValueError, match="has no method `class_log_prob`"):
        evaluate_classifier(untrained(SPEC), toy())
    with pytest.raises(ValueError, match="measure it by evaluate_classifier"):
        evaluate(model, toy())
    spec = DataSpec((1,), -1.0, 1.0)
    parts = [Items(part.x) for part in (toy(4).train, toy(4).validation, toy(4).test)]
    with pytest.raises(ValueError, match="no classes to compare with"):
        evaluate_classifier(model, Dataset("plain", spec, *parts))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier of digits after three steps."""
    folder = tmp_path_factory.mktemp("classifier") / "run"
    network = ["--model.network.channels", "8", "--training.batch-size", "16"]
    main(["train", "digits_classifier", "--out", str(folder), "--steps", "3", *network])
    return folder


def test_a_run_is_evaluated_and_reported(run, capsys):
    main(["evaluate", str(run), "--limit", "20", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert len(found["levels"]) == 9 and found["measured"] == 20
    page = (run / "report.html").read_text()
    assert "a classifier of digits" in page and "accuracy at log-SNR 10" in page
    assert page.count("<figure") == 2


def test_a_run_resumes_to_the_same_bits(run, tmp_path):
    network = ["--model.network.channels", "8", "--training.batch-size", "16"]
    begin = ["train", "digits_classifier", "--out", str(tmp_path / "two"), *network]
    main([*begin, "--steps", "1"])
    main([*begin, "--steps", "3", "--resume"])
    for weights in ("model.safetensors", "ema.safetensors"):
        assert (tmp_path / "two" / weights).read_bytes() == (run / weights).read_bytes()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["sample", "RUN"], "makes no samples"),
        (["sample", "RUN", "--label", "3"], "makes no samples"),
        (["tune", "RUN"], "nothing to tune"),
        (["compress", "RUN", "digits", "digits.bits"], "cannot code"),
        (["evaluate", "RUN", "--guide", "cfg:2"], "leave it out"),
        (["evaluate", "RUN", "--per-item", "items.csv"], "leave it out"),
    ],
)
def test_what_a_classifier_cannot_do_is_refused_in_one_line(run, command, says, tmp_path, capsys):
    words = [str(run) if each == "RUN" else each for each in command]
    words = [str(tmp_path / each) if each.endswith((".bits", ".csv")) else each for each in words]
    with pytest.raises(SystemExit) as stop:
        main(words)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and says in said
    assert not (run / "samples").exists()
