"""Evaluations of one Predict under several conditions, in one batched call where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Level
from ..process.prediction import Predict, Prediction, energy_of
from .scale import Scale

T = TypeVar("T")

Conditions = Sequence[Tensor | None]
"""Rows of the items, once for each evaluation; None hides them for all items."""


def predict_under(
    base: Predict, x_t: Tensor, t: Tensor | float | Level, conditions: Conditions
) -> list[Prediction]:
    """The predictions at the same states under several conditions.

    It is one call on a longer batch; one call for each condition where one of them is None and the
    base does not say how a condition is hidden in a row (`hidden`).

    Args:
        base: the Predict.
        x_t: states, (b, *shape).
        t: one time, one per item, or a Level.
        conditions: one row per item, for each prediction; None hides them.

    Raises:
        ValueError: for rows of different types or shapes.
    """
    joined = _joined(base, conditions)
    if joined is None:
        return [base(x_t, t, condition) for condition in conditions]

    count = len(conditions)
    states, level = _repeated(x_t, count), base.path.at(t, like=x_t)
    found = base(states, _repeated_level(level, states, count), joined)
    us = [x_t] * count if found.u is states else found.u.chunk(count)
    fractions: Sequence[Tensor | None] = [None] * count
    if found.variance_fraction is not None:
        fractions = found.variance_fraction.chunk(count)

    return [
        Prediction(u, y, found.targets, level, fraction)
        for u, y, fraction in zip(us, found.y.chunk(count), fractions, strict=True)
    ]


def energies_under(
    base: Predict, x_t: Tensor, t: Tensor | float | Level, conditions: Conditions
) -> list[Float[Tensor, " b"]]:
    """The energies at the same states under several conditions, as `predict_under`.

    Args:
        base: a Predict with an energy.
        x_t: states, (b, *shape).
        t: one time, one per item, or a Level.
        conditions: one row per item, for each energy; None hides them.

    Raises:
        ValueError: for a base without an energy, and rows of different types or shapes.
    """
    joined = _joined(base, conditions)
    if joined is None:
        return [energy_of(base, x_t, t, condition) for condition in conditions]

    count = len(conditions)
    states, level = _repeated(x_t, count), base.path.at(t, like=x_t)
    energies = energy_of(base, states, _repeated_level(level, states, count), joined)

    return list(energies.chunk(count))


def predict_between(
    scale: Scale, base: Predict, x_t: Tensor, t: Tensor | float | Level, conditions: Conditions
) -> Prediction:
    """first + w (second - first) of one Predict under two conditions.

    Args:
        scale: w, its interval and rescaling.
        base: the Predict.
        x_t: states, (b, *shape).
        t: one time, one per item, or a Level.
        conditions: rows of the first and of the second; None hides them.
    """
    first, second = conditions
    return scale.predict(
        base.path.at(t, like=x_t),
        partial(base, x_t, t, first),
        partial(base, x_t, t, second),
        lambda: pair(predict_under(base, x_t, t, conditions)),
    )


def energy_between(
    scale: Scale, base: Predict, x_t: Tensor, t: Tensor | float | Level, conditions: Conditions
) -> Float[Tensor, " b"]:
    """The energy of `predict_between`, whose arguments it takes. ValueError for a base without."""
    first, second = conditions
    return scale.energy(
        base.path.at(t, like=x_t),
        partial(energy_of, base, x_t, t, first),
        partial(energy_of, base, x_t, t, second),
        lambda: pair(energies_under(base, x_t, t, conditions)),
    )


def pair(found: Sequence[T]) -> tuple[T, T]:
    """The first and the second of two."""
    first, second = found
    return first, second


def _joined(base: Predict, conditions: Conditions) -> Tensor | None:
    """All rows one after another; None where they cannot be one tensor."""
    given = [each for each in conditions if each is not None]
    hidden = getattr(base, "hidden", None)
    if not given or (len(given) < len(conditions) and hidden is None):
        return None

    if any(each.shape != given[0].shape or each.dtype != given[0].dtype for each in given):
        kinds = " and ".join(f"{each.dtype} {tuple(each.shape)}" for each in given)
        raise ValueError(f"condition: rows of {kinds}; give rows of one kind")
    if hidden is None:
        return torch.cat(given)
    return torch.cat([hidden(given[0]) if each is None else each for each in conditions])


def _repeated(rows: Tensor, count: int) -> Tensor:
    return rows.repeat(count, *(1,) * (rows.ndim - 1))


def _repeated_level(level: Level, states: Tensor, count: int) -> Level:
    """The Level for a batch that is `count` times as long, where each item has its own time."""
    if not isinstance(level.t, Tensor) or level.t.ndim == 0:
        return level
    return level.path.at(level.t.flatten().repeat(count), like=states)
