"""Everything at once: each part is what the function of that name says."""

import json
import math

import pytest
import torch
from tests.helpers.models import toy_digits, untrained

from allegory.data import load
from allegory.evaluation import (
    BoundConfig,
    EvaluationConfig,
    LabelClassifier,
    evaluate,
    evaluate_bound,
    frechet,
    pixel_histogram,
    sliced_wasserstein,
)
from allegory.evaluation.sample_quality import proportion, sample_accuracy
from allegory.sampling import Sampler

SAMPLER = Sampler("ddim", steps=3, guide="cfg:1.5")


def quick(draws=1, samples=4):
    return EvaluationConfig(draws=draws, samples=samples, sampler=Sampler(steps=2))


def test_every_figure_is_that_of_its_function():
    data = toy_digits()
    model, spec = untrained(data.spec, conditional=True), data.spec
    found = evaluate(model, data, EvaluationConfig(3, 2, 11, sampler=SAMPLER))
    labels = torch.arange(11) % 2
    raw = model.sample(range(3, 14), labels, SAMPLER)
    assert found.generated.x.equal(raw) and found.generated.labels.equal(labels)
    assert found.likelihood == evaluate_bound(model, data.test, BoundConfig(3, 2))
    assert found.conditional == evaluate_bound(model, data.test, BoundConfig(3, 2, labelled=True))
    assert found.histogram == pixel_histogram(data.train, data.test, spec)
    x, test = spec.encode(raw), spec.encode(data.test.x)
    assert found.frechet.samples == frechet(x, test)
    assert found.sliced_wasserstein.samples == sliced_wasserstein(x, test, 3)
    assert found.accuracy.total.mean == pytest.approx(
        LabelClassifier.fit(data.train, spec).accuracy(raw, labels)
    )


def test_an_evaluation_is_read_as_it_was_written():
    data = toy_digits()
    found = evaluate(untrained(data.spec, conditional=True), data, quick(draws=2, samples=4))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["likelihood"]["total"]["mean"] == found.likelihood.total.mean
    assert plain["config"]["samples"] == 4 and "generated" not in plain
    rows = {row.name: row for row in found.rows()}
    with_label, both = rows["bits/dim, p(x | label)"], rows["bits/dim, p(x, label)"]
    assert both.value - with_label.value == pytest.approx(math.log2(2) / 4)
    assert all(math.isfinite(row.value) for row in rows.values())


@pytest.mark.parametrize("classes", [None, 1])
def test_data_without_two_labels_have_no_accuracy(classes):
    data = toy_digits(classes=None)
    data = type(data)(
        data.name,
        type(data.spec)(data.spec.shape, 0.0, 4.0, 5, classes),
        data.train,
        data.validation,
        data.test,
    )
    found = evaluate(untrained(data.spec), data, quick(samples=4))
    assert found.conditional is None and found.accuracy is None and found.generated.labels is None
    json.dumps(found.to_dict())


def test_points_of_the_plane():
    data = load("moons")
    data = type(data)(
        data.name, data.spec, data.train, data.validation, data.test.take(torch.arange(50))
    )
    found = evaluate(untrained(data.spec), data, quick(samples=20))
    assert (
        found.histogram is None
        and found.sliced_wasserstein.train < found.sliced_wasserstein.samples
    )


def test_the_train_distance_uses_as_many_items_as_there_are_samples():
    data = toy_digits(classes=None)
    few, many = (evaluate(untrained(data.spec), data, quick(samples=n)) for n in (3, 60))
    everything = frechet(data.spec.encode(data.train.x), data.spec.encode(data.test.x))
    assert many.frechet.train == pytest.approx(everything, rel=1e-9)
    assert few.frechet.train > 1.1 * everything  # a distance of few items is biased upwards


def test_the_classifier_counts_class_by_class():
    data = toy_digits()
    right = sample_accuracy(data.train, data, seed=0)
    assert right.total.mean == right.real == 1.0 and right.by_class == (1.0, 1.0)
    swapped = type(data.train)(data.train.x, torch.zeros_like(data.train.labels))
    dark = (data.train.labels == 0).double().mean().item()
    assert sample_accuracy(swapped, data, seed=0).by_class == pytest.approx((dark,))


def test_proportion():
    got = proportion(torch.tensor([1.0, 1.0, 0.0, 1.0]).double())
    assert got.mean == 0.75 and got.error == pytest.approx(math.sqrt((4 / 6) * (2 / 6) / 4))
    assert proportion(torch.ones(100).double()).error > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 1},
        {"compared": -4},
        {"compared": 1},
        {"importance": -1},
        {"seed": -1},
        {"draws": 0},
    ],
)
def test_numbers_that_mean_nothing_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name}.{{1,3}}{value}"):
        EvaluationConfig(**wrong)


def test_progress_goes_through_every_stage_to_its_end():
    data = toy_digits()
    seen = {}

    def on_progress(stage, done, total):
        assert done >= seen.get(stage, (0, 0))[0]
        seen[stage] = (done, total)

    evaluate(
        untrained(data.spec, conditional=True), data, quick(samples=4), on_progress=on_progress
    )
    assert all(done == total > 0 for done, total in seen.values())
    assert set(seen) == {
        "likelihood",
        "likelihood given the label",
        "VLB, T = 10",
        "VLB, T = 100",
        "VLB, T = 1000",
        "VLB, continuous time",
        "ODE",
        "sampling",
        "comparison of samples",
    }
