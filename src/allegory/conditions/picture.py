"""A picture as the condition, of the size of the items or smaller (Ho et al. 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from ..lookup import Note
from ..numerics.blocks import BlockMeans
from ..numerics.generators import draw_rows, normal, uniform
from ..numerics.precision import double
from .base import CONDITIONS, Condition, Conditioning, check_dropout, check_rows, wrong_rows


@dataclass(frozen=True)
class Picture(Condition):
    """A picture (channels, *space) per item: rows are in the data's units, NaN where unknown.

    A network sees it scaled, low to -1 and high to 1, and enlarged to the space of the items by
    repeating pixels.

    With `noise` it is seen in training as sqrt(1 - s^2) picture + s eps, s uniform on [0, noise],
    and the network is conditioned on s (noise conditioning augmentation, Ho et al. 2021): a row
    then has one more channel, which holds s. `encode` gives s = 0, the picture as it is, and
    `noised` another.

    A picture may be an array of any number of axes, such as the first frames of a clip
    (`data/first_frames.py`), which a network sees as further frames.

    With `blocks` a picture is the item itself at a lower resolution, each pixel the mean of a block
    of the item (`numerics.blocks`). Samples then agree with a picture of s = 0.

    Args:
        shape: of a picture, channels first.
        low: what a network sees as -1: one number, or one for each of a picture in the order of
            `flatten`.
        high: what it sees as 1, likewise.
        noise: the largest s, from 0 to 1.
        dropout: fraction of training items for which it alone is hidden, as a part of `Combined`.
        blocks: the sides of the blocks of the item whose means it holds; None for any other
            picture.
        bounded: whether low and high bound its numbers by law.

    Raises:
        ValueError: for a shape without space, low not below high, no fractions, and blocks below 2.
    """

    shape: tuple[int, ...]
    low: float | tuple[float, ...] = -1.0
    high: float | tuple[float, ...] = 1.0
    noise: float = 0.0
    dropout: float = 0.0
    blocks: int | None = None
    bounded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        for name in ("low", "high"):
            end = getattr(self, name)
            object.__setattr__(self, name, tuple(end) if isinstance(end, list | tuple) else end)

        if len(self.shape) < 2 or min(self.shape) < 1:
            raise ValueError(f"shape={self.shape} must be (channels, *space), each at least 1")
        self._check_ends()
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise={self.noise}; give a fraction from 0 to 1")
        if self.blocks is not None and (self.blocks < 2 or len(self.shape) != 3):
            raise ValueError(
                f"blocks={self.blocks}: give 2 or more, for pictures (channels, height, width)"
            )
        if self.blocks is not None and isinstance(self.low, tuple):
            raise ValueError("low, high: means over blocks have one pair of ends; give one number")
        check_dropout(self.dropout)

    def _check_ends(self) -> None:
        """ValueError for ends that are not finite, of another number, or not in order."""
        lows, highs = (np.atleast_1d(np.asarray(end)) for end in (self.low, self.high))
        wanted = prod(self.shape) if isinstance(self.low, tuple) else 1

        if not len(lows) == len(highs) == wanted:
            raise ValueError(
                f"low: {len(lows)} and high: {len(highs)}; give one number each, or one for each "
                f"number of {self.shape}"
            )
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            if not (isfinite(high - low) and low < high):
                raise ValueError(f"low={low}, high={high}: give low below high")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of a picture, with one more channel where there is noise."""
        channels, *space = self.shape
        return (channels + (self.noise > 0), *space)

    def __str__(self) -> str:
        of = "" if self.blocks is None else f", means of {self.blocks}x{self.blocks} pixels"
        return f"{'pictures' if len(self.shape) == 3 else 'arrays'} {self.shape}{of}"

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
        self._note(array)
        if self.noise == 0:
            return array

        axis = array.ndim - len(self.shape)
        level = torch.zeros_like(array.narrow(axis, 0, 1))
        return torch.cat([array, level], dim=axis)

    def _note(self, pictures: Tensor) -> None:
        """Say that numbers lie outside of the range, where it is no law that `check` keeps."""
        known = pictures[~pictures.isnan()]
        low, high = self.ends(pictures)
        if self.bounded or not bool(((pictures < low) | (pictures > high)).any()):
            return

        warnings.warn(
            f"condition: pictures from {known.min():g} to {known.max():g}, and those of the "
            f"training data are from {low.min():g} to {high.max():g}; the model learned nothing "
            "outside",
            Note,
            stacklevel=3,
        )

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
        centre, half = self.affine(rows)

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

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items, and numbers beyond bounds that
        are a law. ValueError.
        """
        check_rows(self, rows, count)
        level = rows[:, self.shape[0] :]
        if bool(((level < 0) | (level > self.noise)).any()):
            raise ValueError(
                f"condition: its last channel, the noise, is from {level.min():g} to "
                f"{level.max():g}; give 0 to {self.noise:g}, the same for all of a picture"
            )
        if not self.bounded:
            return

        picture = rows[:, : self.shape[0]]
        low, high = self.ends(rows)
        beyond = (self._without_noise(rows) & ((picture < low) | (picture > high))).any()
        if bool(beyond):
            seen = picture[~picture.isnan()]
            raise ValueError(
                f"condition: numbers from {seen.min():g} to {seen.max():g}, and no item has them "
                f"outside of {low.min():g} to {high.max():g}; give them in the units of the data"
            )

    def check_fits(self, shape: tuple[int, ...], low: Any, high: Any) -> None:
        """Refuse items whose means over blocks have another shape or range. ValueError.

        Args:
            shape: of an item.
            low: the lower end of its range.
            high: the upper end.
        """
        if self.blocks is None:
            return

        channels, *space = self.shape
        whole = (channels, *(side * self.blocks for side in space))
        if (whole, self.low, self.high) != (tuple(shape), low, high):
            raise ValueError(
                f"condition: {self} from {self.low} to {self.high} for items {tuple(shape)} "
                f"from {low} to {high}; give items of {whole}, and their low and high"
            )

    @property
    def says_means(self) -> bool:
        """Whether its pictures are means over blocks of the items."""
        return self.blocks is not None

    def block_means(self, rows: Float[Tensor, "b *row"]) -> BlockMeans | None:
        """The means over blocks of the items, low as -1 and high as 1; None without `blocks`.

        A mean is NaN where it is not known: where the picture is hidden, or has noise.

        Args:
            rows: of the items.
        """
        if self.blocks is None:
            return None

        picture = double(rows[:, : self.shape[0]])
        is_known = self._without_noise(rows).to(picture.device)
        known = torch.where(is_known, picture, torch.nan)

        return BlockMeans(known, self.blocks).scaled(*self.affine(known))

    def has_rows_of(self, other: Condition) -> bool:
        """Whether the other differs in the ends of the range alone, which no row depends on."""
        if not isinstance(other, Picture) or other.shape != self.shape:
            return False

        return replace(other, low=self.low, high=self.high, bounded=self.bounded) == self

    def ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """low and high, of the shape of a picture where each number has its own.

        Args:
            like: gives their type and device.
        """
        low, high = (torch.tensor(end, dtype=torch.float64) for end in (self.low, self.high))
        shape = self.shape if low.ndim else ()

        return low.view(shape).to(like), high.view(shape).to(like)

    def affine(self, like: Tensor) -> tuple[Any, Any]:
        """centre and half of picture = centre + half x, where a network sees x.

        Args:
            like: gives the type and device of those that are one for each number.
        """
        low, high = self.low, self.high
        if isinstance(low, tuple) or isinstance(high, tuple):
            least, most = self.ends(like)
            return (most + least) / 2, (most - least) / 2

        return (high + low) / 2, (high - low) / 2

    def texts(self, rows: Float[Tensor, "n *row"]) -> list[str]:
        """The shape of each picture, as text."""
        name = "picture" if len(self.shape) == 3 else "array"
        size = "x".join(map(str, self.shape[1:] if len(self.shape) == 3 else self.shape))
        return ["hidden" if row.isnan().all() else f"{name} {size}" for row in rows]

    def parse(self, text: str) -> Any:
        """ValueError: a picture is read from a file."""
        raise ValueError(f"condition {text!r}: give @FILE with {self}")

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """Joins the picture to the features."""
        return PictureConditioning(self)

    def _without_noise(self, rows: Tensor) -> Tensor:
        """Where s is 0, in all channels."""
        level = rows[:, self.shape[0] :]
        return (level == 0).all(1, keepdim=True) | rows[:, :1].isnan()


class PictureConditioning(Conditioning):
    """Joins the picture, 0 where it is unknown, and a mask, 1 where it is known, to the features.

    Args:
        kind: shape and range of the picture.
    """

    def __init__(self, kind: Picture) -> None:
        super().__init__()
        self.row_shape, self.picture_channels = kind.row_shape, kind.shape[0]
        self.channels = kind.row_shape[0] + 1
        self.affine = kind.affine

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
        centre, half = self.affine(condition)
        scaled = (condition[:, : self.picture_channels] - centre) / half
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
