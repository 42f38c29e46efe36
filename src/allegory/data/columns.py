"""The numbers of an item: how they are called in a message, and how they are scaled.

The scaling of continuous data takes the mean minus and plus two standard deviations of the training
items to -1 and 1, so that every column of a table has the standard deviation 1/2 in model space,
whatever its unit. It is a scaling and no law: numbers outside are as good as others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from numpy.typing import NDArray
from torch import Tensor

Ends = float | tuple[float, ...]
"""An end of the range: one number, or one for each number of an item, in the order of `flatten`."""

_CHUNK = 1 << 20  # numbers in double precision
_STDS = 2.0
_MOST_STEPS = 1000  # of a double


def scaling(
    x: Shaped[Tensor, "n *shape"], columns: tuple[str, ...] | None = None
) -> tuple[Ends, Ends]:
    """low and high of a `DataSpec`: mean -+ 2 standard deviations of each number of an item.

    Pictures (three axes) and videos (four) have one pair for all numbers.

    Args:
        x: finite training items.
        columns: names of the numbers, for messages.

    Raises:
        ValueError: for a number that never varies, or one too large to be squared.
    """
    is_picture = x.ndim in (4, 5)
    mean, std = moments(x.reshape(-1, 1) if is_picture else x.flatten(1))

    for place in torch.nonzero(~((std > 0) & std.isfinite())).flatten().tolist()[:1]:
        name = "x" if is_picture else number_name(tuple(x.shape[1:]), columns, place)
        numbers = x.flatten() if is_picture else x.flatten(1)[:, place]
        value = numbers[0]
        if bool((numbers == value).all()):
            raise ValueError(
                f"{name}: every number is {value:g}; a density needs numbers that vary, "
                "leave it out"
            )
        if std[place] == 0:
            raise ValueError(f"{name}: numbers such as {value:g} vary too little; multiply them")
        raise ValueError(f"{name}: numbers such as {value:g} are too large; divide them")

    low, high = mean - _STDS * std, mean + _STDS * std
    if is_picture:
        return low.item(), high.item()
    return tuple(low.tolist()), tuple(high.tolist())


def moments(
    x: Shaped[Tensor, "n numbers"],
) -> tuple[Float64[Tensor, " numbers"], Float64[Tensor, " numbers"]]:
    """Mean and standard deviation of each column of x, in float64; a few rows at a time."""
    first = x[0].double()  # an offset, so that large numbers of little variation keep their digits
    mean = first + sum((part - first).sum(0) for part in _parts(x)) / len(x)
    variance = sum(((part - mean) ** 2).sum(0) for part in _parts(x)) / len(x)
    constant = (x == x[0]).all(0)
    assert isinstance(variance, Tensor)
    return mean, variance.sqrt().masked_fill(constant, 0.0)


def check_finite(x: Shaped[Tensor, "n *shape"], columns: tuple[str, ...] | None = None) -> None:
    """Refuse NaN and infinite numbers.

    Args:
        x: items.
        columns: names of their numbers.

    Raises:
        ValueError: it says which number of an item, and how many items have it.
    """
    if not x.is_floating_point() or bool(x.isfinite().all()):
        return
    bad = ~x.isfinite()
    if x.ndim != 2:
        raise ValueError(
            f"x: holds NaN or infinite values in {_count(bad.flatten(1).any(1))}; "
            "remove or replace those items"
        )
    place = int(bad.any(0).nonzero()[0])
    raise ValueError(
        f"{number_name(tuple(x.shape[1:]), columns, place)}: NaN or infinite in "
        f"{_count(bad[:, place])}; remove or replace those items"
    )


def check_digits(array: NDArray[np.generic], columns: tuple[str, ...] | None = None) -> None:
    """Refuse whole numbers whose differences double precision does not keep.

    Args:
        array: whole numbers (n, *shape).
        columns: names of the numbers of an item.

    Raises:
        ValueError: for numbers beyond 2^53 that differ by less than 1,000 steps of a double.
    """
    if array.dtype.itemsize < 8 or array.size == 0:
        return
    numbers = array.reshape(len(array), -1)
    low, high = numbers.min(0), numbers.max(0)
    step = np.spacing(np.maximum(np.abs(low.astype(float)), np.abs(high.astype(float))))
    width = high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2^64, so always right

    for place in np.flatnonzero((step > 1) & (width > 0) & (width < _MOST_STEPS * step))[:1]:
        shape = tuple(array.shape[1:])
        raise ValueError(
            f"{number_name(shape, columns, int(place))}: whole numbers from {low[place]} to "
            f"{high[place]}, and double precision tells {step[place]:g} apart; subtract the "
            "smallest from all of them"
        )


def smallest_dtype(levels: int) -> torch.dtype:
    """The smallest dtype of the whole numbers 0 to levels - 1: uint8, int16 or int32."""
    if levels <= 1 << 8:
        return torch.uint8
    return torch.int16 if levels <= 1 << 15 else torch.int32


def number_name(shape: tuple[int, ...], columns: tuple[str, ...] | None, place: int) -> str:
    """How a number of an item is called, e.g. "column 'age'", "column 2" or "x[:, 0, 3]".

    Args:
        shape: of one item.
        columns: names of the numbers of items of one axis.
        place: of the number, in the order of `flatten`.
    """
    if columns is not None:
        return f"column {columns[place]!r}"
    if len(shape) == 1:
        return f"column {place}"
    index = torch.unravel_index(torch.tensor(place), shape)
    return f"x[:, {', '.join(str(int(each)) for each in index)}]"


def _parts(x: Tensor) -> Iterator[Tensor]:
    """The rows of x, a few at a time, in float64."""
    for part in x.split(max(1, _CHUNK // x.shape[1])):
        yield part.double()


def _count(bad: Tensor) -> str:
    """How many items are bad, e.g. "1 item"."""
    number = int(bad.sum())
    return f"{number:,} item{'s' if number > 1 else ''}"
