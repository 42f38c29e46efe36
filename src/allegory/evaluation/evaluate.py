"""The evaluation of a model on a data set: bits/dim of the test set, and the quality of samples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from ..data.dataset import Dataset, Items
from ..models.base import HasTrajectory, Model, has_bound, is_conditional
from ..process.bound import Estimate
from ..progress import OnProgress
from ..sampling.sampler import Sampler
from .baselines import pixel_histogram
from .compare import BoundEstimate, compare_bounds, importance_weights
from .config import BoundConfig, EvaluationConfig, stage
from .likelihood import Likelihood, evaluate_bound, label_cost
from .result import Evaluation
from .sample_quality import compare_samples


def evaluate(
    model: Model,
    dataset: Dataset,
    config: EvaluationConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """The evaluation of a model: bits/dim of the test set, and the quality of its samples.

    Args:
        model: any model (`models.base`).
        dataset: the data; bits/dim are of its test set, and samples are compared with both sets.
        config: the figures and how they are computed; None for `EvaluationConfig()`.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The figures; without a likelihood for a model without a bound.

    Raises:
        ValueError: for data that do not fit the model.
    """
    config = _resolved(model, dataset, config or EvaluationConfig())
    seconds: dict[str, float] = {}

    with _timed(seconds, "likelihood"):
        likelihood = _likelihood(model, dataset, config, on_progress, labelled=False)
        conditional = _likelihood(model, dataset, config, on_progress, labelled=True)

    with _timed(seconds, "comparison of bounds"):
        bounds = _bounds(model, dataset, config, on_progress)

    with _timed(seconds, "sampling"):
        generated = _generate(model, config, on_progress)

    with _timed(seconds, "comparison of samples"):
        found = compare_samples(generated, dataset, config.seed, on_progress)

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
    """The configuration with the sampler, and with the numbers that the model and data allow."""
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
    """The bound of p(x), or of p(x | label) if `labelled`, over the test set; None without one."""
    if not has_bound(model) or (labelled and not _labelled(model, dataset.test)):
        return None
    name = "likelihood given the label" if labelled else "likelihood"
    chosen = BoundConfig(config.seed, config.draws, labelled=labelled)
    return evaluate_bound(model, dataset.test, chosen, on_step=stage(on_progress, name))


def _bounds(
    model: Model, dataset: Dataset, config: EvaluationConfig, on_progress: OnProgress | None
) -> tuple[BoundEstimate, ...]:
    """Several bounds of the first `config.compared` test items; none for fewer than two."""
    if config.compared < 2:
        return ()
    some = dataset.test.take(torch.arange(config.compared))
    return compare_bounds(model, some, config, on_progress=on_progress)


def _labelled(model: Model, items: Items) -> bool:
    return is_conditional(model) and items.labels is not None


def _histogram(dataset: Dataset) -> Estimate | None:
    if dataset.spec.levels is None:
        return None
    return pixel_histogram(dataset.train, dataset.test, dataset.spec)


def _generate(model: Model, config: EvaluationConfig, on_progress: OnProgress | None) -> Items:
    """The samples; of all classes in turn for a conditional model."""
    seeds = range(config.seed, config.seed + config.samples)
    classes = model.spec.classes if is_conditional(model) else None
    labels = None if classes is None else torch.arange(config.samples) % classes
    report = stage(on_progress, "sampling")
    return Items(model.sample(seeds, labels, config.sampler, on_step=report), labels)


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
