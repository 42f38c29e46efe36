"""The evaluation of a model of the rows of a table: likelihood, columns, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from ..data.dataset import Dataset, Items
from ..data.splits import subset
from ..data.table_schema import TableSchema
from ..lookup import check_type
from ..models.base import HasRows, check_samples, device_of
from ..process.bound import Estimate, estimate
from ..progress import OnProgress
from ..sampling.rows import RowSampler
from .config import BoundConfig, EvaluationConfig, stage
from .evaluate import measured, timed
from .item_scores import ItemScores
from .likelihood import bounds
from .result import Measure
from .table_distances import ColumnDistance, TableSets, column_distances
from .table_neighbours import Nearness, nearness

_BATCH = 50
"""Rows whose exact likelihood is computed at once."""


@dataclass(frozen=True, eq=False)
class TableEvaluation:
    """The figures of a model of rows, from `evaluate_table`.

    Nats are of -log p(row), or of -log p(row | given columns): of a density in the units of the
    columns where they are numbers, of a probability where they are whole numbers, dates, finitely
    many values or missing.

    Args:
        dataset: the name of the data set.
        config: the figures and how they were computed.
        measured: how many test rows the figures are of.
        available: how many there are.
        bound: the upper bound of -log p, in nats per row.
        exact: -log p by the probability-flow ODE, of `exact_rows` of them; None where rows have
            finitely many values or missing ones, for which there is a bound alone.
        exact_rows: how many.
        has_whole: whether some numbers are whole, of which that is one draw of a bound.
        columns: distances of samples and test rows.
        nearness: distances from the nearest training row; None without a reference.
        seconds: time of each part.
        generated: the samples.
        scores: the bound of each test row.
    """

    dataset: str
    config: EvaluationConfig
    measured: int
    available: int
    bound: Estimate
    exact: Estimate | None
    exact_rows: int
    has_whole: bool
    columns: tuple[ColumnDistance, ...]
    nearness: Nearness | None
    seconds: dict[str, float]
    generated: Items
    scores: ItemScores

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        items = Measure(f"test rows measured, of {self.available}", self.measured, None, "rows")
        per_second = len(self.generated) / max(self.seconds["sampling"], 1e-9)
        speed = Measure("sampling speed", per_second, None, "rows/s")
        return [items, *self._likelihoods(), *self._columns(), *self._neighbours(), speed]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the samples and the scores of the rows."""
        sampler = self.config.sampler
        config = asdict(replace(self.config, sampler=None))
        config["sampler"] = None if sampler is None else sampler.to_dict()
        near = self.nearness

        return {
            "dataset": self.dataset,
            "measured": self.measured,
            "available": self.available,
            "bound": asdict(self.bound),
            "exact": None if self.exact is None else asdict(self.exact),
            "exact_rows": self.exact_rows,
            "columns": [asdict(each) for each in self.columns],
            "nearness": None
            if near is None
            else asdict(near.probability)
            | {
                "samples_median": float(near.samples.median()),
                "test_median": float(near.test.median()),
                "is_memorised": near.is_memorised,
            },
            "seconds": self.seconds,
            "config": config,
        }

    def _likelihoods(self) -> Iterator[Measure]:
        yield Measure("-log p(row), upper bound", self.bound.mean, self.bound.error, "nats/row")
        if self.exact is not None:
            how = "a bound by the ODE" if self.has_whole else "exact, by the ODE"
            name = f"-log p(row), {how} ({self.exact_rows} rows)"
            yield Measure(name, self.exact.mean, self.exact.error, "nats/row")

    def _columns(self) -> Iterator[Measure]:
        for each in self.columns:
            what, unit = ("Wasserstein-1", "std") if each.is_number else ("total variation", "")
            if each.samples is not None:
                train = "" if each.train is None else f" (train {each.train:.3f})"
                name = f"{each.name}, {what}{train}"
                yield Measure(name, each.samples.mean, each.samples.error, unit)

            if each.missing is not None and each.test_missing is not None:
                name = f"{each.name}, missing (test {100 * each.test_missing.mean:.1f} %)"
                yield Measure(name, 100 * each.missing.mean, 100 * each.missing.error, "%")

    def _neighbours(self) -> Iterator[Measure]:
        if self.nearness is None:
            return
        found = self.nearness.probability
        name = "samples nearer to training rows than test rows (50 if alike)"
        yield Measure(name, 100 * found.mean, 100 * found.error, "%")


def evaluate_table(
    model: HasRows,
    dataset: Dataset,
    config: EvaluationConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> TableEvaluation:
    """The evaluation of a model of the rows of a table.

    Args:
        model: a model of rows.
        dataset: the table; likelihoods are of its test rows, and samples are compared with them and
            with its training rows.
        config: the figures and how they are computed; None for `EvaluationConfig()`. `compared` is
            how many test rows have their exact likelihood computed, where they have one.
        on_progress: called as on_progress(stage, done, total).

    Raises:
        ValueError: for data that are no table, and fewer than two test rows.
    """
    check_type("dataset", dataset, Dataset, "a Dataset, e.g. allegory.load('table:people.csv')")
    config = config or EvaluationConfig()
    config = replace(config, sampler=_sampler(model, config))
    schema, available = _schema(dataset), len(dataset.test)
    dataset = measured(dataset, config)
    seconds: dict[str, float] = {}

    with timed(seconds, "likelihood"):
        chosen = BoundConfig(config.seed, config.draws)
        bound = -bounds(model, dataset.test, chosen, on_step=stage(on_progress, "likelihood")).total
        exact = _exact(model, dataset.test, config, on_progress)

    with timed(seconds, "sampling"):
        generated = _generate(model, dataset.test.x, config, on_progress)

    with timed(seconds, "comparison of samples"):
        some = subset(dataset.train, len(generated)).x if config.reference else None
        sets = TableSets(generated, dataset.test.x, some)
        columns = column_distances(sets, schema, config.seed)
        near = None
        if config.reference:
            near = nearness(generated, dataset.test.x, dataset.train.x, schema)

    test = dataset.test
    index = torch.arange(len(test)) if test.index is None else test.index
    return TableEvaluation(
        dataset=dataset.name,
        config=config,
        measured=len(test),
        available=available,
        bound=estimate(bound),
        exact=None if exact is None else estimate(exact),
        exact_rows=0 if exact is None else len(exact),
        has_whole=bool(schema.is_whole.any()),
        columns=columns,
        nearness=near,
        seconds=seconds,
        generated=Items(generated),
        scores=ItemScores({"index": index, "nats": bound}),
    )


def _sampler(model: HasRows, config: EvaluationConfig) -> RowSampler:
    """How rows are sampled. ValueError for a sampler of other models."""
    sampler = config.sampler or model.sampler
    if not isinstance(sampler, RowSampler):
        raise ValueError(f"sampler={sampler.describe()}: rows of a table take a RowSampler")
    return sampler


def _schema(dataset: Dataset) -> TableSchema:
    """The columns. ValueError for data that are no table."""
    if dataset.spec.table is None:
        raise ValueError(f"dataset: {dataset.spec}, no table; read it by load('table:FILE')")
    return dataset.spec.table


def _exact(
    model: HasRows, test: Items, config: EvaluationConfig, on_progress: OnProgress | None
) -> Float64[Tensor, " n"] | None:
    """-log p by the ODE of `config.compared` test rows; None where there is none."""
    if not model.exact or config.compared < 2:
        return None
    x = subset(test, config.compared).x.to(device_of(model))
    report = stage(on_progress, "likelihood by the ODE")
    parts = []

    for start in range(0, len(x), _BATCH):
        part = x[start : start + _BATCH]
        seeds = range(config.seed + start, config.seed + start + len(part))
        parts.append(-model.log_prob(part, seeds=seeds).double().cpu())
        if report is not None:
            report(start + len(part), len(x))

    return torch.cat(parts)


def _generate(
    model: HasRows, test: Tensor, config: EvaluationConfig, on_progress: OnProgress | None
) -> Float64[Tensor, "n dims"]:
    """The samples; with the given columns of test rows in turn, where there are some."""
    seeds = range(config.seed, config.seed + config.samples)
    x = test[torch.arange(config.samples) % len(test)]
    sampler, report = _sampler(model, config), stage(on_progress, "sampling")
    rows = model.infill(x, torch.zeros_like(x).bool(), seeds, sampler, report)
    return check_samples(rows, "the model")
