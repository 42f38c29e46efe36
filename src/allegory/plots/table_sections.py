"""The sections of a report on a model of the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ..data.dataset import Dataset
from ..data.splits import subset, together
from ..data.table_schema import TableSchema
from ..evaluation.tables import TableEvaluation
from ..lookup import printable
from .report import Section
from .sections import training_section
from .tables import (
    MOST_PANELS,
    column_marginals,
    correlation_figure,
    correlations,
    distance_figure,
    neighbour_figure,
    pairs,
    strongest_pairs,
)

_MOST_ROWS = 5_000
"""Rows of the table that are drawn."""


def table_sections(
    dataset: Dataset,
    evaluation: TableEvaluation,
    metrics: Sequence[Mapping[str, float]] = (),
    unit: str = "nats/dim",
) -> list[Section]:
    """Columns alone, pairs, correlations, distances, nearest neighbours, and the training curve.

    Args:
        dataset: the table that the model was evaluated on.
        evaluation: what `evaluate_table` found.
        metrics: the lines of metrics.jsonl; without them there is no training curve.
        unit: of the training loss.
    """
    schema = dataset.spec.table
    assert schema is not None, "evaluate_table was given a table"
    real, samples = _real(dataset), evaluation.generated.x
    made = (
        f"{printable(dataset.name)}, {len(real):,} rows and {len(samples):,} samples, "
        f"{_sampled(evaluation)}"
    )

    parts = [_marginals(real, samples, schema, evaluation, made)]
    chosen = strongest_pairs(real, schema)
    if chosen:
        parts.append(_pairs(real, samples, schema, chosen, made))
    if len(correlations(real, schema)[0]) > 1:
        parts.append(_correlations(real, samples, schema, made))
    if any(each.samples is not None for each in evaluation.columns):
        parts.append(_distances(evaluation))
    if evaluation.nearness is not None:
        parts.append(_neighbours(evaluation))
    if metrics:
        parts.append(training_section(metrics, unit))
    return parts


def _real(dataset: Dataset) -> Float64[Tensor, "n dims"]:
    """Rows of the table: of all sets, or of the test set where that is a file of its own."""
    items = dataset.test if dataset.has_own_test else together(list(dataset.sets))
    return subset(items, _MOST_ROWS).x


def _marginals(
    real: Tensor, samples: Tensor, schema: TableSchema, evaluation: TableEvaluation, made: str
) -> Section:
    size = {each.name: each.samples.mean for each in evaluation.columns if each.samples is not None}
    varying = [each.name for each in schema.columns if each.is_number or each.is_token]
    worst = sorted(varying, key=lambda name: -size.get(name, 0.0))[:MOST_PANELS]
    shown = [name for name in varying if name in worst]
    fewer = "" if len(shown) == len(varying) else f" The {len(shown)} columns that differ most."

    return Section(
        "Each column alone",
        column_marginals(real, samples, schema, shown),
        "The distribution of each column in its own unit: rows of the table in grey, samples in "
        f"orange. Numbers show what 99 % of the rows take.{fewer}",
        f"Histograms and bars of {len(shown)} columns.",
        made,
    )


def _pairs(
    real: Tensor,
    samples: Tensor,
    schema: TableSchema,
    chosen: Sequence[tuple[str, str]],
    made: str,
) -> Section:
    words = "; ".join(f"{printable(first)} and {printable(second)}" for first, second in chosen)
    return Section(
        "Pairs of columns",
        pairs(real, samples, schema, chosen),
        "The numbers with the strongest rank correlations, as many points on either side.",
        f"Points of {words}, of the table and of samples.",
        made,
    )


def _correlations(real: Tensor, samples: Tensor, schema: TableSchema, made: str) -> Section:
    names, of_table = correlations(real, schema)
    gap = np.abs(of_table - correlations(samples, schema)[1])
    first, second = np.unravel_index(gap.argmax(), gap.shape)
    pair = f"{printable(names[first])} and {printable(names[second])}"

    return Section(
        "Correlations",
        correlation_figure(real, samples, schema),
        "Correlations of numbers, and of columns of few values value by value. They differ most "
        f"for {pair}: {of_table[first, second]:.2f} in the table, by {gap.max():.2f}.",
        "Two triangles of colours, of the table and of samples, which should be alike.",
        made,
    )


def _distances(evaluation: TableEvaluation) -> Section:
    found = [each for each in evaluation.columns if each.samples is not None]
    worst = max(found, key=lambda each: each.samples.mean if each.samples else 0.0)
    assert worst.samples is not None

    return Section(
        "Distances by column",
        distance_figure(evaluation.columns),
        "How far samples are from test rows, with one standard error (bootstrap). Grey: as many "
        "training rows, the distance that a perfect model would have up to chance.",
        f"Dots by column; {printable(worst.name)} is farthest, {worst.samples.mean:.3f}.",
        f"{printable(evaluation.dataset)}, {evaluation.measured:,} test rows and "
        f"{len(evaluation.generated):,} samples, {_sampled(evaluation)}",
    )


def _neighbours(evaluation: TableEvaluation) -> Section:
    near = evaluation.nearness
    assert near is not None
    found = near.probability
    verdict = (
        "The model repeats rows that it learned: train for fewer steps, or on more rows."
        if near.is_memorised
        else "A model that repeats rows that it learned has a curve far to the left."
    )
    exact = int((near.samples == 0).sum())
    copies = f" {exact:,} samples are equal to a training row." if exact else ""

    return Section(
        "Nearest training rows",
        neighbour_figure(near),
        "The distance of samples, and of test rows that the model has not seen, to the nearest "
        f"training row. A sample is nearer than a test row in {100 * found.mean:.1f} % of all "
        f"pairs (± {100 * found.error:.1f}; 50 % where they are alike).{copies} {verdict}",
        f"Two rising curves; medians {torch.median(near.samples):.3g} of samples and "
        f"{torch.median(near.test):.3g} of test rows.",
        f"{printable(evaluation.dataset)}, among {near.rows:,} training rows; numbers in standard "
        "deviations, 1 for another value",
    )


def _sampled(evaluation: TableEvaluation) -> str:
    """How the samples were made, in one line."""
    sampler = evaluation.config.sampler
    how = "" if sampler is None else f"{sampler.describe()}, "
    return f"{how}seeds from {evaluation.config.seed}"
