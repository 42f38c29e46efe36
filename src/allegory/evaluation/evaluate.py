"""The evaluation of a model on a data set: bits/dim of the test set, and the quality of samples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..data.dataset import Dataset, Items
from ..data.spec import DataSpec
from ..data.splits import conditions_in_turn, subset
from ..lookup import check_type
from ..models.base import (
    HasJumps,
    HasRows,
    HasTokens,
    HasTrajectory,
    Model,
    has_bound,
    is_conditional,
)
from ..process.bound import Bound, Estimate
from ..progress import OnProgress
from ..sampling.sampler import Sampler
from .baselines import pixel_histogram
from .columns import column_moments
from .compare import BoundEstimate, compare_bounds, importance_weights
from .config import BoundConfig, EvaluationConfig, stage
from .item_scores import scores_of
from .likelihood import Likelihood, label_cost, likelihood_of
from .likelihood import bounds as item_bounds
from .result import Evaluation
from .sample_quality import compare_samples
from .tokens import text_likelihood


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
            `dataset.all_as_test()`, with `reference=False`, measures every item of a file.
        config: the figures and how they are computed; None for `EvaluationConfig()`.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The figures; without a likelihood for a model without a bound.

    Raises:
        ValueError: for data that do not fit the model, fewer than two test items, and samples that
            are not finite.
    """
    check_type("dataset", dataset, Dataset, "a Dataset, e.g. allegory.load('digits')")
    if not getattr(model, "generative", True):
        raise ValueError(
            f"model: {type(model).__name__} makes no samples; measure it by evaluate_classifier"
        )
    if isinstance(model, HasRows):
        raise ValueError("model: is one of rows of a table; measure it by evaluate_table")
    config = config or EvaluationConfig()
    check_type("config", config, EvaluationConfig, "an EvaluationConfig, or None")
    available = len(dataset.test)
    dataset = measured(dataset, config)
    config = _resolved(model, dataset, config)
    seconds: dict[str, float] = {}

    with timed(seconds, "likelihood"):
        hidden, likelihood = _likelihood(model, dataset, config, on_progress, labelled=False)
        shown, conditional = _likelihood(model, dataset, config, on_progress, labelled=True)

    with timed(seconds, "comparison of bounds"):
        bounds = _bounds(model, dataset, config, on_progress)

    with timed(seconds, "sampling"):
        generated = _generate(model, dataset.test, config, on_progress)

    with timed(seconds, "comparison of samples"):
        found = compare_samples(generated, dataset, config, on_progress)

    return Evaluation(
        dataset=dataset.name,
        config=config,
        measured=len(dataset.test),
        available=available,
        likelihood=likelihood,
        conditional=conditional,
        label_cost=_label_cost(dataset.spec) if conditional is not None else None,
        histogram=None if isinstance(model, HasJumps) else _histogram(dataset, config),
        bounds=bounds,
        accuracy=found.accuracy,
        frechet=found.frechet,
        sliced_wasserstein=found.sliced_wasserstein,
        frequencies=found.frequencies,
        text=None if hidden is None else text_likelihood(dataset.spec, dataset.test.x, hidden),
        seconds=seconds,
        generated=generated,
        columns=column_moments(generated.x, dataset),
        scores=None if hidden is None else scores_of(model, dataset.test, hidden, shown),
    )


def measured(dataset: Dataset, config: EvaluationConfig) -> Dataset:
    """The data set with the test items that `config.limit` leaves.

    Raises:
        ValueError: for fewer than two test items, whose figures have no standard error.
    """
    if len(dataset.test) < 2:
        raise ValueError(
            f"{dataset.name}: {len(dataset.test)} test item; a standard error needs at least two, "
            "measure data that hold more"
        )
    if config.limit is None:
        return dataset
    return replace(dataset, test=subset(dataset.test, config.limit))


def _resolved(model: Model, dataset: Dataset, config: EvaluationConfig) -> EvaluationConfig:
    """The configuration with the sampler, and with the numbers that the model and data allow."""
    sampler = config.sampler
    if sampler is None and isinstance(model, HasTrajectory):
        sampler = model.sampler if isinstance(model, HasJumps) else Sampler()
    if sampler is None and isinstance(model, HasTokens):
        sampler = model.sampler

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
) -> tuple[Bound | None, Likelihood | None]:
    """The bound of p(x), or of p(x | condition) if `labelled`, of each test item and over the set.

    None and None without one.
    """
    if not has_bound(model) or (labelled and not _labelled(model, dataset.test)):
        return None, None
    name = f"likelihood given the {dataset.spec.given_name}" if labelled else "likelihood"
    chosen = BoundConfig(config.seed, config.draws, labelled=labelled)
    bound = item_bounds(model, dataset.test, chosen, on_step=stage(on_progress, name))
    return bound, likelihood_of(model, bound, chosen)


def _bounds(
    model: Model, dataset: Dataset, config: EvaluationConfig, on_progress: OnProgress | None
) -> tuple[BoundEstimate, ...]:
    """Several bounds of `config.compared` test items; none for fewer than two."""
    if config.compared < 2:
        return ()
    some = subset(dataset.test, config.compared)
    return compare_bounds(model, some, config, on_progress=on_progress)


def _labelled(model: Model, items: Items) -> bool:
    return is_conditional(model) and items.given is not None


def _label_cost(spec: DataSpec) -> float | None:
    """Bits/dim for the class itself; None for another condition, whose density is not known."""
    return label_cost(spec) if spec.condition is None else None


def _histogram(dataset: Dataset, config: EvaluationConfig) -> Estimate | None:
    if dataset.spec.levels is None or not config.reference:
        return None
    return pixel_histogram(dataset.train, dataset.test, dataset.spec)


def _generate(
    model: Model, test: Items, config: EvaluationConfig, on_progress: OnProgress | None
) -> Items:
    """The samples: of all classes in turn, or of the conditions of test items in turn."""
    seeds = range(config.seed, config.seed + config.samples)
    rows, labels = None, None
    if is_conditional(model):
        rows, labels = conditions_in_turn(model.spec, test, config.samples)

    x = model.sample(seeds, rows, config.sampler, on_step=stage(on_progress, "sampling"))
    return Items(x, labels, condition=None if rows is labels else rows)


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Inside the block, time is added to `seconds` under the name of a `part`."""
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
