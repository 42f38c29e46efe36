"""What `DiffusionDensity` takes for tables and seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data
from torch import Tensor

from ..lookup import is_whole
from .given import labels_of

_LEAST_ROWS = 2


def checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """A data frame as it is, or an array that scikit-learn has checked.

    Args:
        estimator: which takes it.
        X: the table.
        reset: whether it is that of `fit`, whose columns the estimator then has.

    Raises:
        ValueError: for what is no table of finite or missing numbers, too few rows, and an array
            where `fit` had named columns.
        TypeError: for sparse matrices.
    """
    labels = labels_of(X)
    if labels is None:
        return _checked_array(estimator, X, reset=reset)
    try:
        count = len(X)
    except TypeError:
        raise ValueError(f"X: {type(X).__name__} has no length; collect it first") from None

    least = _LEAST_ROWS if reset else 1
    if count < least:
        raise ValueError(f"X: {count} row(s) while a minimum of {least} is required; give more")

    if reset:
        set_names(estimator, labels)
    return X


def _checked_array(estimator: Any, X: Any, *, reset: bool) -> Any:
    """An array of numbers."""
    if not reset and hasattr(estimator, "feature_names_in_"):
        raise ValueError(
            f"X: an array, and fit had columns with names; give a table with the columns "
            f"{[*map(str, estimator.feature_names_in_[:20])]}"
        )

    if np.asarray(X if isinstance(X, list | np.ndarray) else 0).dtype.kind in "UST":
        raise ValueError(
            "X: an array of text; for columns of text and numbers give a data frame, or an array "
            "with named fields"
        )

    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        ensure_min_samples=_LEAST_ROWS if reset else 1,
    )


def set_names(estimator: Any, labels: Sequence[Any]) -> None:
    """Set how many columns there are, and their names where they are text.

    Args:
        estimator: which gets them.
        labels: the names of the columns.
    """
    estimator.n_features_in_ = len(labels)
    if all(isinstance(label, str) for label in labels):
        estimator.feature_names_in_ = np.asarray(labels, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def checked_seed(state: Any) -> int:
    """A seed of training or samples, 0 for None.

    Args:
        state: `random_state`.

    Raises:
        ValueError: for anything but None and whole numbers from 0 to 2^32 - 1.
    """
    if state is None:
        return 0
    if isinstance(state, bool) or not is_whole(state) or not 0 <= state < 2**32:
        raise ValueError(f"random_state={state!r}: give a whole number from 0 to 2^32 - 1, or None")
    return int(state)


def row_seeds(count: int, *key: object) -> range:
    """Seeds for `count` rows that depend on a key.

    Args:
        count: how many; the first k are the same for any count.
        key: what they depend on.
    """
    first = _hashed(repr(key).encode())
    return range(first, first + count)


def seed_of_row(row: Tensor) -> int:
    """A seed that depends on the numbers of a row alone.

    Args:
        row: the numbers; -0.0 is 0.0.
    """
    return _hashed((row + 0.0).numpy().tobytes())


def _hashed(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=7).digest(), "big")
