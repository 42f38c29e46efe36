"""The model of a run folder, built with no more memory than its weights justify.

A run.json may ask for any size. Before torch makes a tensor from sizes, its numbers are counted:
all together may be a few times those in the file of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..data import DataSpec
from ..data.memory import free_memory
from ..training.weights import ITEM_METADATA, item_metadata, read_header
from .config import ModelConfig

_TIMES = 4
"""The most numbers that are made per number in the file: initial values, and what they are from."""
_MORE_NUMBERS = 10_000_000
_TENSORS_EACH = 3
_MORE_TENSORS = 500
_MOST_TENSORS = 100_000
_NUMBER_BYTES = 4
_PART_OF_MEMORY = 4


class WrongSize(ValueError):
    """A model, or its items, of another size than the weights."""


def build_like(config: ModelConfig, spec: DataSpec, weights: Path | None) -> nn.Module:
    """A new model, if it can have the weights of a file.

    Args:
        config: of the model.
        spec: what its data are.
        weights: the file; None: there is none yet, and a quarter of the memory that is free is the
            limit.

    Raises:
        ValueError: for a model of another size.
    """
    if weights is None:
        free = free_memory() or 2**32
        with Limit(free // (_PART_OF_MEMORY * _NUMBER_BYTES), _MOST_TENSORS):
            return config.build(spec)

    header = read_header(weights)
    shapes = [shape for shape, _ in header.tensors.values()]
    numbers = _TIMES * sum(map(math.prod, shapes)) + _MORE_NUMBERS
    with Limit(numbers, _TENSORS_EACH * len(shapes) + _MORE_TENSORS):
        return config.build(spec)


def check_items(spec: DataSpec, weights: Path) -> None:
    """Compare a description of data with what a file of weights says of its items.

    Args:
        spec: the description.
        weights: the file; one that says nothing fits any data.

    Raises:
        ValueError: for items of another shape, or of other levels or classes.
    """
    header = read_header(weights)
    mine = item_metadata(spec)
    theirs = {name: header.metadata[name] for name in ITEM_METADATA if name in header.metadata}
    for name in ITEM_METADATA if theirs else ():
        if mine.get(name) != theirs.get(name):
            raise WrongSize(
                f"its data have {name} {mine.get(name)}, and {weights} is for {name} "
                f"{str(theirs.get(name))[:40]}"
            )


class Limit(TorchFunctionMode):
    """Inside the block no more than so many numbers, in so many tensors, are made from sizes.

    Args:
        numbers: the most numbers.
        tensors: the most tensors.
    """

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.tensors = tensors

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count what a function makes, and call it. ValueError past the limit."""
        named = kwargs or {}
        if func in _COUNTS:
            self.tensors -= 1
            self.numbers -= _COUNTS[func](*args, **named)
            if self.numbers < 0 or self.tensors < 0:
                raise WrongSize("its model is larger than its weights")
        return func(*args, **named)


def _of_size(*size: Any, **named: Any) -> int:
    """Numbers of a tensor from its size, one argument or several."""
    given = named.get("size", size)
    return math.prod(given[0] if len(given) == 1 and not isinstance(given[0], int) else given)


def _of_new(tensor: Tensor, *size: Any, **named: Any) -> int:
    return _of_size(*size, **named)


def _of_full(size: Any, *values: Any, **named: Any) -> int:
    return math.prod(size)


def _of_new_full(tensor: Tensor, size: Any, *values: Any, **named: Any) -> int:
    return math.prod(size)


def _of_range(*ends: float, **named: Any) -> int:
    start, end = (named.get("start", 0), named.get("end", 0))
    if ends:
        start, end = (0, ends[0]) if len(ends) == 1 else ends[:2]
    step = ends[2] if len(ends) > 2 else named.get("step", 1)
    count: int = math.ceil((end - start) / step)
    return max(0, count)


def _of_steps(start: Any, end: Any, steps: int, *values: Any, **named: Any) -> int:
    return steps


def _of_eye(n: int, m: int | None = None, **named: Any) -> int:
    return n * (n if m is None else m)


_COUNTS: dict[Callable[..., Any], Callable[..., int]] = {
    **dict.fromkeys((torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn), _of_size),
    **dict.fromkeys((Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones), _of_new),
    torch.full: _of_full,
    Tensor.new_full: _of_new_full,
    torch.arange: _of_range,
    torch.linspace: _of_steps,
    torch.logspace: _of_steps,
    torch.eye: _of_eye,
    torch.randperm: _of_size,
}
"""How many numbers a function makes, for those that make a tensor from sizes."""
