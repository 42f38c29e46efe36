"""The classifier of samples."""

import pytest
import torch

from allegory.data import DataSpec, Items, load
from allegory.evaluation import LabelClassifier
from allegory.evaluation import label_accuracy as module


def test_the_classifier_reads_the_bundled_digits():
    digits = load("digits")
    classifier = LabelClassifier.fit(digits.train, digits.spec)
    assert digits.test.labels is not None
    assert classifier.accuracy(digits.test.x, digits.test.labels) >= 0.98
    assert classifier.accuracy(digits.test.x, (digits.test.labels + 1) % 10) < 0.02


def test_accuracy_is_the_share_of_right_answers():
    spec = DataSpec((1,), 0.0, 9.0, 10, 2)
    x = torch.arange(10, dtype=torch.uint8)[:, None]
    labels = (torch.arange(10) > 4).long()
    classifier = LabelClassifier.fit(Items(x, labels), spec)
    assert classifier.predict(x).equal(labels)
    wrong = labels.clone()
    wrong[:3] = 1
    assert classifier.accuracy(x, wrong) == pytest.approx(0.7)


def test_of_many_items_a_seeded_subset_is_enough(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ITEMS", 20)
    spec = DataSpec((2,), -4.0, 4.0, None, 2)
    x = torch.randn(200, 2)
    arrays = Items(x, (x[:, 0] > 0).long())
    classifier = LabelClassifier.fit(arrays, spec, seed=3)
    assert classifier.machine.shape_fit_ == (20, 2)
    assert classifier.predict(x).equal(LabelClassifier.fit(arrays, spec, seed=3).predict(x))


def test_a_classifier_needs_labels_of_two_kinds():
    spec = DataSpec((1,), 0.0, 9.0, 10, 2)
    for labels in (None, torch.zeros(3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="at least two labels"):
            LabelClassifier.fit(Items(torch.zeros(3, 1), labels), spec)
