"""The quality of samples: accuracy of their labels, and distances from the test set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..process.bound import Estimate
from ..progress import OnProgress
from .config import stage
from .distances import frechet, sliced_wasserstein
from .label_accuracy import LabelClassifier
from .result import Accuracy, Distance


@dataclass(frozen=True)
class SampleQuality:
    """The quality of samples.

    Args:
        accuracy: accuracy of their labels; None without labels.
        frechet: Fréchet distances from the test set.
        sliced_wasserstein: sliced Wasserstein distances from the test set.
    """

    accuracy: Accuracy | None
    frechet: Distance
    sliced_wasserstein: Distance


def compare_samples(
    generated: Items, dataset: Dataset, seed: int, on_progress: OnProgress | None
) -> SampleQuality:
    """The label accuracy of samples, and their distances from the test set.

    Args:
        generated: the samples, with labels for the accuracy.
        dataset: the data. As many training items as samples are compared too, as a reference.
        seed: seed of the choice of training items, and of the projections.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The figures.
    """
    report = stage(on_progress, "comparison of samples") or (lambda done, total: None)
    order = np.random.default_rng(seed).permutation(len(dataset.train))[: len(generated)]
    real = dataset.train.x[torch.from_numpy(order)]
    encode = dataset.spec.encode
    samples, train, test = (encode(raw) for raw in (generated.x, real, dataset.test.x))

    report(0, 3)
    accuracy = None if generated.labels is None else sample_accuracy(generated, dataset, seed)
    report(1, 3)
    gaussian = Distance(frechet(samples, test), frechet(train, test))
    report(2, 3)
    sliced = Distance(
        sliced_wasserstein(samples, test, seed), sliced_wasserstein(train, test, seed)
    )
    report(3, 3)

    return SampleQuality(accuracy, gaussian, sliced)


def sample_accuracy(generated: Items, dataset: Dataset, seed: int) -> Accuracy:
    """The accuracy of a classifier, fitted on the training set, on the labels of samples.

    Args:
        generated: samples with the labels of their condition.
        dataset: labelled data.
        seed: seed of the choice of training items, where there are very many.

    Returns:
        The accuracy in all, by class, and on the test set.
    """
    classifier = LabelClassifier.fit(dataset.train, dataset.spec, seed)
    assert generated.labels is not None and dataset.test.labels is not None
    right = (classifier.predict(generated.x) == generated.labels).double()
    by_class = [
        right[generated.labels == label].mean().item() for label in generated.labels.unique()
    ]
    real = classifier.accuracy(dataset.test.x, dataset.test.labels)

    return Accuracy(proportion(right), tuple(by_class), real)


def proportion(right: Float[Tensor, " n"]) -> Estimate:
    """The mean p of `right`, n zeros and ones, with the standard error sqrt(q (1 - q) / n).

    q = (n p + 1) / (n + 2), Laplace's estimate, is above 0 and below 1 also where all are right.
    """
    q = (right.sum().item() + 1) / (len(right) + 2)
    return Estimate(right.mean().item(), math.sqrt(q * (1 - q) / len(right)))
