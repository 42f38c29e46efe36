"""Dropout whose mask does not depend on the number of processes that share a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .generators import draw_rows


class Dropout(nn.Module):
    """y = x m / (1 - p) in training, each m 1 with probability 1 - p, else 0 (Srivastava 2014).

    Args:
        p: probability of dropping a number, from 0 to below 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """x with some numbers dropped, others scaled; x itself in eval mode.

        The mask is drawn from torch's generator of the device, or inside `dropout_drawn_from` from
        the one that is given there.
        """
        if not self.training or self.p == 0:
            return x

        keep = self._mask(x).div_(1 - self.p)
        return x * keep

    def _mask(self, x: Tensor) -> Tensor:
        if self.generator is None:
            return torch.empty_like(x).bernoulli_(1 - self.p)

        def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
            return _empty_as(x, shape).bernoulli_(1 - self.p, generator=generator)

        return draw_rows(draw, x.shape, self.generator)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def _empty_as(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Room for a batch of this shape, its axes in memory as those of x: numbers fill it so."""
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    places = [order.index(axis) for axis in range(x.ndim)]
    return x.new_empty([shape[axis] for axis in order]).permute(places)


@contextmanager
def dropout_drawn_from(model: nn.Module, generator: torch.Generator | None) -> Iterator[None]:
    """Inside the block, the `Dropout` layers of a model draw their masks from a generator.

    Args:
        model: the model.
        generator: a `BatchGenerator` gives rows of the mask of the whole batch; None means torch's
            generator of the device.
    """
    layers = [module for module in model.modules() if isinstance(module, Dropout)]
    for layer in layers:
        layer.generator = generator
    try:
        yield
    finally:
        for layer in layers:
            layer.generator = None
