"""A picture as the condition, of the size of the items or smaller (Ho et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from ..numerics.generators import draw_rows, normal, uniform
from .base import CONDITIONS, Condition, Conditioning, check_dropout, wrong_rows


@dataclass(frozen=True)
class Picture(Condition):
    """A picture (channels, *space) per item: rows are in the data's units, NaN where unknown.

    A network sees it scaled, low to -1 and high to 1, and enlarged to the space of the items by
    repeating pixels.

    With `noise` it is seen in training as sqrt(1 - s^2) picture + s eps, s uniform on [0, noise],
    and the network is told s (noise conditioning augmentation, Ho et al. 2021): a row then has one
    more channel, which holds s. `encode` gives s = 0, the picture as it is, and `noised` another.

    Args:
        shape: of a picture, channels first.
        low: what a network sees as -1.
        high: what it sees as 1.
        noise: the largest s, from 0 to 1.
        dropout: fraction of training items for which it alone is hidden, as a part of `Combined`.

    Raises:
        ValueError: for a shape without space, low not below high, and no fractions.
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    noise: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) < 2 or min(self.shape) < 1:
            raise ValueError(f"shape={self.shape} must be (channels, *space), each at least 1")
        if not (isfinite(self.high - self.low) and self.low < self.high):
            raise ValueError(f"low={self.low}, high={self.high}: give low below high")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise={self.noise}; give a fraction from 0 to 1")
        check_dropout(self.dropout)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of a picture, with one more channel where there is noise."""
        channels, *space = self.shape
        return (channels + (self.noise > 0), *space)

    def __str__(self) -> str:
        return f"pictures {self.shape}"

    def encode(self, values: Any) -> Float[Tensor, "*n channels_y_x"]:
        """Rows without noise, of one picture or of several.

        Args:
            values: in the units of the data, (*shape) or (n, *shape); NaN where unknown. An axis of
                one channel may be left out.

        Raises:
            ValueError: for another shape, or values that are no numbers.
        """
        try:
            array = torch.from_numpy(np.array(values, dtype=np.float32))
        except (TypeError, ValueError):
            raise ValueError(f"condition={values!r:.60}: give {self}") from None

        if self.shape[0] == 1 and tuple(array.shape[1 - len(self.shape) :]) == self.shape[1:]:
            axis = array.ndim - len(self.shape) + 1
            has_channel = array.ndim >= len(self.shape) and array.shape[axis - 1] == 1
            array = (
                array if has_channel and array.ndim >= len(self.shape) else array.unsqueeze(axis)
            )
        if tuple(array.shape[-len(self.shape) :]) != self.shape or array.isinf().any():
            raise ValueError(
                f"condition: shape {tuple(array.shape)}; give {self} of finite numbers"
            )
        if self.noise == 0:
            return array

        axis = array.ndim - len(self.shape)
        level = torch.zeros_like(array.narrow(axis, 0, 1))
        return torch.cat([array, level], dim=axis)

    def noised(
        self, rows: Float[Tensor, "b *row"], s: Float[Tensor, " b"], eps: Tensor
    ) -> Float[Tensor, "b *row"]:
        """sqrt(1 - s^2) picture + s eps in the units that a network sees, and s as one channel.

        Args:
            rows: without noise.
            s: the noise of each item, from 0 to `noise`.
            eps: standard normal numbers, like the pictures, (b, *shape).
        """
        picture = rows[:, : self.shape[0]]
        each = s.reshape(-1, *(1,) * len(self.shape)).to(rows)
        centre, half = (self.high + self.low) / 2, (self.high - self.low) / 2

        scaled = (1 - each * each).sqrt() * ((picture - centre) / half) + each * eps.to(rows)
        return torch.cat([centre + half * scaled, each.expand_as(picture[:, :1])], dim=1)

    def in_training(
        self, rows: Float[Tensor, "b *row"], generator: torch.Generator
    ) -> Float[Tensor, "b *row"]:
        """The rows with noise of a random level, where there is any."""
        if self.noise == 0:
            return rows
        s = self.noise * draw_rows(uniform, (len(rows),), generator)
        eps = draw_rows(normal, (len(rows), *self.shape), generator)
        return self.noised(rows, s, eps)

    def texts(self, rows: Float[Tensor, "n *row"]) -> list[str]:
        """The shape of each picture, as text."""
        size = "x".join(map(str, self.shape[1:]))
        return ["hidden" if row.isnan().all() else f"picture {size}" for row in rows]

    def parse(self, text: str) -> Any:
        """ValueError: a picture is read from a file."""
        raise ValueError(f"condition {text!r}: give @FILE with {self}")

    def module(self, dim: int) -> Conditioning:
        """Joins the picture to the features."""
        return PictureConditioning(self)


class PictureConditioning(Conditioning):
    """Joins the picture, 0 where it is unknown, and a mask, 1 where it is known, to the features.

    Args:
        kind: shape and range of the picture.
    """

    def __init__(self, kind: Picture) -> None:
        super().__init__()
        self.row_shape, self.picture_channels = kind.row_shape, kind.shape[0]
        self.channels = kind.row_shape[0] + 1
        self.centre = (kind.high + kind.low) / 2
        self.half_width = (kind.high - kind.low) / 2

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features with picture and mask, and the embedding. ValueError for no picture."""
        batch, _, *space = features.shape
        if condition is None:
            unknown = features.new_zeros(batch, self.channels, *space)
            return torch.cat([features, unknown], dim=1), embedding

        wanted = (batch, *self.row_shape)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(wrong_rows(condition, wanted, "floating-point pictures"))

        known = ~condition.isnan().any(1, keepdim=True)
        scaled = (condition[:, : self.picture_channels] - self.centre) / self.half_width
        seen = [scaled, condition[:, self.picture_channels :]]
        picture = torch.where(known, torch.cat(seen, dim=1), 0).to(features.dtype)

        joined = _enlarged(torch.cat([picture, known.to(features.dtype)], dim=1), space)
        return torch.cat([features, joined], dim=1), embedding


def _enlarged(picture: Float[Tensor, "b c *small"], space: list[int]) -> Tensor:
    """The picture in the space of the items: each pixel repeated."""
    if list(picture.shape[2:]) == space:
        return picture
    if len(space) != picture.ndim - 2:
        raise ValueError(f"condition: a picture of {picture.ndim - 2} axes for items of {space}")
    return interpolate(picture, size=space, mode="nearest")


CONDITIONS.register("Picture", Picture, "a picture per item, of its size or smaller")
