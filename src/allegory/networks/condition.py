"""What a network may be conditioned on, and the null that means "no condition".

A condition is a label, a vector or an image of the data's size. Classifier-free guidance (Ho &
Salimans 2022) needs one network to know p(x | y) and p(x) at once, so each kind has a null *per
item*: the label -1, a vector that holds a NaN, the NaN pixels of an image. `None` is the null for a
whole batch. The null of a label or vector is a learned embedding; that of an image is zeros and a
mask channel, which is 0 where the image is unknown, so a partly known image is a condition too.

The kinds are configs. `conditioning` builds the module that adds a condition to the features or to
the embedding of a network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Labels:
    """One integer per item, 0 to classes - 1, or -1 for the null.

    Args:
        classes: the number of classes.

    Raises:
        ValueError: for fewer than 1.
    """

    classes: int

    def __post_init__(self) -> None:
        _check_positive("classes", self.classes)


@dataclass(frozen=True)
class Vector:
    """One vector per item; an item that holds a NaN is the null.

    Args:
        dim: its length.

    Raises:
        ValueError: for less than 1.
    """

    dim: int

    def __post_init__(self) -> None:
        _check_positive("dim", self.dim)


@dataclass(frozen=True)
class Picture:
    """One image (channels, *space) per item, with the space of the data; NaN where it is unknown.

    Args:
        channels: its channels.

    Raises:
        ValueError: for fewer than 1.
    """

    channels: int

    def __post_init__(self) -> None:
        _check_positive("channels", self.channels)


Condition = Labels | Vector | Picture


class Conditioning(nn.Module, ABC):
    """A module that adds a condition to the features and the embedding of a network."""

    channels = 0
    """How many channels it adds to the features."""

    @abstractmethod
    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features and the embedding with the condition added.

        Args:
            features: of the noisy data, (b, c, *space).
            embedding: of the noise level, (b, dim).
            condition: one entry per item; None is the null for all.

        Raises:
            ValueError: for a condition of another type or shape.
        """


class NoConditioning(Conditioning):
    """The conditioning of a network without a condition: it refuses any."""

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features and the embedding as they are. ValueError for a condition."""
        if condition is not None:
            raise ValueError(
                "condition was given to a network built without one: "
                "build it with condition=Labels(...)"
            )
        return features, embedding


class LabelConditioning(Conditioning):
    """Adds the learned embedding of the label: row k + 1 of its table, row 0 for the null.

    Args:
        kind: the number of classes.
        dim: width of the embedding.
    """

    def __init__(self, kind: Labels, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(kind.classes + 1, dim)

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the condition. ValueError for no label."""
        if condition is None:
            return features, embedding + self.table.weight[0]
        self._check(condition, features.shape[0])
        return features, embedding + self.table(condition.long() + 1)

    def _check(self, condition: Tensor, batch: int) -> None:
        is_integer = not condition.is_floating_point() and condition.dtype != torch.bool
        if condition.shape != (batch,) or not is_integer:
            raise ValueError(_wrong(condition, (batch,), "integer labels"))

        # On an accelerator the range check would synchronise; there nn.Embedding asserts it.
        if condition.device.type == "cpu" and condition.numel():
            low, high = (int(value) for value in condition.aminmax())
            last = self.table.num_embeddings - 2
            if low < -1 or high > last:
                raise ValueError(
                    f"condition has labels {low} to {high}: use 0 to {last}, or -1 for none"
                )


class VectorConditioning(Conditioning):
    """Adds a two-layer embedding of the vector, or the learned null.

    Args:
        kind: the length of the vector.
        dim: width of the embedding.
    """

    def __init__(self, kind: Vector, dim: int) -> None:
        super().__init__()
        self.dim = kind.dim
        self.embed = nn.Sequential(nn.Linear(kind.dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.null = nn.Parameter(torch.randn(dim))

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features, and the embedding plus that of the condition. ValueError for no vector."""
        if condition is None:
            return features, embedding + self.null

        wanted = (features.shape[0], self.dim)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(_wrong(condition, wanted, "floating-point vectors"))

        is_null = condition.isnan().any(1, keepdim=True)
        # Before the layers: NaN * 0 in a gradient is NaN.
        known = torch.where(is_null, 0, condition).to(features.dtype)
        return features, embedding + torch.where(is_null, self.null, self.embed(known))


class PictureConditioning(Conditioning):
    """Joins the image, 0 where it is unknown, and a mask, 1 where it is known, to the features.

    Args:
        kind: the channels of the image.
    """

    def __init__(self, kind: Picture) -> None:
        super().__init__()
        self.channels = kind.channels + 1

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features with condition and mask, and the embedding. ValueError for no image."""
        batch, _, *space = features.shape
        if condition is None:
            unknown = features.new_zeros(batch, self.channels, *space)
            return torch.cat([features, unknown], dim=1), embedding

        wanted = (batch, self.channels - 1, *space)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(_wrong(condition, wanted, "floating-point pictures"))

        known = ~condition.isnan().any(1, keepdim=True)
        image = torch.where(known, condition, 0).to(features.dtype)
        return torch.cat([features, image, known.to(features.dtype)], dim=1), embedding


def conditioning(kind: Condition | None, dim: int) -> Conditioning:
    """The module for this kind of condition; dim is the width of the network's embedding."""
    match kind:
        case Labels():
            return LabelConditioning(kind, dim)
        case Vector():
            return VectorConditioning(kind, dim)
        case Picture():
            return PictureConditioning(kind)
        case None:
            return NoConditioning()


def _wrong(condition: Tensor, wanted: tuple[int, ...], what: str) -> str:
    given = f"{condition.dtype} of shape {tuple(condition.shape)}"
    return f"condition is {given}; this network needs {what} of shape {wanted}"


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value} must be at least 1")
