"""Everything that is measured of a model on a data set, in one frozen value."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Arrays, Dataset
from ..models.diffusion import VDM
from ..process.bound import Estimate
from .baselines import pixel_histogram
from .judge import Judge
from .likelihood import Likelihood, evaluate_bound, label_cost
from .measure import Measure
from .quality import frechet, sliced_wasserstein
from .samples import draw


@dataclass(frozen=True)
class Distance:
    """How far samples are from the test set, beside how far as many training items are, in model units."""

    samples: float
    train: float


@dataclass(frozen=True)
class Accuracy:
    """The share of samples that show their label to a judge of real items, who is right on `real` of the test set."""

    total: Estimate
    by_class: tuple[float, ...]
    real: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found. Bits/dim are of the test set; `seconds` says how long each part took."""

    dataset: str
    settings: dict[str, Any]
    likelihood: Likelihood
    conditional: Likelihood | None
    label_cost: float | None
    histogram: Estimate | None
    accuracy: Accuracy | None
    frechet: Distance
    sliced_wasserstein: Distance
    seconds: dict[str, float]
    generated: Arrays

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the samples."""
        values = {name: value for name, value in vars(self).items() if name != "generated"}
        return {name: asdict(value) if is_dataclass(value) else value for name, value in values.items()}  # type: ignore[arg-type]

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        rows = [_bits("bits/dim, p(x)", self.likelihood.total)]
        if self.conditional is not None and self.label_cost is not None:
            with_label = self.conditional.total
            rows.append(_bits("bits/dim, p(x | label)", with_label))
            both = Estimate(with_label.mean + self.label_cost, with_label.error)
            rows.append(_bits("bits/dim, p(x, label)", both))
        if self.histogram is not None:
            rows.append(_bits("bits/dim, histogram of each number", self.histogram))
        if self.accuracy is not None:
            total = self.accuracy.total
            rows.append(Measure("samples that show their label", 100 * total.mean, 100 * total.error, "%"))
            rows.append(Measure("the same judge on real test items", 100 * self.accuracy.real, None, "%"))
        for name, distance in (("Fréchet", self.frechet), ("sliced Wasserstein", self.sliced_wasserstein)):
            rows.append(Measure(f"{name} distance, samples to test", distance.samples, None, ""))
            rows.append(Measure(f"{name} distance, train to test", distance.train, None, ""))
        per_second = len(self.generated) / max(self.seconds["sampling"], 1e-9)
        return [*rows, Measure("sampling speed", per_second, None, "items/s")]


def evaluate(
    model: VDM,
    dataset: Dataset,
    *,
    seed: int = 0,
    draws: int = 32,
    samples: int = 500,
    steps: int = 25,
    solver: str = "dpmpp2m",
    guidance: float = 1.0,
) -> Evaluation:
    """Bits/dim of the test set, and `samples` samples beside it: each class equally often where there are several.

    `draws` evaluations an item for each likelihood; `steps`, `solver`, `guidance` (1 is unguided) for the samples,
    of which item i has the seed seed + i. ValueError for fewer than two samples.
    """
    if samples < 2:
        raise ValueError(f"samples={samples}; give at least 2")
    spec, seconds = dataset.spec, dict[str, float]()
    settings = dict(seed=seed, draws=draws, samples=samples, steps=steps, solver=solver, guidance=guidance)
    labels = torch.arange(samples) % spec.classes if spec.classes and spec.classes > 1 else None
    with _timed(seconds, "likelihood"):
        likelihood = evaluate_bound(model, dataset.test, seed=seed, draws=draws)
        conditional = None
        if labels is not None:
            conditional = evaluate_bound(model, dataset.test, seed=seed, draws=draws, labelled=True)
    with _timed(seconds, "sampling"):
        seeds = range(seed, seed + samples)
        raw = draw(model, samples, seeds=seeds, labels=labels, solver=solver, steps=steps, guidance=guidance)
    generated = Arrays(raw, labels)
    with _timed(seconds, "comparison"):
        cost = None if labels is None else label_cost(spec)
        histogram = None if spec.levels is None else pixel_histogram(dataset.train, dataset.test, spec)
        accuracy = None if labels is None else judged(generated, dataset, seed)
        distances = _distances(generated, dataset, seed)
    found = (likelihood, conditional, cost, histogram, accuracy, *distances)
    return Evaluation(dataset.name, settings, *found, seconds, generated)


def judged(generated: Arrays, dataset: Dataset, seed: int) -> Accuracy:
    """What a judge fitted on the training set says of labelled samples."""
    judge = Judge.fit(dataset.train, dataset.spec, seed)
    assert generated.labels is not None and dataset.test.labels is not None
    right = (judge.predict(generated.x) == generated.labels).double()
    by_class = [right[generated.labels == label].mean().item() for label in generated.labels.unique()]
    return Accuracy(share(right), tuple(by_class), judge.accuracy(dataset.test.x, dataset.test.labels))


def share(right: Float[Tensor, " n"]) -> Estimate:
    """The mean p of n zeros and ones, with the standard error sqrt(q (1 - q) / n) of q = (n p + 1) / (n + 2).

    Laplace's q in the place of p keeps the error above 0 where all are right.
    """
    q = (right.sum().item() + 1) / (len(right) + 2)
    return Estimate(right.mean().item(), math.sqrt(q * (1 - q) / len(right)))


def _distances(generated: Arrays, dataset: Dataset, seed: int) -> tuple[Distance, Distance]:
    """Fréchet and sliced Wasserstein, against as many training items as there are samples, if there are so many."""
    order = np.random.default_rng(seed).permutation(len(dataset.train))[: len(generated)]
    sets = (generated.x, dataset.train.x[torch.from_numpy(order)], dataset.test.x)
    samples, train, test = (dataset.spec.encode(raw) for raw in sets)
    return (
        Distance(frechet(samples, test), frechet(train, test)),
        Distance(sliced_wasserstein(samples, test, seed), sliced_wasserstein(train, test, seed)),
    )


def _bits(name: str, value: Estimate) -> Measure:
    return Measure(name, value.mean, value.error, "bits/dim")


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
