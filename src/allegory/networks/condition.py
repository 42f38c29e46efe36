"""What a network may be conditioned on, and the null that stands for "not given".

A condition is a label, a vector or a picture of the data's size. Guidance without a classifier (Ho & Salimans
2022) needs one network to know p(x | y) and p(x) at once, so each kind has a null *per item*: the label -1, a
vector that holds a NaN, the pixels of a picture that are NaN. `None` is the null for a whole batch. The null
of a label or vector is a learned embedding; that of a picture is zeros and a mask channel, which is 0 where
nothing is known, so that a partly known picture is a condition too.

The kinds are configs; each builds the module that lets the condition into a network's features or its
embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Labels:
    """One integer per item, 0 to classes - 1, or -1 for the null."""

    classes: int

    def __post_init__(self) -> None:
        _positive("classes", self.classes)


@dataclass(frozen=True)
class Vector:
    """One vector of dim numbers per item; an item that holds a NaN is the null."""

    dim: int

    def __post_init__(self) -> None:
        _positive("dim", self.dim)


@dataclass(frozen=True)
class Picture:
    """One array of (channels, *space) per item, space being that of the data; NaN where it is not known."""

    channels: int

    def __post_init__(self) -> None:
        _positive("channels", self.channels)


Condition = Labels | Vector | Picture


class Conditioning(nn.Module):
    """Lets a condition into (features, embedding); this one, for a network without any, refuses them."""

    channels = 0  # how many channels it adds to the features

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        if condition is not None:
            raise ValueError(
                "condition was given to a network built without one: build it with condition=Labels(...)"
            )
        return features, embedding


class LabelConditioning(Conditioning):
    """Adds the learned embedding of the label; row 0 of the table is the null, row k + 1 is label k."""

    def __init__(self, kind: Labels, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(kind.classes + 1, dim)

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        if condition is None:
            return features, embedding + self.table.weight[0]
        if (
            condition.shape != features.shape[:1]
            or condition.is_floating_point()
            or condition.dtype == torch.bool
        ):
            raise ValueError(_wrong(condition, (features.shape[0],), "integer labels"))
        # On an accelerator a look at the values would wait for it; there the table's own bounds check speaks.
        if condition.device.type == "cpu" and condition.numel():
            low, high = (int(v) for v in condition.aminmax())
            if low < -1 or high >= self.table.num_embeddings - 1:
                known = self.table.num_embeddings - 2
                raise ValueError(
                    f"condition has labels {low} to {high}: use 0 to {known}, or -1 for none"
                )
        return features, embedding + self.table(condition.long() + 1)


class VectorConditioning(Conditioning):
    """Adds a two-layer embedding of the vector, or the learned null."""

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
        if condition is None:
            return features, embedding + self.null
        wanted = (features.shape[0], self.dim)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(_wrong(condition, wanted, "floating-point vectors"))
        absent = condition.isnan().any(1, keepdim=True)
        known = torch.where(absent, 0, condition).to(
            features.dtype
        )  # before the layers: NaN * 0 in a gradient is NaN
        return features, embedding + torch.where(absent, self.null, self.embed(known))


class PictureConditioning(Conditioning):
    """Joins the picture, 0 where it is not known, and a mask, 1 where it is, to the features."""

    def __init__(self, kind: Picture) -> None:
        super().__init__()
        self.channels = kind.channels + 1

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        batch, _, *space = features.shape
        if condition is None:
            return torch.cat(
                [features, features.new_zeros(batch, self.channels, *space)], dim=1
            ), embedding
        wanted = (batch, self.channels - 1, *space)
        if condition.shape != wanted or not condition.is_floating_point():
            raise ValueError(_wrong(condition, wanted, "floating-point pictures"))
        known = ~condition.isnan().any(1, keepdim=True)
        picture = torch.where(known, condition, 0)
        return torch.cat(
            [features, picture.to(features.dtype), known.to(features.dtype)], dim=1
        ), embedding


def conditioning(kind: Condition | None, dim: int) -> Conditioning:
    """The module that lets this kind of condition in; dim is the width of the network's embedding."""
    match kind:
        case Labels():
            return LabelConditioning(kind, dim)
        case Vector():
            return VectorConditioning(kind, dim)
        case Picture():
            return PictureConditioning(kind)
        case None:
            return Conditioning()


def _wrong(condition: Tensor, wanted: tuple[int, ...], what: str) -> str:
    given = f"{condition.dtype} of shape {tuple(condition.shape)}"
    return f"condition is {given}; this network needs {what} of shape {wanted}"


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value} must be at least 1")
