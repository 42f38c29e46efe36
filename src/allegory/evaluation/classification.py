"""The accuracy and the cross-entropy of a classifier of noisy data, by noise level."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..lookup import check_count, check_type
from ..models.base import CanClassify, Model, device_of, evaluating
from ..process.bound import Estimate, estimate
from ..process.noise import Noise, Stream
from ..process.path import Path
from ..progress import OnProgress
from .config import EvaluationConfig, stage
from .evaluate import measured
from .likelihood import BATCH
from .result import Measure
from .sample_quality import proportion

POINTS = 9
"""Values of log-SNR, unless another number is given."""
_MAX_LOG_SNR = 20.0
"""The largest log-SNR of a path without an end that is looked at: x_t is clean to any precision."""


@dataclass(frozen=True)
class AtLogSNR:
    """A classifier at one noise level.

    Args:
        log_snr: the level.
        accuracy: fraction of the items whose class has the largest probability.
        cross_entropy: -log p(y | x_t) of their class, in nats.
    """

    log_snr: float
    accuracy: Estimate
    cross_entropy: Estimate


@dataclass(frozen=True, eq=False)
class Classification:
    """The figures of a classifier on a data set, from `evaluate_classifier`.

    Args:
        dataset: the name of the data set.
        config: how they were computed.
        measured: how many test items they are of.
        available: how many there are.
        levels: accuracy and cross-entropy by log-SNR, from noise to data.
        class_entropy: the cross-entropy, in nats, of the frequencies of the classes among the
            training items, which do not look at x_t.
        seconds: the time that it took.
    """

    dataset: str
    config: EvaluationConfig
    measured: int
    available: int
    levels: tuple[AtLogSNR, ...]
    class_entropy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        levels = [asdict(each) for each in self.levels]
        config = asdict(replace(self.config, sampler=None))
        return vars(self) | {"levels": levels, "config": config}

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        name = f"test items measured, of {self.available}"
        return [Measure(name, self.measured, None, "items"), *self._levels()]

    def _levels(self) -> Iterator[Measure]:
        """Accuracy and cross-entropy at each level."""
        for each in reversed(self.levels):
            right = each.accuracy
            at = f"at log-SNR {each.log_snr:.3g}"
            yield Measure(f"accuracy {at}", 100 * right.mean, 100 * right.error, "%")

        for each in reversed(self.levels):
            cost = each.cross_entropy
            at = f"at log-SNR {each.log_snr:.3g}"
            yield Measure(f"cross-entropy {at}", cost.mean, cost.error, "nats")

        name = "cross-entropy by the frequencies of the classes"
        yield Measure(name, self.class_entropy, None, "nats")


def evaluate_classifier(
    model: Model,
    dataset: Dataset,
    config: EvaluationConfig | None = None,
    *,
    points: int = POINTS,
    on_progress: OnProgress | None = None,
) -> Classification:
    """Accuracy and cross-entropy of a classifier at equal steps of log-SNR, on the test set.

    Args:
        model: a model that gives the posterior of the class (`models.base.CanClassify`).
        dataset: the data, with classes.
        config: the seed and the number of items; None for `EvaluationConfig()`. Item i draws its
            noise, one draw for each level, from seed + i.
        points: values of log-SNR, from one end of the path to the other, at most 20 in size.
        on_progress: called as on_progress(stage, done, total).

    Raises:
        ValueError: for another model, and data without classes or with fewer than two test items.
    """
    check_type("dataset", dataset, Dataset, "a Dataset, e.g. allegory.load('digits')")
    check_count("points", points, 2, 1000)
    if not isinstance(model, CanClassify):
        raise ValueError(
            f"model: {type(model).__name__} has no method `class_log_prob`; give a Classifier"
        )
    config = config or EvaluationConfig()
    available = len(dataset.test)
    some = measured(dataset, config).test
    if some.labels is None:
        raise ValueError(f"{dataset.name}: no classes to compare with; give labelled data")

    start = time.perf_counter()
    log_snr = _log_snr(model.path, points)
    log_prob = _log_prob(model, some, log_snr, config.seed, on_progress)
    chosen = log_prob.gather(2, some.labels.expand(points, -1)[..., None])[..., 0]
    right = (log_prob.argmax(2) == some.labels).double()

    return Classification(
        dataset=dataset.name,
        config=config,
        measured=len(some),
        available=available,
        levels=tuple(
            AtLogSNR(level, proportion(right[i]), estimate(-chosen[i]))
            for i, level in enumerate(log_snr.tolist())
        ),
        class_entropy=_class_entropy(dataset, some.labels),
        seconds=time.perf_counter() - start,
    )


def _log_snr(path: Path, points: int) -> Float[Tensor, " points"]:
    """Equal steps of log-SNR from noise to data."""
    start, end = (max(-_MAX_LOG_SNR, min(_MAX_LOG_SNR, each)) for each in path.schedule.ends)
    return torch.linspace(end, start, points, dtype=torch.float64)


@torch.no_grad()
def _log_prob(
    model: Any,
    items: Items,
    log_snr: Float[Tensor, " points"],
    seed: int,
    on_progress: OnProgress | None,
) -> Float[Tensor, "points n classes"]:
    """log p(y | x_t) of every item at every level, in float64 on the CPU."""
    report = stage(on_progress, "accuracy by noise level") or (lambda done, total: None)
    times = model.path.schedule.inverse(log_snr).clamp(0.0, 1.0)
    levels, device = model.path.levels(times), device_of(model)

    parts = []
    with evaluating(model):
        for index in torch.arange(len(items)).split(BATCH):
            x0 = model.spec.encode(items.take(index).x).to(device)
            seeds = range(seed + int(index[0]), seed + int(index[-1]) + 1)
            noise = Noise(seeds, x0.shape[1:], Stream.BOUND)
            found = [model.class_log_prob(level.mix(x0, noise.draw(x0)), level) for level in levels]
            parts.append(torch.stack(found).double().cpu())
            report(int(index[-1]) + 1, len(items))

    return torch.cat(parts, 1)


def _class_entropy(dataset: Dataset, labels: Int64[Tensor, " n"]) -> float:
    """-log of the frequency of the class among the training items, on average over test items.

    One is added to each count, so that a class that no training item has costs a finite number.
    """
    train = dataset.train.labels
    assert dataset.spec.classes is not None and train is not None
    counts = 1.0 + torch.bincount(train, minlength=dataset.spec.classes).double()
    mean = (counts / counts.sum()).log()[labels].mean().item()
    return -mean
