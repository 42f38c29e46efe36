"""Everything that is measured of a model on a data set, in one frozen value."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..models.diffusion import VDM
from ..process.bound import Estimate
from ..sampling.registry import solver_named
from .baselines import pixel_histogram
from .compare import BoundEstimate, compare_bounds
from .distances import frechet, sliced_wasserstein
from .label_accuracy import LabelClassifier
from .likelihood import Likelihood, Model, evaluate_bound, label_cost
from .measure import Measure
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
    readings: tuple[BoundEstimate, ...]
    accuracy: Accuracy | None
    frechet: Distance
    sliced_wasserstein: Distance
    seconds: dict[str, float]
    generated: Items

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the samples."""
        values = {name: value for name, value in vars(self).items() if name != "generated"}
        return {name: _plain(value) for name, value in values.items()}

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        nats = self.likelihood.nats
        rows = [
            _bits("bits/dim, p(x)", self.likelihood.total),
            Measure("nats, p(x)", nats.mean, nats.error, "nats"),
        ]
        rows += [
            _bits(f"  cost of z{i}", cost)
            for i, cost in enumerate(self.likelihood.latents, start=1)
        ]
        if self.conditional is not None and self.label_cost is not None:
            with_label = self.conditional.total
            rows.append(_bits("bits/dim, p(x | label)", with_label))
            both = Estimate(with_label.mean + self.label_cost, with_label.error)
            rows.append(_bits("bits/dim, p(x, label)", both))
        if self.histogram is not None:
            rows.append(_bits("bits/dim, histogram of each number", self.histogram))
        for one in self.readings:
            rows.append(_bits(f"{one.name} ({self.settings['compared']} items)", one.bits))
        if self.accuracy is not None:
            total = self.accuracy.total
            rows.append(
                Measure("samples that show their label", 100 * total.mean, 100 * total.error, "%")
            )
            rows.append(
                Measure("the same judge on real test items", 100 * self.accuracy.real, None, "%")
            )
        for name, distance in (
            ("Fréchet", self.frechet),
            ("sliced Wasserstein", self.sliced_wasserstein),
        ):
            rows.append(Measure(f"{name} distance, samples to test", distance.samples, None, ""))
            rows.append(Measure(f"{name} distance, train to test", distance.train, None, ""))
        per_second = len(self.generated) / max(self.seconds["sampling"], 1e-9)
        return [*rows, Measure("sampling speed", per_second, None, "items/s")]


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    seed: int = 0,
    draws: int = 32,
    samples: int = 500,
    steps: int = 25,
    solver: str = "dpmpp2m",
    guidance: float = 1.0,
    compared: int = 200,
    importance: int | None = None,
) -> Evaluation:
    """Bits/dim of the test set, and `samples` samples beside it: each class equally often where there are several.

    `draws` evaluations an item for each likelihood; the first `compared` test items are measured in every way that the
    model has, with `importance` weights an item (by default 50, none for diffusion). `steps`, `solver`, `guidance` (1 is
    unguided) are a diffusion model's; sample i has the seed seed + i. ValueError for fewer than two samples, one compared
    item, or negative numbers.
    """
    _check(samples, compared, importance or 0, seed, solver)
    spec, test, seconds, diffusion = (
        dataset.spec,
        dataset.test,
        dict[str, float](),
        isinstance(model, VDM),
    )
    weights = (0 if diffusion else 50) if importance is None else importance
    compared = min(compared, len(test))
    settings: dict[str, Any] = dict(
        seed=seed, draws=draws, samples=samples, compared=compared, importance=weights
    )
    settings |= dict(steps=steps, solver=solver, guidance=guidance) if diffusion else {}
    labelled = diffusion and spec.classes is not None and spec.classes > 1
    with _timed(seconds, "likelihood"):
        likelihood = evaluate_bound(model, test, seed=seed, draws=draws)
        conditional = (
            evaluate_bound(model, test, seed=seed, draws=draws, labelled=True) if labelled else None
        )
    with _timed(seconds, "comparison of bounds"):
        some = test.take(torch.arange(compared))
        readings = (
            compare_bounds(model, some, seed=seed, draws=draws, weights=weights)
            if compared > 1
            else ()
        )
    with _timed(seconds, "sampling"):
        generated = _generate(model, labelled, settings)
    with _timed(seconds, "comparison of samples"):
        cost = label_cost(spec) if labelled else None
        histogram = None if spec.levels is None else pixel_histogram(dataset.train, test, spec)
        accuracy = judged(generated, dataset, seed) if labelled else None
        distances = _distances(generated, dataset, seed)
    found = (likelihood, conditional, cost, histogram, readings, accuracy, *distances)
    return Evaluation(dataset.name, settings, *found, seconds, generated)


def _check(samples: int, compared: int, importance: int, seed: int, solver: str) -> None:
    """ValueError, before anything is computed, for a number that means nothing or an unknown solver."""
    solver_named(solver)
    if samples < 2:
        raise ValueError(f"samples={samples}; give at least 2")
    if compared < 0 or compared == 1:
        raise ValueError(f"compared={compared}; give 0, for no comparison, or at least 2 items")
    if importance < 0 or seed < 0:
        raise ValueError(f"importance={importance}, seed={seed}; give no negative number")


def _generate(model: Model, labelled: bool, how: Mapping[str, Any]) -> Items:
    """Samples, all classes in turn where there are several; a VAE or a hierarchy has no steps, no solver, no guidance."""
    count, seeds = how["samples"], range(how["seed"], how["seed"] + how["samples"])
    if not isinstance(model, VDM):
        return Items(model.sample(seeds))
    labels = torch.arange(count) % model.spec.classes if labelled and model.spec.classes else None
    chosen = {name: how[name] for name in ("solver", "steps", "guidance")}
    return Items(draw(model, count, seeds=seeds, labels=labels, **chosen), labels)


def judged(generated: Items, dataset: Dataset, seed: int) -> Accuracy:
    """What a judge fitted on the training set says of labelled samples."""
    judge = LabelClassifier.fit(dataset.train, dataset.spec, seed)
    assert generated.labels is not None and dataset.test.labels is not None
    right = (judge.predict(generated.x) == generated.labels).double()
    by_class = [
        right[generated.labels == label].mean().item() for label in generated.labels.unique()
    ]
    return Accuracy(
        share(right), tuple(by_class), judge.accuracy(dataset.test.x, dataset.test.labels)
    )


def share(right: Float[Tensor, " n"]) -> Estimate:
    """The mean p of n zeros and ones, with the standard error sqrt(q (1 - q) / n) of q = (n p + 1) / (n + 2).

    Laplace's q in the place of p keeps the error above 0 where all are right.
    """
    q = (right.sum().item() + 1) / (len(right) + 2)
    return Estimate(right.mean().item(), math.sqrt(q * (1 - q) / len(right)))


def _distances(generated: Items, dataset: Dataset, seed: int) -> tuple[Distance, Distance]:
    """Fréchet and sliced Wasserstein, against as many training items as there are samples, if there are so many."""
    order = np.random.default_rng(seed).permutation(len(dataset.train))[: len(generated)]
    sets = (generated.x, dataset.train.x[torch.from_numpy(order)], dataset.test.x)
    samples, train, test = (dataset.spec.encode(raw) for raw in sets)
    return (
        Distance(frechet(samples, test), frechet(train, test)),
        Distance(sliced_wasserstein(samples, test, seed), sliced_wasserstein(train, test, seed)),
    )


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
