"""The result of an evaluation: its figures with standard errors and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, NamedTuple, Protocol

from ..data.dataset import Items
from ..process.bound import Estimate
from .columns import ColumnMoments
from .compare import BoundEstimate
from .config import EvaluationConfig
from .item_scores import ItemScores
from .likelihood import Likelihood
from .tokens import TextLikelihood


class Measure(NamedTuple):
    """A figure with its standard error (None without one) and its unit ("" for a pure number)."""

    name: str
    value: float
    error: float | None
    unit: str


class Figures(Protocol):
    """What is found of a model on a data set: an `Evaluation`, or a `Classification`."""

    @property
    def config(self) -> EvaluationConfig:
        """How they were computed."""
        ...

    @property
    def measured(self) -> int:
        """How many test items they are of."""
        ...

    @property
    def available(self) -> int:
        """How many test items there are."""
        ...

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        ...


@dataclass(frozen=True)
class Distance:
    """The distances of samples and of as many training items from the test set, in model units.

    `train` is None without a reference.
    """

    samples: float
    train: float | None


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a classifier of real items on the labels of samples.

    Args:
        total: fraction of the samples that are classified as their label.
        by_class: that fraction by label.
        real: accuracy of the classifier on the test set; None without a reference.
    """

    total: Estimate
    by_class: tuple[float, ...]
    real: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a model on a data set, from `evaluate`. Bits/dim are of the test set.

    Args:
        dataset: the name of the data set.
        config: the figures and how they were computed; with the numbers of importance weights and
            compared items that were used.
        measured: how many test items the figures are of.
        available: how many there are.
        likelihood: the bound of p(x), term by term; None for a model without a bound.
        conditional: that of p(x | condition), for example the label, for data with a condition.
        label_cost: bits/dim for the label itself; None for another condition.
        histogram: bits/dim by the histogram of each number alone; None for continuous data, and
            without a reference.
        bounds: other bounds of `config.compared` of the test items.
        accuracy: accuracy of the samples' labels; None without labels.
        frechet: Fréchet distance of the samples; None for data with a vocabulary.
        sliced_wasserstein: sliced Wasserstein distance of the samples; likewise.
        frequencies: total variation of the frequencies of levels; None without a vocabulary.
        text: the bound of p(x) by the bytes and characters of a text; None for other data.
        seconds: time of each part.
        generated: the samples.
        columns: mean and standard deviation of each number of an item; none for pictures, and
            items of more than 12 numbers.
        scores: the likelihood of each test item; None for a model without a bound.
    """

    dataset: str
    config: EvaluationConfig
    measured: int
    available: int
    likelihood: Likelihood | None
    conditional: Likelihood | None
    label_cost: float | None
    histogram: Estimate | None
    bounds: tuple[BoundEstimate, ...]
    accuracy: Accuracy | None
    frechet: Distance | None
    sliced_wasserstein: Distance | None
    frequencies: Distance | None
    text: TextLikelihood | None
    seconds: dict[str, float]
    generated: Items
    columns: tuple[ColumnMoments, ...]
    scores: ItemScores | None

    @property
    def seeds(self) -> range:
        """The seeds of the samples."""
        return range(self.config.seed, self.config.seed + len(self.generated))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the samples and the scores of the items."""
        skipped = ("generated", "config", "scores")
        values = {name: value for name, value in vars(self).items() if name not in skipped}
        config = asdict(replace(self.config, sampler=None))
        sampler = self.config.sampler
        config["sampler"] = None if sampler is None else sampler.to_dict()

        return {name: _plain(value) for name, value in values.items()} | {"config": config}

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        per_second = len(self.generated) / max(self.seconds["sampling"], 1e-9)
        speed = Measure("sampling speed", per_second, None, "items/s")
        items = Measure(f"test items measured, of {self.available}", self.measured, None, "items")
        return [items, *self._likelihoods(), *self._qualities(), *self._columns(), speed]

    def _likelihoods(self) -> Iterator[Measure]:
        """The bounds, and their references."""
        if self.likelihood is not None:
            nats = self.likelihood.nats
            yield _bits("bits/dim, p(x)", self.likelihood.total)
            yield Measure("nats, p(x)", nats.mean, nats.error, "nats")
            for number, cost in enumerate(self.likelihood.latents, start=1):
                yield _bits(f"  cost of z{number}", cost)
        if self.text is not None:
            per_byte, per_character = self.text.per_byte, self.text.per_character
            yield Measure("bits/byte, p(x)", per_byte.mean, per_byte.error, "bits/byte")
            yield Measure(
                "bits/character, p(x)", per_character.mean, per_character.error, "bits/character"
            )
        if self.conditional is not None and self.label_cost is None:
            yield _bits("bits/dim, p(x | condition)", self.conditional.total)
        if self.conditional is not None and self.label_cost is not None:
            with_label = self.conditional.total
            both = Estimate(with_label.mean + self.label_cost, with_label.error)
            yield _bits("bits/dim, p(x | label)", with_label)
            yield _bits("bits/dim, p(x, label)", both)
        if self.histogram is not None:
            yield _bits("bits/dim, histogram of each number", self.histogram)

        for one in self.bounds:
            yield _bits(f"{one.name} ({self.config.compared} items)", one.bits)

    def _columns(self) -> Iterator[Measure]:
        """Mean and standard deviation of each number of the samples."""
        for each in self.columns:
            mean, std = each.mean, each.std
            test = f"{each.name}, mean (test {_whole(each.test_mean)})"
            yield Measure(test, mean.mean, mean.error, "")
            test = f"{each.name}, std (test {_whole(each.test_std)})"
            yield Measure(test, std.mean, std.error, "")

    def _qualities(self) -> Iterator[Measure]:
        """The quality of the samples."""
        if self.accuracy is not None:
            total, real = self.accuracy.total, self.accuracy.real
            is_class = self.generated.condition is None
            shown = "samples that show " + (
                "their label" if is_class else "the label of their item"
            )
            yield Measure(shown, 100 * total.mean, 100 * total.error, "%")
            if real is not None:
                yield Measure("the same classifier on real test items", 100 * real, None, "%")
        for name, distance in (
            ("Fréchet", self.frechet),
            ("sliced Wasserstein", self.sliced_wasserstein),
            ("frequency", self.frequencies),
        ):
            if distance is None:
                continue
            yield Measure(f"{name} distance, samples to test", distance.samples, None, "")
            if distance.train is not None:
                yield Measure(f"{name} distance, train to test", distance.train, None, "")


def _plain(value: Any) -> Any:
    """Dataclasses, also inside a tuple, as dicts."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _bits(name: str, value: Estimate) -> Measure:
    return Measure(name, value.mean, value.error, "bits/dim")


def _whole(value: float) -> str:
    """A number with six digits, or with all digits before the point where there are more."""
    digits = len(f"{abs(value):.0f}")
    return f"{value:.{digits if 6 < digits <= 15 else 6}g}"
