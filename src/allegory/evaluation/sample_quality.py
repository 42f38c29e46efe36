"""The quality of samples: accuracy of their labels, and distances from the test set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..models.base import check_samples
from ..process.bound import Estimate
from ..progress import OnProgress
from .config import EvaluationConfig, stage
from .distances import frechet, sliced_wasserstein
from .label_accuracy import LabelClassifier
from .result import Accuracy, Distance
from .tokens import frequency_distance


@dataclass(frozen=True)
class SampleQuality:
    """The quality of samples.

    Args:
        accuracy: accuracy of their labels; None without labels.
        frechet: Fréchet distances from the test set.
        sliced_wasserstein: sliced Wasserstein distances from the test set.
        frequencies: for data with a vocabulary, whose levels are no quantities, the total variation
            of the frequencies of the levels, in place of these two.
    """

    accuracy: Accuracy | None
    frechet: Distance | None
    sliced_wasserstein: Distance | None
    frequencies: Distance | None


def compare_samples(
    generated: Items, dataset: Dataset, config: EvaluationConfig, on_progress: OnProgress | None
) -> SampleQuality:
    """The label accuracy of samples, and their distances from the test set.

    Args:
        generated: the samples, with labels for the accuracy.
        dataset: the data. As many training items as samples are compared too, as a reference.
        config: seed of the choice of training items and of the projections, and whether there is a
            reference.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The figures.

    Raises:
        ValueError: for samples that are not finite.
    """
    report = stage(on_progress, "comparison of samples") or (lambda done, total: None)
    check_samples(generated.x, "the model")
    seed, encode = config.seed, dataset.spec.encode
    order = np.random.default_rng(seed).permutation(len(dataset.train))[: len(generated)]
    train = None
    if config.reference and len(order) > 1:
        train = dataset.train.x[torch.from_numpy(order)]

    report(0, 3)
    accuracy = None
    if generated.labels is not None and _has_classes(dataset.train):
        accuracy = sample_accuracy(generated, dataset, seed, reference=config.reference)
    report(1, 3)

    def distance(of: Callable[[Tensor, Tensor], float]) -> Distance:
        test = dataset.test.x
        return Distance(of(generated.x, test), None if train is None else of(train, test))

    if dataset.spec.vocabulary is not None:
        frequencies = distance(partial(frequency_distance, dataset.spec))
        report(3, 3)
        return SampleQuality(accuracy, None, None, frequencies)

    gaussian = distance(lambda x, other: frechet(encode(x), encode(other)))
    report(2, 3)
    sliced = distance(lambda x, other: sliced_wasserstein(encode(x), encode(other), seed))
    report(3, 3)
    return SampleQuality(accuracy, gaussian, sliced, None)


def _has_classes(items: Items) -> bool:
    """Whether a classifier can be fitted to the items: they have two labels at least."""
    return items.labels is not None and len(items.labels.unique()) > 1


def sample_accuracy(
    generated: Items, dataset: Dataset, seed: int, *, reference: bool = True
) -> Accuracy:
    """The accuracy of a classifier, fitted on the training set, on the labels of samples.

    Args:
        generated: samples with the labels of their condition.
        dataset: labelled data.
        seed: seed of the choice of training items, where there are very many.
        reference: whether its accuracy on the test set is computed too.

    Returns:
        The accuracy in all, by class, and on the test set.
    """
    classifier = LabelClassifier.fit(dataset.train, dataset.spec, seed)
    assert generated.labels is not None
    right = (classifier.predict(generated.x) == generated.labels).double()
    by_class = [
        right[generated.labels == label].mean().item() for label in generated.labels.unique()
    ]
    test = dataset.test
    if not reference or test.labels is None:
        return Accuracy(proportion(right), tuple(by_class), None)

    return Accuracy(proportion(right), tuple(by_class), classifier.accuracy(test.x, test.labels))


def proportion(right: Float[Tensor, " n"]) -> Estimate:
    """The mean p of `right`, n zeros and ones, with the standard error sqrt(q (1 - q) / n).

    q = (n p + 1) / (n + 2), Laplace's estimate, is above 0 and below 1 also where all are right.
    """
    q = (right.sum().item() + 1) / (len(right) + 2)
    return Estimate(right.mean().item(), math.sqrt(q * (1 - q) / len(right)))
