"""The numbers of an item one by one: mean and standard deviation of samples and of test items.

A distance between clouds of points says little about one column of a table; these figures do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from ..data.columns import moments, number_name
from ..data.dataset import Dataset
from ..process.bound import Estimate

MOST_COLUMNS = 12
"""Items of more numbers are not described number by number."""


@dataclass(frozen=True)
class ColumnMoments:
    """Mean and standard deviation of one number of an item.

    Args:
        name: of the number.
        mean: of the samples, with the standard error.
        std: of the samples, likewise; that of a normal distribution.
        test_mean: mean of the test items.
        test_std: standard deviation of the test items.
    """

    name: str
    mean: Estimate
    std: Estimate
    test_mean: float
    test_std: float


def has_columns(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape are described number by number: few numbers, and no pictures."""
    return len(shape) != 3 and math.prod(shape) <= MOST_COLUMNS


def column_moments(
    generated: Shaped[Tensor, "n *shape"], dataset: Dataset
) -> tuple[ColumnMoments, ...]:
    """Mean and standard deviation of each number of an item; none for pictures and long items.

    Args:
        generated: samples in the units of the data.
        dataset: the data, whose test items they are compared with.
    """
    spec = dataset.spec
    if not has_columns(spec.shape) or spec.vocabulary is not None:
        return ()

    samples = [each.tolist() for each in moments(generated.flatten(1))]
    test = [each.tolist() for each in moments(dataset.test.x.flatten(1))]
    count = len(generated)
    return tuple(
        ColumnMoments(
            number_name(spec.shape, spec.columns, place),
            Estimate(mean, std / math.sqrt(count)),
            Estimate(std, std / math.sqrt(2 * count)),
            test_mean,
            test_std,
        )
        for place, (mean, std, test_mean, test_std) in enumerate(zip(*samples, *test, strict=True))
    )
