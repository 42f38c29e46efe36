"""Several conditions at once; each may be hidden by itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..lookup import pick
from ..numerics.blocks import BlockMeans
from ..numerics.generators import draw_rows, uniform
from .base import (
    CONDITIONS,
    HIDDEN,
    Condition,
    Conditioning,
    check_rows,
    hidden_like,
    hide_some,
    wrong_rows,
)


@dataclass(frozen=True)
class Combined(Condition):
    """Several conditions with names: a row holds the rows of the parts one after another, flat.

    Args:
        names: of the parts.
        parts: their kinds, in the same order.

    Raises:
        ValueError: for fewer than two parts, other numbers of names and parts, names that are there
            twice, and a part that is combined itself.
    """

    names: tuple[str, ...]
    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "parts", tuple(self.parts))
        if len(self.parts) < 2 or len({*self.names}) != len(self.parts) != len(self.names):
            raise ValueError(f"names={self.names}: give two or more parts, each with its own name")
        if any(isinstance(part, Combined) for part in self.parts):
            raise ValueError("parts: one is combined itself; give its parts instead")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(numbers of all parts,)."""
        return (sum(self._sizes),)

    @property
    def dtype(self) -> torch.dtype:
        """float32, which holds indices up to 2^24; float64 where a part needs it."""
        is_double = any(part.dtype == torch.float64 for part in self.parts)
        return torch.float64 if is_double else torch.float32

    def __str__(self) -> str:
        return " and ".join(
            f"{name}: {part}" for name, part in zip(self.names, self.parts, strict=True)
        )

    def encode(self, values: Any) -> Float[Tensor, "*n_row"]:
        """Rows of one item or of several; a part that is left out is hidden.

        Args:
            values: a mapping from the names of parts to their values; one value may stand for all
                items.

        Raises:
            ValueError: for what is no mapping, an unknown name, and what a part refuses.
        """
        if not isinstance(values, dict):
            raise ValueError(
                f"condition={values!r:.60}: give a mapping of {' and '.join(self.names)}"
            )
        for name in values:
            pick("condition", name, self._by_name)

        rows = {
            name: self._encoded(name, value) for name, value in values.items() if value is not None
        }
        counts = {len(each) for name, each in rows.items() if each.ndim > self._axes(name)}
        if len(counts) > 1:
            raise ValueError(f"condition: parts of {sorted(counts)} items; give one value per item")

        lead = (counts.pop(),) if counts else ()
        whole = {
            name: each.expand((*lead, *self._by_name[name].row_shape))
            for name, each in rows.items()
        }
        return self.join(whole, lead)

    def join(
        self, rows: dict[str, Shaped[Tensor, "..."]], lead: tuple[int, ...]
    ) -> Float[Tensor, "*lead row"]:
        """The rows of the parts as one.

        Args:
            rows: of parts by name, (*lead, *row_shape); a part that is left out is hidden.
            lead: () for one item, (n,) for several.
        """
        flat = []
        for name, part, size in zip(self.names, self.parts, self._sizes, strict=True):
            given = rows.get(name)
            if given is None:
                given = hidden_like(torch.empty((*lead, *part.row_shape), dtype=part.dtype))
            number = given.to(self.dtype)
            if not part.dtype.is_floating_point:
                number = torch.where(number == -1, torch.nan, number)
            flat.append(number.reshape(*lead, size))

        return torch.cat(flat, dim=-1)

    def part(self, rows: Float[Tensor, "n row"], name: str) -> Shaped[Tensor, "n *part"]:
        """The rows of one part, as its kind has them.

        Args:
            rows: of the combined condition.
            name: of the part.
        """
        place = self.names.index(name)
        kind, start = self.parts[place], sum(self._sizes[:place])
        some = rows[..., start : start + self._sizes[place]]
        some = some.reshape(*rows.shape[:-1], *kind.row_shape)
        if kind.dtype.is_floating_point:
            return some.to(kind.dtype)

        return torch.where(some.isnan(), -1.0, some).round().to(kind.dtype)

    def hide(self, rows: Float[Tensor, "n row"], name: str) -> Float[Tensor, "n row"]:
        """The rows with one part hidden.

        Args:
            rows: of the combined condition.
            name: of the part.

        Raises:
            ValueError: for an unknown part; the message names the closest.
        """
        pick("part of the condition", name, self._by_name)
        place = self.names.index(name)
        start = sum(self._sizes[:place])
        hidden = rows.clone()
        hidden[..., start : start + self._sizes[place]] = torch.nan
        return hidden

    def texts(self, rows: Float[Tensor, "n row"]) -> list[str]:
        """The text of each part, such as "digit seven, colour red"."""
        parts = [
            [_named(name, kind, text) for text in kind.texts(self.part(rows, name))]
            for name, kind in zip(self.names, self.parts, strict=True)
        ]
        return [", ".join(each) for each in zip(*parts, strict=True)]

    def parse(self, text: str) -> dict[str, Any]:
        """One part from NAME=VALUE."""
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(
                f"condition {text!r}: give NAME=VALUE, with a name of {', '.join(self.names)}"
            )
        kind = pick("condition", name, self._by_name)

        return {name: None if value == HIDDEN else kind.parse(value)}

    def module(self, dim: int, space: tuple[int, ...] = ()) -> Conditioning:
        """The modules of the parts, one after another."""
        return CombinedConditioning(self, dim, space)

    def in_training(
        self, rows: Float[Tensor, "b row"], generator: torch.Generator
    ) -> Float[Tensor, "b row"]:
        """The rows with each part hidden by its own dropout, and noise where a part has it."""
        parts = {}
        for name, kind in zip(self.names, self.parts, strict=True):
            seen = kind.in_training(self.part(rows, name), generator)
            dropout = getattr(kind, "dropout", 0.0)
            if dropout > 0:
                drawn = draw_rows(uniform, (len(rows),), generator)
                seen = hide_some(seen, drawn < dropout)
            parts[name] = seen

        return self.join(parts, (len(rows),))

    def check(self, rows: Tensor, count: int) -> None:
        """Refuse what are no rows of this kind for `count` items. ValueError."""
        check_rows(self, rows, count)
        for name, kind in zip(self.names, self.parts, strict=True):
            kind.check(self.part(rows, name), count)

    def check_fits(self, shape: tuple[int, ...], low: Any, high: Any) -> None:
        """Refuse items that a part does not fit as a condition. ValueError.

        Args:
            shape: of an item.
            low: the lower end of its range.
            high: the upper end.
        """
        for kind in self.parts:
            kind.check_fits(shape, low, high)

    @property
    def says_means(self) -> bool:
        """Whether a part says the means over blocks of the items."""
        return any(kind.says_means for kind in self.parts)

    def block_means(self, rows: Float[Tensor, "b row"]) -> BlockMeans | None:
        """What the first part that knows them says of the means over blocks of the items.

        Args:
            rows: of the items.
        """
        parts = zip(self.names, self.parts, strict=True)

        found = (kind.block_means(self.part(rows, name)) for name, kind in parts)
        return next((means for means in found if means is not None), None)

    @property
    def _by_name(self) -> dict[str, Condition]:
        return dict(zip(self.names, self.parts, strict=True))

    @property
    def _sizes(self) -> list[int]:
        return [prod(part.row_shape) for part in self.parts]

    def _axes(self, name: str) -> int:
        return len(self._by_name[name].row_shape)

    def _encoded(self, name: str, value: Any) -> Tensor:
        if isinstance(value, Tensor):
            return value
        try:
            return self._by_name[name].encode(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class CombinedConditioning(Conditioning):
    """Applies the module of each part to the features and the embedding.

    Args:
        kind: the parts.
        dim: width of the embedding.
        space: the axes of an item after its channels.
    """

    def __init__(self, kind: Combined, dim: int, space: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.kind = kind
        modules = [part.module(dim, space) for part in kind.parts]
        self.each = nn.ModuleList(modules)
        self.channels = sum(module.channels for module in modules)

    def forward(
        self,
        features: Float[Tensor, "b c *space"],
        embedding: Float[Tensor, "b dim"],
        condition: Tensor | None,
    ) -> tuple[Float[Tensor, "b joined *space"], Float[Tensor, "b dim"]]:
        """The features and the embedding after all parts. ValueError for other rows."""
        wanted = (features.shape[0], *self.kind.row_shape)
        if condition is not None and tuple(condition.shape) != wanted:
            raise ValueError(wrong_rows(condition, wanted, "combined rows"))

        for name, module in zip(self.kind.names, self.each, strict=True):
            rows = None if condition is None else self.kind.part(condition, name)
            features, embedding = module(features, embedding, rows)
        return features, embedding


def _named(name: str, kind: Condition, text: str) -> str:
    """The text after the name of its part; a number of the same name begins with it already."""
    begins = getattr(kind, "names", None) == (name,) and text.startswith(f"{name} ")
    return text if begins else f"{name} {text}"


CONDITIONS.register("Combined", Combined, "several conditions, each of which may be hidden")
