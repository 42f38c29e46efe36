r"""Fitting a mixture to rows by expectation maximisation, with missing numbers and a prior.

The expectation gives r_nk, and of each component the mean and the covariance of the missing numbers
given those that are there (Dempster, Laird & Rubin 1977; Ghahramani & Jordan 1994). The
maximisation has a prior for each covariance, inverse Wishart around that within the groups of rows
that a fit begins with,

    S_k = (sum_n r_nk [(x_n - m_k)(x_n - m_k)^T + C_nk] + strength C) / (N_k + strength)

(Fraley & Raftery 2007; C as of Friedman 1989), and for the probabilities of each token one more
row, with the frequencies of all rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from .mixture import RowConditionals, RowMixture
from .path import RowState

_ROUNDS = 50
_TOLERANCE = 1e-3
"""Rise of the mean log-probability, in nats, below which a fit has converged."""
_FLOOR = 1e-6
"""Of the prior: the least variance relative to that of all rows."""
_STRENGTHS = (0.03, 1.0, 30.0)
"""Of the prior, in multiples of the dimensions and two."""
_OUTLIERS = 1e-5
"""The weight of a component for rows far from all others, and its width in standard deviations."""
_WIDTH = 10.0
_FEW = 2000
"""Rows below which parts of them are held out in turn, and how many parts."""
_PARTS = 5
_STARTS = 3
"""Beginnings of a fit to few rows."""
_SETTLED = 4
"""Components from which on the best strength is tried alone, or for few rows with the next."""
_APART = 10.0
"""Of two rows that differ in a token, per number: their squared distance."""


@dataclass(frozen=True, eq=False)
class ObservedRows:
    """Clean rows of a table and what is there.

    Args:
        rows: the rows; a number that is missing may be anything.
        present: which numbers are there.
        values: how many values each token has.
        missing: as for `RowMixture`.
    """

    rows: RowState
    present: Bool[Tensor, "n d"]
    values: tuple[int, ...]
    missing: Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def take(self, index: Tensor | slice) -> ObservedRows:
        """Some of the rows."""
        part = RowState(self.rows.numbers[index], self.rows.tokens[index])
        return ObservedRows(part, self.present[index], self.values, self.missing)


@dataclass(frozen=True, eq=False)
class FittedMixture:
    """A mixture with what was chosen for it.

    Args:
        mixture: the mixture, whose last component is for outliers.
        strength: of the prior, in multiples of the dimensions and two.
        score: the criterion in nats.
    """

    mixture: RowMixture
    strength: float
    score: float

    def refitted(self, data: ObservedRows, generator: torch.Generator) -> RowMixture:
        """A mixture of as many components with the same prior; of few rows the most probable one
        of several beginnings.

        Args:
            data: the rows that it is fitted to.
            generator: where the beginnings are drawn from.
        """
        components = len(self.mixture.weights) - 1
        starts = _STARTS if components > 1 and len(data) < _FEW else 1
        found = [fit_mixture(data, components, self.strength, generator) for _ in range(starts)]
        return with_outliers(max(found, key=lambda each: float(each.log_prob(data.rows).mean())))


def best_mixture(
    train: ObservedRows,
    validation: ObservedRows,
    generator: torch.Generator,
    seconds: float,
    sizes: tuple[int, int] = (1, 64),
) -> FittedMixture:
    """The mixture of the highest log-probability of validation rows, less that by which training
    rows exceed it.

    A network that corrects a mixture is trained on the training rows, and so it corrects what the
    mixture is to them: one that fits their noise misleads it. Few rows are held out in turn, for
    fits to the rest, besides. Components double from the least on, until two doublings in sequence
    do not raise the criterion or the time is spent.

    Args:
        train: the rows that it is fitted to.
        validation: the rows by which their number and the prior are chosen.
        generator: where the beginnings are drawn from.
        seconds: the time, after which no further round of a fit begins.
        sizes: the smallest and the largest number of components.

    Returns:
        The mixture with a component for outliers, with its prior and its criterion.
    """
    end = time.monotonic() + seconds
    best: FittedMixture | None = None
    strengths: tuple[float, ...] = _STRENGTHS
    parts = [(train, validation), *_folds(train)]
    worse = 0

    for components in _doublings(sizes[0], min(sizes[1], max(sizes[0], len(train) // 10))):
        tried: list[FittedMixture] = []
        for strength in strengths:
            if not tried or time.monotonic() < end:
                tried.append(_scored(parts, components, strength, generator, end))
        found = max(tried, key=lambda each: each.score)
        if components >= _SETTLED:
            strengths = tuple(each for each in strengths if each >= found.strength)
            strengths = strengths[:1] if len(train) >= _FEW else strengths[:2]

        worse = worse + 1 if best is not None and found.score <= best.score else 0
        if best is None or found.score > best.score:
            best = found
        if worse == 2 or time.monotonic() > end:
            break

    assert best is not None
    return best


def _scored(
    parts: list[tuple[ObservedRows, ObservedRows]],
    components: int,
    strength: float,
    generator: torch.Generator,
    end: float,
) -> FittedMixture:
    """The mixture of the first of several parts of the rows, with the mean criterion of all; parts
    whose fit would begin after the time `end` are left out.
    """
    found: list[tuple[float, RowMixture]] = []
    for rest, held_out in parts:
        left = end - time.monotonic()
        if not found or left > 0:
            fitted = with_outliers(fit_mixture(rest, components, strength, generator, left))
            found.append((criterion(fitted, rest, held_out), fitted))
    score = sum(score for score, _ in found) / len(found)
    return FittedMixture(found[0][1], strength, score)


def _folds(data: ObservedRows) -> Iterator[tuple[ObservedRows, ObservedRows]]:
    """All rows but a part, and the part, for each of some parts; nothing for many rows."""
    if len(data) >= _FEW:
        return
    place = torch.arange(len(data)) % _PARTS
    for part in range(min(_PARTS, len(data) - 1)):
        yield data.take(place != part), data.take(place == part)


def criterion(mixture: RowMixture, train: ObservedRows, validation: ObservedRows) -> float:
    """The mean log-probability of validation rows, less that by which as many training rows exceed
    it, in nats.

    Args:
        mixture: the mixture.
        train: the rows that it was fitted to.
        validation: other rows.
    """
    own, other = (
        float(mixture.log_prob(each.rows).mean())
        for each in (train.take(slice(len(validation))), validation)
    )
    return other - max(0.0, own - other)


def _doublings(least: int, most: int) -> Iterator[int]:
    count = least
    while count <= most:
        yield count
        count *= 2


def with_outliers(mixture: RowMixture) -> RowMixture:
    """A mixture with one wide component more, for rows that lie far from all others.

    Without it such a row has a log-probability of minus thousands of nats, and its flow to noise
    jumps from one component to the next.

    Args:
        mixture: its mean, its covariance and its probabilities of tokens are those of the wide
            component, the covariance times 100.
    """
    weights, means = mixture.weights, mixture.means
    mean = weights @ means
    gap = means - mean
    products = mixture.covariances + gap[:, :, None] * gap[:, None]
    covariance = _WIDTH**2 * torch.einsum("m,mde->de", weights, products)
    probs = torch.einsum("m,mkv->kv", weights, mixture.probs)
    return RowMixture(
        torch.cat([weights * (1 - _OUTLIERS), weights.new_tensor([_OUTLIERS])]),
        torch.cat([means, mean[None]]),
        torch.cat([mixture.covariances, covariance[None]]),
        torch.cat([mixture.probs, probs[None]]),
        mixture.missing,
    )


def fit_mixture(
    data: ObservedRows,
    components: int,
    strength: float,
    generator: torch.Generator,
    seconds: float = math.inf,
) -> RowMixture:
    """A mixture of the largest posterior probability that a beginning at random rows leads to.

    Args:
        data: the rows.
        components: how many.
        strength: of the prior, in multiples of the dimensions and two.
        generator: where the beginning is drawn from.
        seconds: the time, after which no further round begins.
    """
    begin = time.monotonic()
    before = -math.inf
    for count, (mixture, log_posterior) in enumerate(
        fitting(data, components, strength, generator), 1
    ):
        is_late = time.monotonic() - begin > seconds
        if log_posterior - before < _TOLERANCE or count == _ROUNDS or is_late:
            return RowMixture(
                mixture.weights, mixture.means, mixture.covariances, mixture.probs, data.missing
            )
        before = log_posterior
    raise AssertionError("the rounds have no end")


def fitting(
    data: ObservedRows, components: int, strength: float, generator: torch.Generator
) -> Iterator[tuple[RowMixture, float]]:
    """The mixture before each round without end, with its log posterior probability per row, in
    nats up to a constant, which never falls.

    Args:
        data: the rows.
        components: how many.
        strength: of the prior, in multiples of the dimensions and two.
        generator: where the beginning is drawn from.
    """
    begin = nn.functional.one_hot(_begin(data, components, generator), components).double()
    prior = _Prior.of(data, begin, strength)
    mixture = prior.maximised(_beginning(data, begin), data)
    while True:
        sums = _expected(data, mixture)
        yield mixture, (sums.log_prob + prior.log_density(mixture)) / len(data)
        mixture = prior.maximised(sums, data)


def _beginning(data: ObservedRows, begin: Float64[Tensor, "n m"]) -> _Sums:
    """The sums of rows that belong to one component each, missing numbers at their means."""
    there = data.present.double()
    means = torch.where(data.present, data.rows.numbers.double(), 0.0).sum(0)
    means = means / there.sum(0).clamp(min=1)
    numbers = torch.where(data.present, data.rows.numbers.double(), means)
    every = torch.ones_like(data.present)
    full = ObservedRows(RowState(numbers, data.rows.tokens), every, data.values, data.missing)
    return _Sums.of(full, begin)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over rows, weighted by the responsibilities.

    Args:
        count: of the weights.
        x: of the numbers.
        xx: of their products.
        tokens: of the values of each token.
        log_prob: of the log-probabilities.
    """

    count: Float64[Tensor, " m"]
    x: Float64[Tensor, "m d"]
    xx: Float64[Tensor, "m d d"]
    tokens: Float64[Tensor, "m k v"]
    log_prob: float = 0.0

    @classmethod
    def of(
        cls,
        data: ObservedRows,
        r: Float64[Tensor, "n m"],
        parts: RowConditionals | None = None,
        log_prob: float = 0.0,
    ) -> _Sums:
        """The sums.

        Args:
            data: the rows.
            r: the responsibilities.
            parts: the components given the numbers that are there; None where all are.
            log_prob: of the rows.
        """
        tokens = _frequencies(data, r)
        if parts is None:
            x = torch.where(data.present, data.rows.numbers.double(), 0.0)
            xx = torch.stack([(weight[:, None] * x).T @ x for weight in r.T])
            return cls(r.sum(0), r.T @ x, xx, tokens, log_prob)

        x = parts.means
        xx = torch.einsum("nm,nmd,nme->mde", r, x, x)
        of_pattern = r.new_zeros(len(parts.covariances), r.shape[1])
        of_pattern.index_add_(0, parts.pattern, r)
        xx = xx + torch.einsum("gm,gmde->mde", of_pattern, parts.covariances)
        return cls(r.sum(0), torch.einsum("nm,nmd->md", r, x), xx, tokens, log_prob)

    def __add__(self, other: _Sums) -> _Sums:
        """The sums over both."""
        return _Sums(
            self.count + other.count,
            self.x + other.x,
            self.xx + other.xx,
            self.tokens + other.tokens,
            self.log_prob + other.log_prob,
        )


def _expected(data: ObservedRows, mixture: RowMixture) -> _Sums:
    """The sums of the expectation, a part of the rows at a time."""
    total: _Sums | None = None
    size = mixture.rows_at_once()
    for start in range(0, len(data), size):
        part = data.take(slice(start, start + size))
        joint, parts = mixture.log_joint(part.rows, part.present)
        own = _Sums.of(part, joint.softmax(1), parts, float(joint.logsumexp(1).sum()))
        total = own if total is None else total + own

    assert total is not None
    return total


@dataclass(frozen=True, eq=False)
class _Prior:
    """What all components have in common.

    Args:
        covariance: that within the groups of rows that the fit begins with.
        strength: how many rows it stands for.
        probs: of the values of each token in all rows.
    """

    covariance: Float64[Tensor, "d d"]
    strength: float
    probs: Float64[Tensor, "k v"]

    @classmethod
    def of(cls, data: ObservedRows, begin: Float64[Tensor, "n m"], strength: float) -> _Prior:
        """That of some `data`, in groups given by ones in `begin`."""
        there = data.present.double()
        x = torch.where(data.present, data.rows.numbers.double(), 0.0)
        means = (begin.T @ x) / (begin.T @ there).clamp(min=1)
        gap = (x - begin @ means) * there
        covariance = gap.T @ gap / (there.T @ there).clamp(min=1)

        dims = max(1, x.shape[1])
        if not bool(data.present.all()):  # each pair has its own rows
            variances, axes = torch.linalg.eigh(covariance)
            covariance = axes @ variances.clamp(min=0).diag_embed() @ axes.mT
        covariance = covariance + _FLOOR * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)

        counts = _frequencies(data, torch.ones(len(data), 1).to(x))[0] + 0.5 * _possible(data)
        probs = counts / counts.sum(1, keepdim=True)
        return cls(covariance, strength * (dims + 2), probs)

    def log_density(self, mixture: RowMixture) -> float:
        """log p of the parameters of a `mixture`, up to a constant."""
        s = mixture.covariances
        fit = torch.linalg.solve(s, self.covariance.expand_as(s)).diagonal(dim1=1, dim2=2).sum()
        numbers = -0.5 * self.strength * (torch.logdet(s).sum() + fit)
        return float(numbers + torch.xlogy(self.probs, mixture.probs).sum())

    def maximised(self, sums: _Sums, data: ObservedRows) -> RowMixture:
        """The mixture of the largest posterior probability.

        Args:
            sums: over the rows.
            data: the rows.
        """
        count = sums.count
        means = sums.x / count.clamp(min=1e-9)[:, None]
        scatter = sums.xx - count[:, None, None] * means[:, :, None] * means[:, None]
        total = scatter + self.strength * self.covariance
        covariances = total / (count + self.strength)[:, None, None]

        tokens = (sums.tokens + self.probs) / (count + 1)[:, None, None]
        none = torch.full_like(data.missing, -1)
        return RowMixture(count + 1e-9, means, covariances, tokens, none)


def _frequencies(data: ObservedRows, r: Float64[Tensor, "n m"]) -> Float64[Tensor, "m k v"]:
    """The sum of the weights of each value of each token."""
    tables = r.new_zeros(r.shape[1], len(data.values), max((*data.values, 2)))
    for place, own in enumerate(data.values):
        seen = nn.functional.one_hot(data.rows.tokens[:, place], own).to(r)
        tables[:, place, :own] = r.T @ seen
    return tables


def _possible(data: ObservedRows) -> Float64[Tensor, "k v"]:
    """1 for the values that a token has."""
    values = torch.tensor(data.values, dtype=torch.int64)[:, None]
    return (torch.arange(max((*data.values, 2))) < values).double().to(data.rows.tokens.device)


def _begin(data: ObservedRows, components: int, generator: torch.Generator) -> Int64[Tensor, " n"]:
    """The nearest of some rows that lie far apart, for each row (Arthur & Vassilvitskii 2007)."""
    x = torch.where(data.present, data.rows.numbers.double(), 0.0)
    tokens = data.rows.tokens
    row = int(torch.randint(len(x), (1,), generator=generator))
    smallest = _distance(x, tokens, row)
    nearest = torch.zeros(len(x), dtype=torch.int64, device=x.device)

    for place in range(1, components):
        row = int(torch.multinomial(smallest.cpu() + 1e-12, 1, generator=generator))
        distance = _distance(x, tokens, row)
        nearest = torch.where(distance < smallest, place, nearest)
        smallest = torch.minimum(smallest, distance)

    return nearest


def _distance(x: Tensor, tokens: Tensor, row: int) -> Float64[Tensor, " n"]:
    """Squared distance from a row; a token that differs counts for more than the numbers."""
    apart = _APART * max(1, x.shape[1]) * (tokens != tokens[row]).sum(1).double()
    return (x - x[row]).square().sum(1) + apart
