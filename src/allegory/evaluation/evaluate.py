"""Everything that is computed of a model on a data set, in one frozen value."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..models.base import HasTrajectory, Model, has_bound, is_conditional
from ..process.bound import Estimate
from ..progress import OnProgress
from ..sampling.sampler import Sampler
from .baselines import pixel_histogram
from .compare import BoundEstimate, compare_bounds, importance_weights
from .config import BoundConfig, EvaluationConfig, stage
from .distances import frechet, sliced_wasserstein
from .label_accuracy import LabelClassifier
from .likelihood import Likelihood, evaluate_bound, label_cost


class Measure(NamedTuple):
    """A figure with its standard error, None where it has none, and its unit, "" for a plain
    number.
    """

    name: str
    value: float
    error: float | None
    unit: str


@dataclass(frozen=True)
class Distance:
    """The distance of samples from the test set, and that of as many training items, in model
    units.
    """

    samples: float
    train: float


@dataclass(frozen=True)
class Accuracy:
    """The fraction of samples that show their label to a classifier of real items, in all and class
    by class.

    `real` is the classifier's accuracy on the test set.
    """

    total: Estimate
    by_class: tuple[float, ...]
    real: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found. Bits/dim are of the test set.

    Args:
        dataset: the name of the data set.
        config: what was computed and how; with the number of importance weights and compared items
            that were used.
        likelihood: the bound of p(x), term by term; None for a model without a bound.
        conditional: that of p(x | label), for data of several classes.
        label_cost: bits/dim for the label itself.
        histogram: bits/dim of a code that knows the histogram of each number alone.
        bounds: other bounds of the first test items.
        accuracy: whether samples show their labels.
        frechet: Fréchet distance of the samples.
        sliced_wasserstein: sliced Wasserstein distance of the samples.
        seconds: how long each part took.
        generated: the samples.
    """

    dataset: str
    config: EvaluationConfig
    likelihood: Likelihood | None
    conditional: Likelihood | None
    label_cost: float | None
    histogram: Estimate | None
    bounds: tuple[BoundEstimate, ...]
    accuracy: Accuracy | None
    frechet: Distance
    sliced_wasserstein: Distance
    seconds: dict[str, float]
    generated: Items

    @property
    def seeds(self) -> range:
        """The seeds of the samples."""
        return range(self.config.seed, self.config.seed + len(self.generated))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the samples."""
        skipped = ("generated", "config")
        values = {name: value for name, value in vars(self).items() if name not in skipped}
        config = asdict(replace(self.config, sampler=None))
        sampler = self.config.sampler
        config["sampler"] = None if sampler is None else sampler.to_dict()

        return {name: _plain(value) for name, value in values.items()} | {"config": config}

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        per_second = len(self.generated) / max(self.seconds["sampling"], 1e-9)
        speed = Measure("sampling speed", per_second, None, "items/s")
        return [*self._likelihoods(), *self._qualities(), speed]

    def _likelihoods(self) -> Iterator[Measure]:
        """The bounds and what they are compared with."""
        if self.likelihood is not None:
            nats = self.likelihood.nats
            yield _bits("bits/dim, p(x)", self.likelihood.total)
            yield Measure("nats, p(x)", nats.mean, nats.error, "nats")
            for number, cost in enumerate(self.likelihood.latents, start=1):
                yield _bits(f"  cost of z{number}", cost)
        if self.conditional is not None and self.label_cost is not None:
            with_label = self.conditional.total
            both = Estimate(with_label.mean + self.label_cost, with_label.error)
            yield _bits("bits/dim, p(x | label)", with_label)
            yield _bits("bits/dim, p(x, label)", both)
        if self.histogram is not None:
            yield _bits("bits/dim, histogram of each number", self.histogram)

        for one in self.bounds:
            yield _bits(f"{one.name} ({self.config.compared} items)", one.bits)

    def _qualities(self) -> Iterator[Measure]:
        """How good the samples are."""
        if self.accuracy is not None:
            total, real = self.accuracy.total, self.accuracy.real
            shown = "samples that show their label"
            yield Measure(shown, 100 * total.mean, 100 * total.error, "%")
            yield Measure("the same classifier on real test items", 100 * real, None, "%")
        for name, distance in (
            ("Fréchet", self.frechet),
            ("sliced Wasserstein", self.sliced_wasserstein),
        ):
            yield Measure(f"{name} distance, samples to test", distance.samples, None, "")
            yield Measure(f"{name} distance, train to test", distance.train, None, "")


def evaluate(
    model: Model,
    dataset: Dataset,
    config: EvaluationConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Bits/dim of the test set, and the quality of samples, as far as the model has them.

    Args:
        model: any model (`models.base`).
        dataset: the data; its training set is what samples are compared with.
        config: what is computed and how; None for `EvaluationConfig()`.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        An Evaluation. It has no likelihood for a model without a bound.

    Raises:
        ValueError: for data that do not fit the model.
    """
    config = _resolved(model, dataset, config or EvaluationConfig())
    seconds: dict[str, float] = {}

    with _timed(seconds, "likelihood"):
        likelihood = _likelihood(model, dataset, config, on_progress, labelled=False)
        conditional = _likelihood(model, dataset, config, on_progress, labelled=True)

    with _timed(seconds, "comparison of bounds"):
        some = dataset.test.take(torch.arange(config.compared))
        bounds = (
            compare_bounds(model, some, config, on_progress=on_progress)
            if config.compared > 1
            else ()
        )

    with _timed(seconds, "sampling"):
        generated = _generate(model, config, on_progress)

    with _timed(seconds, "comparison of samples"):
        found = _compared_samples(generated, dataset, config.seed, on_progress)

    return Evaluation(
        dataset=dataset.name,
        config=config,
        likelihood=likelihood,
        conditional=conditional,
        label_cost=None if conditional is None else label_cost(dataset.spec),
        histogram=_histogram(dataset),
        bounds=bounds,
        accuracy=found.accuracy,
        frechet=found.frechet,
        sliced_wasserstein=found.sliced_wasserstein,
        seconds=seconds,
        generated=generated,
    )


def _resolved(model: Model, dataset: Dataset, config: EvaluationConfig) -> EvaluationConfig:
    """The same choices with nothing left open."""
    sampler = config.sampler
    if sampler is None and isinstance(model, HasTrajectory):
        sampler = Sampler()
    return replace(
        config,
        compared=min(config.compared, len(dataset.test)),
        importance=importance_weights(model, config),
        sampler=sampler,
    )


def _likelihood(
    model: Model,
    dataset: Dataset,
    config: EvaluationConfig,
    on_progress: OnProgress | None,
    *,
    labelled: bool,
) -> Likelihood | None:
    """The bound of p(x) or of p(x | label) over the test set; None where the model or the data have
    none.
    """
    if not has_bound(model) or (labelled and not _labelled(model, dataset.test)):
        return None
    name = "likelihood given the label" if labelled else "likelihood"
    chosen = BoundConfig(config.seed, config.draws, labelled=labelled)
    return evaluate_bound(model, dataset.test, chosen, on_step=stage(on_progress, name))


def _labelled(model: Model, items: Items) -> bool:
    return is_conditional(model) and items.labels is not None


def _histogram(dataset: Dataset) -> Estimate | None:
    if dataset.spec.levels is None:
        return None
    return pixel_histogram(dataset.train, dataset.test, dataset.spec)


def _generate(model: Model, config: EvaluationConfig, on_progress: OnProgress | None) -> Items:
    """Samples, all classes in turn where there are several."""
    seeds = range(config.seed, config.seed + config.samples)
    classes = model.spec.classes if is_conditional(model) else None
    labels = None if classes is None else torch.arange(config.samples) % classes
    report = stage(on_progress, "sampling")
    return Items(model.sample(seeds, labels, config.sampler, on_step=report), labels)


@dataclass(frozen=True)
class _SampleQuality:
    """How good samples are."""

    accuracy: Accuracy | None
    frechet: Distance
    sliced_wasserstein: Distance


def _compared_samples(
    generated: Items, dataset: Dataset, seed: int, on_progress: OnProgress | None
) -> _SampleQuality:
    """Label accuracy and distances from the test set, against as many training items as there are
    samples.
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

    return _SampleQuality(accuracy, gaussian, sliced)


def sample_accuracy(generated: Items, dataset: Dataset, seed: int) -> Accuracy:
    """How often a classifier that was fitted on the training set finds the label of labelled
    samples.

    Args:
        generated: samples with the labels that they were asked for.
        dataset: labelled data.
        seed: seed of the choice of training items, where there are very many.
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
    """The mean p of n zeros and ones, with the standard error sqrt(q (1 - q) / n) of q = (n p + 1)
    / (n + 2).

    Laplace's q in the place of p keeps the error above 0 where all are right.
    """
    q = (right.sum().item() + 1) / (len(right) + 2)
    return Estimate(right.mean().item(), math.sqrt(q * (1 - q) / len(right)))


def _plain(value: Any) -> Any:
    """Dataclasses, also inside a tuple, as dicts."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _bits(name: str, value: Estimate) -> Measure:
    return Measure(name, value.mean, value.error, "bits/dim")


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
